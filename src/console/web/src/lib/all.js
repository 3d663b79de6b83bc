// The whole of a list of /api/v1, page after page: for lists that are short, and names of ids.
import { api } from './api.js';

export async function everyPage(path, signal) {
  const all = [];
  let after = '';
  for (;;) {
    const page = await api.get(`${path}?limit=1000${after}`, { signal });
    all.push(...page.data);
    if (!page.has_more || page.data.length === 0) return all;
    after = `&after=${encodeURIComponent(page.last_id)}`;
  }
}

const asks = new Map();

// The same as useApi wants it, one function for each path: useApi(whole('/api/v1/keys')).
export function whole(path) {
  if (!asks.has(path)) asks.set(path, (signal) => everyPage(path, signal));
  return asks.get(path);
}

// What projects and keys are called: { project, key }, Maps by id.
export async function namesOf(signal) {
  const [projects, keys] = await Promise.all([
    everyPage('/api/v1/projects', signal),
    everyPage('/api/v1/keys', signal),
  ]);
  const byId = (list) => new Map(list.map((one) => [one.id, one.name]));
  return { project: byId(projects), key: byId(keys) };
}
