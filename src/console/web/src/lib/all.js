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
