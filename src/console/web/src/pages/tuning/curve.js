// Events of a job as curves. The API gives events newest first, a thousand at most at a time.
import { api } from '../../lib/api.js';

const LIMIT = 1000;
const PAGES_MAX = 4; // a job has about a thousand events of steps, and as many others at most

// What is new since `known` (newest first), before it.
export async function moreEvents(job, known, signal) {
  const fresh = [];
  const newest = known[0]?.id;
  let after;
  for (let n = 0; n < PAGES_MAX; n += 1) {
    const limit = newest && n === 0 ? 50 : LIMIT;
    const page = await api.get(
      `/v1/fine_tuning/jobs/${job}/events?limit=${limit}${after ? `&after=${after}` : ''}`,
      { signal },
    );
    const seen = page.data.findIndex((e) => e.id === newest);
    fresh.push(...(seen >= 0 ? page.data.slice(0, seen) : page.data));
    if (seen >= 0 || !page.has_more) break;
    after = page.data.at(-1).id;
  }
  return [...fresh, ...known];
}

// An average that leans on what is near: single steps of small batches jump.
export function smooth(values) {
  const weight = Math.min(0.95, Math.max(0.5, 1 - 12 / Math.max(values.length, 1)));
  let mean = 0;
  let norm = 0;
  return values.map((v) => {
    if (v === null) return norm > 0 ? mean / norm : null;
    mean = mean * weight + v * (1 - weight);
    norm = norm * weight + (1 - weight);
    return mean / norm;
  });
}

// {steps, train, valid}: arrays of one length, null where nothing is known. A step that was trained
// twice (a checkpoint was resumed) counts as it was the last time.
export function curveOf(events) {
  const of = new Map();
  for (let i = events.length - 1; i >= 0; i -= 1) {
    const d = events[i].type === 'metrics' ? events[i].data : null;
    if (!d) continue;
    const at = of.get(d.step) ?? { train: null, valid: null };
    if ('train_loss' in d) at.train = d.train_loss;
    if ('valid_loss' in d) at.valid = d.valid_loss;
    of.set(d.step, at);
  }
  const steps = [...of.keys()].sort((a, b) => a - b);
  return {
    steps,
    train: steps.map((s) => of.get(s).train),
    valid: steps.map((s) => of.get(s).valid),
  };
}
