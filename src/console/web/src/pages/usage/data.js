// What the usage page asks and makes of it: rows of /api/v1/usage as series by day and as a table.
import { api } from '../../lib/api.js';
import { DAY, dayStart, HOUR, monthStart } from '../../lib/calendar.js';

const PAGE = 10000; // rows of one answer
const PAGES_MAX = 20; // 200,000 rows: more than a screen of any kind can say
export const TOP = 7; // names that get a colour; the others are one

// Ranges in UTC days, as budgets and prices are: [from,
// to) in unix seconds, and the step of its curve.
export function rangeOf(name, { from, to } = {}, now = Date.now() / 1000) {
  const tomorrow = dayStart(now) + DAY;
  const days = (n) => ({ from: tomorrow - n * DAY, to: tomorrow, step: DAY });
  const hour = Math.floor(now / HOUR) * HOUR;
  if (name === 'day') return { from: hour - 23 * HOUR, to: hour + HOUR, step: HOUR };
  if (name === '7d') return days(7);
  if (name === '90d') return days(90);
  if (name === 'month') return { from: monthStart(now), to: tomorrow, step: DAY };
  // in whichever order they are given
  const [first, last] = [Date.parse(from), Date.parse(to)].sort((a, b) => a - b);
  if (name === 'custom' && from && to)
    return { from: first / 1000, to: last / 1000 + DAY, step: DAY };
  return days(30);
}

// Rows by time and by what is asked for; group: model, key, project, route.
export async function fetchUsage({ range, group, project, signal }) {
  const rows = [];
  let page;
  let answer;
  for (let n = 0; n < PAGES_MAX; n += 1) {
    const q = new URLSearchParams({
      start_time: range.from,
      end_time: range.to,
      limit: PAGE,
      group_by: `${range.step === DAY ? 'day' : 'hour'},${group}`,
    });
    if (project) q.set('project', project);
    if (page) q.set('page', page);
    answer = await api.get(`/api/v1/usage?${q}`, { signal });
    rows.push(...answer.data);
    page = answer.next_page;
    if (!answer.has_more) break;
  }
  return { rows, total: answer.total, currency: answer.currency, cut: answer.has_more };
}

// What can be drawn: how to take it from a row.
const measures = {
  cost: (r) => r.cost_nanos / 1e9,
  tokens: (r) => r.prompt_tokens + r.completion_tokens,
  requests: (r) => r.requests,
  cpu: (r) => r.cpu_s,
  energy: (r) => r.energy_j,
};

const SUMS = [
  'requests',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'reasoning_tokens',
  'cost_nanos',
  'bytes_in',
  'bytes_out',
  'cpu_s',
  'energy_j',
];

// One row for each name, summed over the time, the costliest first.
export function byName(rows, group) {
  const of = new Map();
  for (const r of rows) {
    const name = r[group] ?? '';
    if (!of.has(name))
      of.set(name, {
        name,
        energy_estimated: false,
        ...Object.fromEntries(SUMS.map((s) => [s, 0])),
      });
    const sum = of.get(name);
    for (const s of SUMS) sum[s] += r[s];
    sum.energy_estimated ||= r.energy_estimated;
  }
  return [...of.values()].sort(
    (a, b) =>
      b.cost_nanos - a.cost_nanos ||
      measures.tokens(b) - measures.tokens(a) ||
      b.requests - a.requests ||
      (a.name < b.name ? -1 : 1),
  );
}

// {times: [s], series: [{name, values}]}: every step of the range is there; the names with the most
// first, what is beyond TOP in one called null.
export function asSeries(rows, group, measure, range) {
  const take = measures[measure];
  const times = [];
  for (let at = range.from; at < range.to; at += range.step) times.push(at);
  const index = new Map(times.map((at, i) => [at, i]));
  const sums = new Map();
  for (const r of rows) sums.set(r[group] ?? '', (sums.get(r[group] ?? '') ?? 0) + take(r));
  const names = [...sums]
    .filter(([, v]) => v > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([name]) => name);
  const top = names.slice(0, names.length > TOP + 1 ? TOP : TOP + 1);
  const series = top.map((name) => ({ name, values: times.map(() => 0) }));
  if (names.length > top.length) series.push({ name: null, values: times.map(() => 0) });
  for (const r of rows) {
    const i = index.get(Math.floor((r.start - range.from) / range.step) * range.step + range.from);
    const at = top.indexOf(r[group] ?? '');
    const into = at >= 0 ? series[at] : series[top.length];
    if (i !== undefined && into) into.values[i] += take(r);
  }
  return { times, series };
}

// ---- CSV ----

// A spreadsheet takes =, +, -, @ at a cell's begin for a formula: names are the users' own words.
function cell(v) {
  const text = String(v ?? '');
  const safe = typeof v === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(rows, group, nameOf, currency) {
  const head = [
    'start',
    group,
    `${group}_name`,
    'requests',
    'prompt_tokens',
    'cached_tokens',
    'completion_tokens',
    'reasoning_tokens',
    `cost_${currency.toLowerCase()}`,
    'cpu_s',
    'energy_j',
    'energy_estimated',
    'bytes_in',
    'bytes_out',
  ];
  const lines = [...rows]
    .sort((a, b) => a.start - b.start)
    .map((r) => [
      new Date(r.start * 1000).toISOString(),
      r[group] ?? '',
      nameOf(r[group] ?? ''),
      r.requests,
      r.prompt_tokens,
      r.cached_tokens,
      r.completion_tokens,
      r.reasoning_tokens,
      r.cost,
      r.cpu_s,
      r.energy_j,
      r.energy_estimated,
      r.bytes_in,
      r.bytes_out,
    ]);
  return [head, ...lines].map((l) => l.map(cell).join(',')).join('\r\n') + '\r\n';
}
