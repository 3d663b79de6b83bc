// A rule, made or changed; below it the curve that it watches, with the bound.
import { useMemo, useRef, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useHistory } from '../../lib/history.js';
import { useAction } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { seriesName, unitFormat, unitName } from '../../lib/series.js';
import {
  Button,
  Chart,
  Checkbox,
  Dialog,
  ErrorNote,
  Form,
  NumberInput,
  Select,
  TextInput,
  toast,
} from '../../ui/index.js';
import { SCOPES, SEVERITIES } from './words.js';

const HOUR_S = 3600;
const ZONES =
  typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [];
const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

function fieldsOf(rule) {
  const [scope, name] = Object.entries(rule?.labels ?? {}).find(([, v]) => v !== null) ?? ['', ''];
  return {
    name: rule?.name ?? '',
    series: rule?.series ?? 'ttft_p95',
    scope,
    scopeName: name,
    op: rule?.op ?? '>',
    threshold: rule?.threshold ?? null,
    forS: rule?.for_s ?? 60,
    repeatH: (rule?.repeat_s ?? 4 * HOUR_S) / HOUR_S,
    severity: rule?.severity ?? 'warning',
    channels: rule?.channels ?? [],
    isQuiet: !!rule?.quiet,
    quietFrom: rule?.quiet?.from ?? '22:00',
    quietTo: rule?.quiet?.to ?? '07:00',
    quietTz: rule?.quiet?.tz ?? ownZone(),
    enabled: rule?.enabled ?? true,
  };
}

function bodyOf(f, before) {
  const labels = f.scope === '' ? {} : { [f.scope]: f.scopeName.trim() };
  // a merge patch: the label that was has to be taken away by its name
  for (const old of Object.keys(before?.labels ?? {})) if (!(old in labels)) labels[old] = null;
  return {
    name: f.name.trim(),
    series: f.series,
    labels,
    op: f.op,
    threshold: f.threshold,
    for_s: Math.round(f.forS ?? 0),
    repeat_s: Math.round((f.repeatH ?? 0) * HOUR_S),
    severity: f.severity,
    channels: f.channels,
    enabled: f.enabled,
    ...(f.isQuiet
      ? { quiet: { from: f.quietFrom, to: f.quietTo, tz: f.quietTz } }
      : before
        ? { quiet: null }
        : {}),
  };
}

function faultsOf(f) {
  const faults = {};
  if (f.name.trim() === '') faults.name = t('alerts.need_name');
  if (f.threshold === null) faults.threshold = t('alerts.need_number');
  if (f.scope !== '' && f.scopeName.trim() === '') faults.scopeName = t('alerts.need_scope');
  return faults;
}

function Preview({ series, scope, scopeName, threshold, unit }) {
  const labels = useMemo(
    () => (scope === '' ? {} : { [scope]: scopeName.trim() || '*' }),
    [scope, scopeName],
  );
  const { times, all } = useHistory([series], { range: '24h', labels });
  const curves = (all ?? []).filter((s) => s.name === series).slice(0, 5);
  const n = curves[0]?.values.length ?? 0;
  const shown = curves.map((s, i) => ({
    name: Object.values(s.labels ?? {})[0] ?? seriesName(series),
    values: s.values,
    color: i === 4 ? 5 : i,
  }));
  if (threshold !== null && n > 0)
    shown.push({ name: t('alerts.bound'), values: Array(n).fill(threshold), color: 4 });
  if (shown.length === 0) shown.push({ name: seriesName(series), values: [] });
  return (
    <div>
      <h3>{t('alerts.preview')}</h3>
      <Chart
        label={`${t('alerts.preview')}: ${seriesName(series)}`}
        series={shown}
        times={times ?? []}
        unit={unitFormat(unit)}
        height={130}
      />
    </div>
  );
}

function Channels({ all, chosen, onChange }) {
  if (all.length === 0) return <p class="muted small">{t('alerts.no_channels')}</p>;
  const flip = (id) => (on) => onChange(on ? [...chosen, id] : chosen.filter((c) => c !== id));
  return all.map((c) => (
    <Checkbox
      key={c.id}
      label={c.name}
      hint={c.url ?? c.to}
      value={chosen.includes(c.id)}
      onChange={flip(c.id)}
    />
  ));
}

function Quiet({ f, field }) {
  if (!f.isQuiet) return null;
  const zones = ZONES.includes(f.quietTz) ? ZONES : [f.quietTz, ...ZONES];
  return (
    <div class="form-row">
      <TextInput type="time" label={t('alerts.quiet_from')} {...field('quietFrom')} />
      <TextInput type="time" label={t('alerts.quiet_to')} {...field('quietTo')} />
      <Select label={t('alerts.quiet_tz')} options={zones} {...field('quietTz')} />
    </div>
  );
}

export function RuleForm({ rule, channels, units, onClose, onDone }) {
  const form = useRef(null);
  const [f, setF] = useState(() => fieldsOf(rule));
  const [faults, setFaults] = useState({});
  const [error, setError] = useState(null);
  const field = (name) => ({
    name,
    value: f[name],
    error: faults[name],
    onChange: (v) => setF((b) => ({ ...b, [name]: v })),
  });
  const unit = units[f.series];
  const names = [...new Set([...Object.keys(units), f.series])].sort((a, b) =>
    seriesName(a).localeCompare(seriesName(b)),
  );
  const [save, busy] = useAction(async () => {
    const wrong = faultsOf(f);
    setFaults(wrong);
    setError(null);
    if (Object.keys(wrong).length > 0) {
      form.current.querySelector(`[name=${Object.keys(wrong)[0]}]`)?.focus();
      return;
    }
    try {
      if (rule) await api.patch(`/api/v1/alerts/${rule.id}`, bodyOf(f, rule));
      else await api.post('/api/v1/alerts', bodyOf(f, null));
      toast.ok(rule ? t('ui.saved') : t('alerts.made'));
      onDone();
    } catch (e) {
      setError(e);
    }
  });
  return (
    <Dialog wide title={t(rule ? 'alerts.edit_rule' : 'alerts.new_rule')} onClose={onClose}>
      <div ref={form}>
        <Form
          onSubmit={save}
          actions={
            <>
              <Button onClick={onClose}>{t('ui.cancel')}</Button>
              <Button type="submit" kind="primary" busy={busy}>
                {t(rule ? 'ui.save' : 'ui.create')}
              </Button>
            </>
          }>
          <div class="form-row">
            <TextInput label={t('alerts.name')} maxlength={128} autofocus {...field('name')} />
            <Select
              label={t('alerts.severity')}
              options={SEVERITIES.map((value) => ({ value, label: t(`alerts.severity_${value}`) }))}
              {...field('severity')}
            />
          </div>
          <div class="form-row">
            <Select
              label={t('alerts.series')}
              options={names.map((value) => ({ value, label: seriesName(value) }))}
              {...field('series')}
            />
            <Select
              label={t('alerts.scope')}
              options={['', ...SCOPES].map((value) => ({
                value,
                label: t(`alerts.scope_${value}`),
              }))}
              {...field('scope')}
            />
            {f.scope !== '' && (
              <TextInput
                label={t('alerts.scope_name')}
                hint={t('alerts.scope_name_hint')}
                {...field('scopeName')}
              />
            )}
          </div>
          <div class="form-row">
            <Select
              label={t('alerts.op')}
              options={[
                { value: '>', label: t('alerts.op_above') },
                { value: '<', label: t('alerts.op_below') },
              ]}
              {...field('op')}
            />
            <NumberInput
              label={t('alerts.threshold')}
              unit={unitName(unit)}
              {...field('threshold')}
            />
            <NumberInput
              label={t('alerts.duration')}
              unit={t('alerts.seconds')}
              min={0}
              {...field('forS')}
            />
          </div>
          <Preview
            series={f.series}
            scope={f.scope}
            scopeName={f.scopeName}
            threshold={f.threshold}
            unit={unit}
          />
          <fieldset class="stack alerts-group">
            <legend class="strong">{t('alerts.channels')}</legend>
            <Channels all={channels} chosen={f.channels} onChange={field('channels').onChange} />
            <NumberInput
              label={t('alerts.repeat')}
              unit={t('alerts.hours')}
              hint={t('alerts.repeat_hint')}
              min={0}
              {...field('repeatH')}
            />
          </fieldset>
          <Checkbox
            label={t('alerts.quiet')}
            hint={t('alerts.quiet_hint')}
            value={f.isQuiet}
            onChange={field('isQuiet').onChange}
          />
          <Quiet f={f} field={field} />
          <Checkbox
            label={t('alerts.enabled')}
            value={f.enabled}
            onChange={field('enabled').onChange}
          />
          <ErrorNote error={error} />
        </Form>
      </div>
    </Dialog>
  );
}
