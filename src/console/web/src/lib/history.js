// Curves of the cloud: /api/v1/history, followed.
import { useCallback } from 'preact/hooks';
import { api } from './api.js';
import { DAY, HOUR } from './calendar.js';
import { useApi } from './hooks.js';
import { addText, t } from './i18n.js';

addText('range', {
  en: {
    label: 'Time span',
    '1h': '1 hour',
    '6h': '6 hours',
    '24h': '24 hours',
    '7d': '7 days',
    '30d': '30 days',
  },
  zh: {
    label: '时间范围',
    '1h': '1 小时',
    '6h': '6 小时',
    '24h': '24 小时',
    '7d': '7 天',
    '30d': '30 天',
  },
});

export const ranges = { '1h': HOUR, '6h': 6 * HOUR, '24h': DAY, '7d': 7 * DAY, '30d': 30 * DAY };
// For a <Choice>.
export const rangeOptions = () =>
  Object.keys(ranges).map((value) => ({ value, label: t(`range.${value}`) }));

const POLL_MS = 10000; // points come every 10 seconds
const LONG_POLL_MS = 60000;

// names: ['requests', 'ttft_p95']; range: a key of ranges, or seconds; labels: { endpoint: ID }, at
// most one. "The last hour" moves: it is worked out for each question.
// -> { error, loading, reload, times, of(name) -> values, all -> [{ name, labels, values }] }
export function useHistory(names, { range = '1h', labels = {} } = {}) {
  const span = ranges[range] ?? range;
  const series = names.join(',');
  const label = new URLSearchParams(labels).toString();
  const ask = useCallback(
    (signal) => {
      const query = new URLSearchParams(label);
      query.set('series', series);
      query.set('from', String(Math.floor(Date.now() / 1000) - span));
      return api.get(`/api/v1/history?${query}`, { signal });
    },
    [series, label, span],
  );
  const { data, ...state } = useApi(ask, { poll: span > ranges['24h'] ? LONG_POLL_MS : POLL_MS });
  return {
    ...state,
    times: data,
    all: data?.series ?? null,
    of: (name) => data?.series.find((s) => s.name === name)?.values ?? [],
  };
}
