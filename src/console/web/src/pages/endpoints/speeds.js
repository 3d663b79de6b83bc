// Tokens per second of each endpoint: what its models
// have generated since the last look at the status.
import { useRef } from 'preact/hooks';

const STEADY_S = 0.5; // two looks nearer than this say nothing

function generated(status) {
  const of = new Map();
  for (const w of status.serving.workers ?? [])
    for (const m of w.health?.models ?? [])
      of.set(m.name, (of.get(m.name) ?? 0) + m.generated_tokens);
  return of;
}

// A map by endpoint's id; empty for those that see no workers.
export function useSpeeds(status) {
  const kept = useRef({ of: null, at: 0, status: null, speeds: new Map() });
  const k = kept.current;
  if (!status?.serving.workers || status === k.status) return k.speeds;
  const now = performance.now() / 1000;
  const of = generated(status);
  if (k.of !== null && now - k.at < STEADY_S) return k.speeds;
  const speeds = new Map();
  for (const e of status.serving.endpoints) {
    const names = new Set(e.targets.filter((x) => x.kind === 'model').map((x) => x.model));
    let n = 0;
    for (const name of names)
      if (k.of?.has(name)) n += Math.max(0, (of.get(name) ?? 0) - k.of.get(name));
    speeds.set(e.id, k.of === null ? 0 : n / (now - k.at));
  }
  kept.current = { of, at: now, status, speeds };
  return speeds;
}
