// An alert rule in words.
import { duration, t } from '../../lib/i18n.js';
import { seriesName, unitFormat } from '../../lib/series.js';

export const SEVERITIES = ['info', 'warning', 'critical'];
export const SCOPES = ['endpoint', 'project', 'bucket', 'worker'];

export function scopeOf(labels) {
  const [name, value] = Object.entries(labels ?? {}).find(([, v]) => v !== null) ?? [null, null];
  if (name === null) return t('alerts.whole');
  return value === '*' ? t(`alerts.each_${name}`) : t(`alerts.of_${name}`, { name: value });
}

export function conditionOf(rule, units) {
  const write = unitFormat(units[rule.series]);
  const when = t('alerts.when', {
    series: seriesName(rule.series),
    op: rule.op,
    threshold: write(rule.threshold),
  });
  return rule.for_s > 0 ? `${when} ${t('alerts.for_s', { time: duration(rule.for_s) })}` : when;
}

export const valueOf = (rule, units, value = rule.value) => unitFormat(units[rule.series])(value);

export const TONES = { ok: 'ok', pending: 'warn', firing: 'bad', no_data: 'none' };
export const stateKey = (rule) => (rule.enabled === false ? 'off' : rule.state);
