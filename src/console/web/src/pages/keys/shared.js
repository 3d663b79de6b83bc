// What keys, members and sessions have in common.
export const ROLES = ['viewer', 'developer', 'admin', 'operator'];

// Roles that somebody may give: up to the own one.
export const rolesUpTo = (role) => ROLES.slice(0, ROLES.indexOf(role) + 1);

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
