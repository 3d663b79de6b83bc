// Usage and cost: /usage?range=...&by=...&show=...&project=...
import { useCallback, useMemo } from 'preact/hooks';
import { namesOf } from '../../lib/all.js';
import { DAY } from '../../lib/calendar.js';
import { saveAs } from '../../lib/files.js';
import { useApi, useTick } from '../../lib/hooks.js';
import { addText, duration, hasText, money, number, percent, t } from '../../lib/i18n.js';
import { setQuery, useRoute } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Button,
  Chart,
  Choice,
  Empty,
  ErrorNote,
  Figures,
  Loading,
  Note,
  Page,
  Section,
  Select,
  Table,
  TextInput,
  toast,
  Tooltip,
} from '../../ui/index.js';
import { Budgets } from './budgets.jsx';
import { asSeries, byName, fetchUsage, rangeOf, toCsv } from './data.js';
import { Prices } from './prices.jsx';
import * as text from './text.js';

addText('usage', text);

const RANGES = ['day', '7d', '30d', '90d', 'month', 'custom'];
const MEASURES = ['cost', 'tokens', 'requests', 'cpu', 'energy'];

// Joules as what electricity is sold by.
function energy(j) {
  if (j < 3600) return `${number(j, { digits: j < 1 ? 3 : j < 10 ? 1 : 0 })} J`;
  return j < 3.6e6 ? `${number(j / 3600, { digits: 1 })} Wh` : `${number(j / 3.6e6)} kWh`;
}

const writes = {
  cost: money,
  tokens: (v) => number(v, { compact: true, digits: 0 }),
  requests: (v) => number(v, { compact: true, digits: 0 }),
  cpu: duration,
  energy,
};

function nameIn(names, group, id) {
  if (id === null) return t('usage.others');
  if (group === 'route') return hasText(`usage.route.${id}`) ? t(`usage.route.${id}`) : id;
  if (id === '') return t('usage.none.model');
  return names?.[group]?.get(id) ?? id;
}

/* ---- what is asked for ---- */

function today(offset = 0) {
  return new Date(Date.now() + offset * DAY * 1000).toISOString().slice(0, 10);
}

function Controls({ asked, names }) {
  const { range, group, measure, project, from, to } = asked;
  const groups = ['model', 'key', can('operator') && 'project', 'route'].filter(Boolean);
  const choices = (all, prefix) =>
    all.map((value) => ({ value, label: t(`usage.${prefix}.${value}`) }));
  const setRange = (v) =>
    setQuery({ range: v, ...(v === 'custom' && !from ? { from: today(-7), to: today() } : {}) });
  return (
    <div class="usage-controls">
      <Select
        label={t('usage.range')}
        value={range}
        onChange={setRange}
        options={choices(RANGES, 'range')}
      />
      {range === 'custom' && (
        <TextInput
          type="date"
          label={t('usage.from')}
          value={from}
          max={to}
          onChange={(v) => setQuery({ from: v })}
        />
      )}
      {range === 'custom' && (
        <TextInput
          type="date"
          label={t('usage.to')}
          value={to}
          min={from}
          onChange={(v) => setQuery({ to: v })}
        />
      )}
      {can('operator') && names?.project.size > 1 && (
        <Select
          label={t('usage.project')}
          value={project}
          onChange={(v) => setQuery({ project: v })}
          empty={t('usage.project.all')}
          options={[...names.project].map(([value, label]) => ({ value, label }))}
        />
      )}
      <Choice
        label={t('usage.group')}
        value={group}
        onChange={(v) => setQuery({ by: v })}
        options={choices(groups, 'group')}
      />
      <Choice
        label={t('usage.measure')}
        value={measure}
        onChange={(v) => setQuery({ show: v })}
        options={choices(MEASURES, 'measure')}
      />
    </div>
  );
}

/* ---- what came of it ---- */

function Energy({ sum }) {
  if (sum.energy_j === 0) return '–';
  return sum.energy_estimated ? (
    <span>
      {energy(sum.energy_j)}{' '}
      <Tooltip text={t('usage.energy.hint')}>
        <span class="muted small usage-estimated">{t('usage.estimated')}</span>
      </Tooltip>
    </span>
  ) : (
    energy(sum.energy_j)
  );
}

function Totals({ total }) {
  return (
    <Figures
      label={t('usage.title')}
      items={[
        { label: t('usage.total.cost'), value: money(total.cost_nanos / 1e9) },
        {
          label: t('usage.total.tokens'),
          value: number(total.prompt_tokens + total.completion_tokens, { compact: true }),
          text: t('usage.total.tokens.text', {
            in: number(total.prompt_tokens, { compact: true }),
            out: number(total.completion_tokens, { compact: true }),
          }),
        },
        {
          label: t('usage.total.cached'),
          value: percent(total.prompt_tokens > 0 ? total.cached_tokens / total.prompt_tokens : NaN),
          text: t('usage.total.cached.text'),
        },
        { label: t('usage.total.requests'), value: number(total.requests, { compact: true }) },
        { label: t('usage.total.cpu'), value: duration(total.cpu_s) },
        {
          label: t('usage.total.energy'),
          value: total.energy_j === 0 ? '–' : energy(total.energy_j),
          text:
            total.energy_j > 0 && t(total.energy_estimated ? 'usage.estimated' : 'usage.measured'),
        },
      ]}
    />
  );
}

function columnsOf(group, names, total) {
  const tokens = (key, title, css) => ({
    key,
    class: css,
    title: t(`usage.table.${title}`),
    align: 'end',
    sort: (r) => r[key],
    render: (r) => number(r[key], { digits: 0 }),
  });
  return [
    {
      key: 'name',
      title: t(`usage.group.${group}`),
      sort: (r) => nameIn(names, group, r.name),
      render: (r) => (
        <span class="strong">
          {nameIn(names, group, r.name)}
          {group === 'model' && r.name === '' && (
            <span class="muted small"> {t('usage.none.model.hint')}</span>
          )}
        </span>
      ),
    },
    {
      key: 'requests',
      title: t('usage.measure.requests'),
      align: 'end',
      sort: (r) => r.requests,
      render: (r) => number(r.requests),
    },
    tokens('prompt_tokens', 'in'),
    tokens('cached_tokens', 'cached', 'cell-wide'),
    tokens('completion_tokens', 'out'),
    {
      key: 'cpu',
      title: t('usage.table.cpu'),
      align: 'end',
      class: 'cell-wide',
      sort: (r) => r.cpu_s,
      render: (r) => duration(r.cpu_s),
    },
    {
      key: 'energy',
      title: t('usage.table.energy'),
      align: 'end',
      class: 'cell-wide',
      sort: (r) => r.energy_j,
      render: (r) => <Energy sum={r} />,
    },
    {
      key: 'cost',
      title: t('usage.table.cost'),
      align: 'end',
      sort: (r) => r.cost_nanos,
      render: (r) => money(r.cost_nanos / 1e9),
    },
    total.cost_nanos > 0 && {
      key: 'share',
      title: t('usage.table.share'),
      align: 'end',
      sort: (r) => r.cost_nanos,
      render: (r) => percent(r.cost_nanos / total.cost_nanos, 1),
    },
  ].filter(Boolean);
}

function Shown({ data, asked, names, range }) {
  const { group, measure } = asked;
  const rows = useMemo(() => byName(data.rows, group), [data, group]);
  const drawn = useMemo(
    () => asSeries(data.rows, group, measure, range),
    [data, group, measure, range],
  );
  if (data.total.requests === 0) {
    return (
      <Section>
        <Empty
          icon="usage"
          title={t('usage.empty.title')}
          text={t('usage.empty.text')}
          action={
            can('chat') && (
              <Button kind="primary" icon="playground" href="/playground">
                {t('usage.empty.action')}
              </Button>
            )
          }
        />
      </Section>
    );
  }
  const series = drawn.series.map((s, i) => ({
    name: nameIn(names, group, s.name),
    values: s.values,
    color: i,
  }));
  return (
    <>
      {data.cut && (
        <Note tone="warn">
          <p>{t('usage.cut')}</p>
        </Note>
      )}
      <Totals total={data.total} />
      {series.length > 0 && (
        <Section title={t(`usage.chart.${measure}`)} text={t('usage.utc')}>
          <Chart
            bars
            series={series}
            times={drawn.times}
            unit={writes[measure]}
            label={t(`usage.chart.${measure}`)}
            height={240}
          />
        </Section>
      )}
      <Section flush>
        <Table
          label={t('usage.table.label', { group: t(`usage.group.${group}`) })}
          rows={rows}
          rowKey={(r) => r.name}
          columns={columnsOf(group, names, data.total)}
        />
      </Section>
    </>
  );
}

function useAsked() {
  const { query } = useRoute();
  const one = (name, all, otherwise) =>
    all.includes(query.get(name)) ? query.get(name) : otherwise;
  return {
    range: one('range', RANGES, '30d'),
    group: one('by', ['model', 'key', 'project', 'route'], 'model'),
    measure: one('show', MEASURES, 'cost'),
    project: query.get('project') ?? '',
    from: query.get('from') ?? '',
    to: query.get('to') ?? '',
  };
}

export default function Usage() {
  const asked = useAsked();
  const names = useApi(namesOf).data;
  useTick(60000); // an hour or a day that begins while the page is open belongs to it
  const { from, to, step } = rangeOf(asked.range, asked);
  const range = useMemo(() => ({ from, to, step }), [from, to, step]);
  const ask = useCallback(
    (signal) => fetchUsage({ range, group: asked.group, project: asked.project, signal }),
    [range, asked.group, asked.project],
  );
  const { data, error, reload } = useApi(ask, { poll: 30000 });
  const exportCsv = () => {
    const content = toCsv(
      data.rows,
      asked.group,
      (id) => nameIn(names, asked.group, id),
      data.currency,
    );
    saveAs(
      `usage-${new Date(range.from * 1000).toISOString().slice(0, 10)}-by-${asked.group}.csv`,
      content,
      'text/csv;charset=utf-8',
    );
    toast.ok(t('usage.exported', { n: number(data.rows.length) }));
  };
  return (
    <Page
      title={t('usage.title')}
      text={t('usage.about')}
      actions={
        <Button icon="download" disabled={!data || data.rows.length === 0} onClick={exportCsv}>
          {t('usage.export')}
        </Button>
      }>
      <Controls asked={asked} names={names} />
      <ErrorNote error={error} retry={reload} />
      {data ? (
        <Shown data={data} asked={asked} names={names} range={range} />
      ) : (
        !error && <Loading rows={8} />
      )}
      <Budgets />
      <Prices />
    </Page>
  );
}
