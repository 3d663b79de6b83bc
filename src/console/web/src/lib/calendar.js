// The calendar that budgets and prices go by, which is UTC's; all in unix seconds.
export const HOUR = 3600;
export const DAY = 86400;

const now = () => Date.now() / 1000;

export const dayStart = (at = now()) => Math.floor(at / DAY) * DAY;

export function monthStart(at = now()) {
  const d = new Date(at * 1000);
  return Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), 1) / 1000;
}
