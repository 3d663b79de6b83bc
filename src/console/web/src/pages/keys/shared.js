// What keys, members and sessions have in common.
import { api } from '../../lib/api.js';

export const ROLES = ['viewer', 'developer', 'admin', 'operator'];

// Roles that somebody may give: up to the own one.
export const rolesUpTo = (role) => ROLES.slice(0, ROLES.indexOf(role) + 1);

export async function everything(path, signal) {
  const all = [];
  let after = '';
  for (;;) {
    const page = await api.get(`${path}?limit=1000${after}`, { signal });
    all.push(...page.data);
    if (!page.has_more || page.data.length === 0) return all;
    after = `&after=${encodeURIComponent(page.last_id)}`;
  }
}

// Sixteen letters that nobody mixes up: 93 bits.
export function makePassword() {
  const letters = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
  let made = '';
  while (made.length < 16) {
    const [n] = crypto.getRandomValues(new Uint8Array(1));
    if (n < 4 * letters.length) made += letters[n % letters.length];
  }
  return made.replace(/(.{4})(?=.)/g, '$1-');
}
