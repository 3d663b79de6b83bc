// The rules with how they stand; a row opens its details.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { ruleName } from '../../lib/said.js';
import { knownSeries, unitOf } from '../../lib/series.js';
import {
  Badge,
  Button,
  confirmDelete,
  Empty,
  ErrorNote,
  menuColumn,
  Section,
  Table,
  Time,
  toast,
} from '../../ui/index.js';
import { RuleForm } from './RuleForm.jsx';
import { conditionOf, scopeOf, stateKey, TONES, valueOf } from './words.js';

const POLL_MS = 10000;
const WORST = ['firing', 'pending', 'no_data', 'ok', 'off'];

function State({ rule }) {
  const key = stateKey(rule);
  return (
    <span class="row">
      <Badge tone={TONES[key]} dot>
        {t(`alerts.state_${key}`)}
      </Badge>
      {rule.is_quiet && <Badge>{t('alerts.quiet_now')}</Badge>}
    </span>
  );
}

// Which of the things that a rule watches each for itself are not well.
function Instances({ rule, units }) {
  const bad = (rule.instances ?? []).filter((i) => i.state === 'firing' || i.state === 'pending');
  if (bad.length === 0 || Object.keys(rule.labels).length === 0) return null;
  return (
    <span class="muted small alerts-instances">
      {bad
        .slice(0, 5)
        .map((i) => `${Object.values(i.labels)[0]}: ${valueOf(rule, units, i.value)}`)
        .join(', ')}
    </span>
  );
}

export function Rules({ channels }) {
  const { data, error, reload } = useApi('/api/v1/alerts', { poll: POLL_MS });
  const series = useApi('/api/v1/history/series');
  const units = Object.fromEntries([
    ...knownSeries.map((name) => [name, unitOf(name)]),
    ...(series.data?.data ?? []).map((s) => [s.name, s.unit]),
  ]);
  const [form, setForm] = useState(null); // a rule, or {} for a new one
  const names = Object.fromEntries(channels.map((c) => [c.id, c.name]));
  const change = (rule, enabled) =>
    api.patch(`/api/v1/alerts/${rule.id}`, { enabled }).then(reload, toast.error);
  const remove = async (rule) => {
    const action = () => api.del(`/api/v1/alerts/${rule.id}`);
    if (!(await confirmDelete({ what: rule.name, text: t('alerts.remove_text'), action }))) return;
    toast.ok(t('alerts.removed'));
    reload();
  };
  const columns = [
    { key: 'name', title: t('alerts.name'), sort: (r) => r.name, render: (r) => ruleName(r.name) },
    {
      key: 'state',
      title: t('alerts.state'),
      sort: (r) => WORST.indexOf(stateKey(r)),
      render: (r) => <State rule={r} />,
    },
    {
      key: 'condition',
      title: t('alerts.condition'),
      render: (r) => (
        <span class="alerts-condition">
          {conditionOf(r, units)}
          <span class="muted small">{scopeOf(r.labels)}</span>
          <Instances rule={r} units={units} />
        </span>
      ),
    },
    {
      key: 'value',
      title: t('alerts.value'),
      align: 'end',
      class: 'alerts-value',
      render: (r) => valueOf(r, units),
    },
    { key: 'since', title: t('alerts.since'), render: (r) => <Time at={r.since} /> },
    {
      key: 'channels',
      title: t('alerts.tells'),
      render: (r) =>
        r.channels.length === 0 ? (
          <span class="muted" title={t('alerts.nobody_hint')}>
            {t('alerts.nobody')}
          </span>
        ) : (
          r.channels.map((c) => names[c] ?? c).join(', ')
        ),
    },
    menuColumn(
      (r) => `${t('ui.more')}: ${r.name}`,
      (r) => [
        { label: t('ui.edit'), icon: 'edit', onClick: () => setForm(r) },
        {
          label: t(r.enabled ? 'alerts.turn_off' : 'alerts.turn_on'),
          icon: r.enabled ? 'pause' : 'play',
          onClick: () => change(r, !r.enabled),
        },
        { label: t('ui.delete'), icon: 'trash', danger: true, onClick: () => remove(r) },
      ],
    ),
  ];
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setForm({})}>
      {t('alerts.new_rule')}
    </Button>
  );
  return (
    <>
      <ErrorNote error={error} retry={reload} />
      {!(error && !data) && (
        <Section title={t('alerts.tab_rules')} actions={add} flush>
          <Table
            label={t('alerts.tab_rules')}
            columns={columns}
            rows={data?.data}
            onRow={setForm}
            sort={{ key: 'state' }}
            empty={
              <Empty
                icon="alerts"
                title={t('alerts.no_rules')}
                text={t('alerts.no_rules_text')}
                action={add}
              />
            }
          />
        </Section>
      )}
      {form && (
        <RuleForm
          rule={form.id ? form : null}
          channels={channels}
          units={units}
          onClose={() => setForm(null)}
          onDone={() => {
            setForm(null);
            reload();
          }}
        />
      )}
    </>
  );
}
