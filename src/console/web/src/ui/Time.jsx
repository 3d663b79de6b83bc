// "3 minutes ago", the exact time on hover. at: unix seconds.
import { ago, dateTime } from '../lib/i18n.js';
import { useTick } from '../lib/hooks.js';

export function Time({ at }) {
  useTick();
  if (typeof at !== 'number') return '–';
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={dateTime(at)}>
      {ago(at)}
    </time>
  );
}
