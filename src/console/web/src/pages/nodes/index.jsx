// The machines, what runs on them, what their checks say; and what happened.
import { useState } from 'preact/hooks';
import { useApi } from '../../lib/hooks.js';
import { rangeOptions, useHistory } from '../../lib/history.js';
import { addText, bytes, duration, hasText, number, t } from '../../lib/i18n.js';
import { checkName, said } from '../../lib/said.js';
import { navigate, useRoute } from '../../lib/router.js';
import {
  Badge,
  Chart,
  Choice,
  Empty,
  ErrorNote,
  Facts,
  Icon,
  Loading,
  Meter,
  Page,
  Section,
  Table,
  TabPanel,
  Tabs,
} from '../../ui/index.js';
import { Events } from './Events.jsx';
import * as text from './text.js';

addText('nodes', text);

const POLL_MS = 5000;
const TONES = { ready: 'ok', starting: 'info', resting: 'warn' };

function stateOf(worker) {
  const key = `nodes.state_${worker.state}`;
  return (
    <span class="row">
      <Badge tone={TONES[worker.state]} dot>
        {hasText(key) ? t(key) : worker.state}
      </Badge>
      <span class="muted small">
        {t('nodes.since', { time: duration(Math.floor(worker.since_s)) })}
      </span>
    </span>
  );
}

// What one takes of the machine; by its own account where the machine does not measure it.
function memoryOf({ memory_bytes: measured, health }) {
  if (measured > 0) return measured;
  const weights = (health?.models ?? []).reduce((sum, m) => sum + (m.weight_bytes ?? 0), 0);
  return weights + (health?.kv_bytes ?? 0) || null;
}

function Workers({ workers }) {
  const columns = [
    {
      key: 'id',
      title: t('nodes.worker'),
      class: 'cell-tight',
      sort: (w) => w.id,
      render: (w) =>
        w.id === 'quarantine' ? <span title={t('nodes.quarantine')}>{w.id}</span> : w.id,
    },
    { key: 'state', title: t('nodes.state'), render: stateOf },
    {
      key: 'models',
      title: t('nodes.models'),
      render: (w) => (w.models ?? []).map((m) => m.name).join(', ') || '–',
    },
    {
      key: 'running',
      title: t('nodes.running'),
      align: 'end',
      sort: (w) => w.running,
      render: (w) => number(w.running),
    },
    {
      key: 'waiting',
      title: t('nodes.waiting'),
      align: 'end',
      render: (w) => number(w.waiting ?? 0),
    },
    {
      key: 'speed',
      title: t('nodes.speed'),
      align: 'end',
      render: (w) => number(w.tokens_per_second, { digits: 1 }),
    },
    {
      key: 'memory',
      title: t('nodes.worker_memory'),
      align: 'end',
      sort: memoryOf,
      render: (w) =>
        [memoryOf(w), w.memory_limit_bytes || null]
          .filter((n) => n !== null)
          .map((n) => bytes(n))
          .join(' / '),
    },
    {
      key: 'restarts',
      title: t('nodes.restarts'),
      align: 'end',
      sort: (w) => w.restarts,
      render: (w) => (
        <span title={w.last_end ? t('nodes.last_end', { text: said(w.last_end) }) : undefined}>
          {number(w.restarts)}
        </span>
      ),
    },
  ];
  return (
    <Section title={t('nodes.workers')} flush>
      <Table
        label={t('nodes.workers')}
        columns={columns}
        rows={workers}
        empty={<Empty icon="cpu" title={t('nodes.no_workers')} text={t('nodes.no_workers_text')} />}
      />
    </Section>
  );
}

function Checks({ checks }) {
  const bad = checks.filter((c) => c.level !== 'ok');
  const worst = { bad: 0, warn: 1, ok: 2 };
  const sorted = [...checks].sort((a, b) => worst[a.level] - worst[b.level]);
  const badge =
    bad.length === 0 ? (
      <Badge tone="ok" dot>
        {t('nodes.checks_well')}
      </Badge>
    ) : (
      <Badge tone={bad.some((c) => c.level === 'bad') ? 'bad' : 'warn'} dot>
        {t('nodes.checks_bad', { n: bad.length })}
      </Badge>
    );
  return (
    <Section title={t('nodes.checks')} actions={badge} flush>
      <ul class="nodes-checks">
        {sorted.map((check, i) => (
          <li key={`${check.name}-${i}`}>
            <Icon name={check.level} class={`tone-${check.level}`} />
            <span class="hidden">{t(`nodes.check_${check.level}`)}</span>
            <span class="nodes-check-name muted">{checkName(check.name)}</span>
            <div class="note-words">
              {said(check.text)}
              {check.mend && <p class="muted small">{said(check.mend)}</p>}
            </div>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Use({ node }) {
  const { cpu, memory, disks } = node;
  const used = memory.total - memory.available;
  const two = (v) => number(v, { digits: 2 });
  return (
    <Section title={t('nodes.use')}>
      <div class="stack">
        <Facts
          rows={[
            [
              t('nodes.processor'),
              `${cpu.model} · ${t('nodes.cores', { n: cpu.cores, vectors: cpu.vectors })}`,
            ],
          ]}
        />
        <Meter
          label={t('nodes.load')}
          value={cpu.load[0]}
          max={cpu.cores}
          warn={1}
          bad={2}
          text={t('nodes.load_text', {
            now: two(cpu.load[0]),
            cores: cpu.cores,
            five: two(cpu.load[1]),
            fifteen: two(cpu.load[2]),
          })}
        />
        <Meter
          label={t('nodes.memory')}
          value={used}
          max={memory.total}
          text={t('nodes.used_of', { used: bytes(used), total: bytes(memory.total) })}
        />
        {disks.map((disk) => (
          <Meter
            key={disk.path}
            label={t('nodes.disk', { path: disk.path })}
            value={disk.total - disk.free}
            max={disk.total}
            text={t('nodes.used_of', {
              used: bytes(disk.total - disk.free),
              total: bytes(disk.total),
            })}
          />
        ))}
      </div>
    </Section>
  );
}

function Curves() {
  const [range, setRange] = useState('1h');
  const { times, of, error, reload } = useHistory(['cpu', 'memory_bytes'], { range });
  return (
    <Section
      title={t('nodes.curves')}
      actions={
        <Choice
          label={t('range.label')}
          hideLabel
          value={range}
          onChange={setRange}
          options={rangeOptions()}
        />
      }>
      <ErrorNote error={error} retry={reload} />
      <div class="columns">
        <Chart
          label={t('nodes.cpu_curve')}
          times={times ?? []}
          height={140}
          series={[{ name: t('nodes.cpu_curve'), values: of('cpu') }]}
          unit={(v) => number(v, { digits: 2 })}
        />
        <Chart
          label={t('nodes.memory_curve')}
          times={times ?? []}
          height={140}
          series={[{ name: t('nodes.memory_curve'), values: of('memory_bytes'), color: 2 }]}
          unit={bytes}
        />
      </div>
    </Section>
  );
}

function Node({ node }) {
  return (
    <div class="stack nodes-node">
      <h2 class="nodes-name">
        {node.name}
        <Badge>{t('nodes.version', { version: node.version })}</Badge>
        <Badge>{t('nodes.up', { time: duration(node.uptime_s) })}</Badge>
      </h2>
      <div class="columns">
        <Use node={node} />
        <Checks checks={node.checks} />
      </div>
      <Workers workers={node.workers} />
    </div>
  );
}

function Machines() {
  const { data, error, reload } = useApi('/api/v1/nodes', { poll: POLL_MS });
  return (
    <>
      <ErrorNote error={error} retry={reload} />
      {!data && !error && <Loading rows={8} />}
      {data && data.data.map((node) => <Node key={node.id} node={node} />)}
      {data && <Curves />}
    </>
  );
}

export default function Nodes() {
  const { rest } = useRoute();
  const tab = rest[0] === 'events' ? 'events' : 'machines';
  const tabs = ['machines', 'events'].map((id) => ({ id, title: t(`nodes.tab_${id}`) }));
  return (
    <Page title={t('nodes.title')} text={t('nodes.text')}>
      <Tabs
        label={t('nodes.title')}
        tabs={tabs}
        value={tab}
        onChange={(id) => navigate(id === 'events' ? '/nodes/events' : '/nodes', { replace: true })}
      />
      <TabPanel id={tab}>{tab === 'events' ? <Events /> : <Machines />}</TabPanel>
    </Page>
  );
}
