// What one looks at first: is all well, how busy is it, what does it cost, what wants attention.
import { useCallback, useMemo } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { dayStart, monthStart } from '../../lib/calendar.js';
import { isCheckpoint, useFolded } from '../../lib/checkpoints.js';
import { useApi } from '../../lib/hooks.js';
import { addText, bytes, money, number, t } from '../../lib/i18n.js';
import { Link } from '../../lib/router.js';
import { can, useMe } from '../../lib/session.js';
import { hasPage } from '../../pages.js';
import {
  Badge,
  Button,
  Empty,
  ErrorNote,
  Figures,
  Icon,
  Loading,
  Page,
  Section,
  Table,
} from '../../ui/index.js';
import { EventList } from '../../ui/EventList.jsx';
import { State } from '../endpoints/State.jsx';
import * as endpointText from '../endpoints/text.js';
import { attention } from './attention.js';
import { Curves } from './Curves.jsx';
import { Steps } from './Steps.jsx';
import * as text from './text.js';

addText('overview', text);
addText('endpoints', endpointText); // an endpoint is spoken of as on its own page

const LIVE_MS = 5000;
const SLOW_MS = 60000;
const EVENTS_SHOWN = 8;

// All that changes slowly, at once; what is refused or does not answer is null.
async function slowParts(signal, operator) {
  const now = Math.floor(Date.now() / 1000);
  const ask = (path) =>
    api.get(path, { signal }).catch((error) => {
      if (error.name === 'AbortError') throw error;
      return null;
    });
  const usage = (from, by) => `/api/v1/usage?start_time=${from}&group_by=${by}`;
  const names = {
    today: usage(dayStart(now), 'project'),
    month: usage(monthStart(now), 'project'),
    calls: usage(dayStart(now), 'route,status'),
    events: '/api/v1/events?limit=100',
    alerts: operator ? '/api/v1/alerts' : null,
    jobs: '/v1/fine_tuning/jobs?limit=20',
    batches: '/v1/batches?limit=20',
    nodes: operator ? '/api/v1/nodes' : null,
    projects: operator ? '/api/v1/projects?limit=100' : null,
  };
  const got = await Promise.all(
    Object.values(names).map((path) => (path === null ? null : ask(path))),
  );
  return Object.fromEntries(Object.keys(names).map((name, i) => [name, got[i]]));
}

function Attention({ list }) {
  return (
    <Section title={t('overview.attention')} flush>
      <ul class="overview-attention">
        {list.map((one) => (
          <li key={one.id}>
            <Icon name={one.tone} size={18} class={`tone-${one.tone}`} />
            <div class="note-words">
              <b>{one.title}</b>
              {one.text && <p class="muted">{one.text}</p>}
            </div>
            {hasPage(one.href.split('/')[1]) && (
              <Button small href={one.href} label={`${t('overview.look')}: ${one.title}`}>
                {t('overview.look')}
              </Button>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}

// What asks models; the console's own questions are requests too, and say nothing here.
const CALLS = ['chat.completions', 'completions', 'embeddings', 'rerank', 'responses', 'messages'];

function count(calls, status) {
  const of = (calls?.data ?? []).filter(
    (r) => CALLS.includes(r.route) && (status === null || r.status === status),
  );
  return of.reduce((n, r) => n + r.requests, 0);
}

function figures(status, { today, month, calls }) {
  const { serving, storage } = status;
  const waiting =
    serving.queue.waiting ??
    Object.values(serving.queue.projects).reduce((n, p) => n + (p.waiting ?? 0), 0);
  const used = today?.total;
  const failed = count(calls, 'error');
  const running = serving.endpoints.reduce((n, e) => n + e.in_flight, 0);
  const { workers } = serving; // operators see them; others the replicas of their endpoints
  const ready = workers
    ? workers.filter((w) => w.state === 'ready').length
    : serving.endpoints.filter((e) => e.kind !== 'url').reduce((n, e) => n + e.replicas.ready, 0);
  return [
    {
      label: t('overview.running'),
      value: number(running),
      text:
        waiting > 0 ? t('overview.waiting', { n: number(waiting) }) : t('overview.waiting_none'),
      tone: waiting > 0 ? 'warn' : '',
    },
    {
      label: t('overview.requests_today'),
      value: calls ? number(count(calls, null), { compact: true }) : '–',
      text: failed > 0 ? t('overview.errors_today', { n: number(failed) }) : null,
    },
    {
      label: t('overview.tokens_today'),
      value: number(used && used.prompt_tokens + used.completion_tokens, { compact: true }),
      text:
        used &&
        t('overview.tokens_text', {
          input: number(used.prompt_tokens, { compact: true }),
          output: number(used.completion_tokens, { compact: true }),
        }),
    },
    {
      label: t('overview.cost_today'),
      value: money(used?.cost),
      text: month && t('overview.cost_month', { sum: money(month.total.cost) }),
    },
    {
      label: t(workers ? 'overview.workers' : 'endpoints.col.replicas'),
      value: number(ready),
      text: workers
        ? t('overview.workers_text', { n: number(workers.length) })
        : ready === 0 && t('overview.workers_sleep'),
    },
    storage && {
      label: t('overview.stored'),
      value: bytes(storage.bytes),
      text: t('overview.stored_text', { n: number(storage.objects) }),
    },
  ].filter(Boolean);
}

// A checkpoint that does something is shown.
const isIdleCheckpoint = (e) =>
  isCheckpoint(e.name) && e.replicas.ready === 0 && e.in_flight === 0 && e.queue === 0;

function Endpoints({ list }) {
  const { rows, more } = useFolded(list, isIdleCheckpoint);
  const columns = [
    { key: 'name', title: t('endpoints.col.name'), sort: (e) => e.name },
    { key: 'state', title: t('endpoints.col.state'), render: (e) => <State live={e} /> },
    {
      key: 'replicas',
      title: t('endpoints.col.replicas'),
      align: 'end',
      render: (e) => (e.kind === 'url' ? '–' : t('endpoints.replicas.value', e.replicas)),
    },
    {
      key: 'in_flight',
      title: t('endpoints.col.load'),
      align: 'end',
      sort: (e) => e.in_flight,
      render: (e) => number(e.in_flight),
    },
    {
      key: 'queue',
      title: t('endpoints.col.queue'),
      align: 'end',
      sort: (e) => e.queue,
      render: (e) => number(e.queue),
    },
    {
      key: 'requests',
      title: t('endpoints.col.requests'),
      align: 'end',
      sort: (e) => e.requests,
      render: (e) => number(e.requests, { compact: true }),
    },
  ];
  const empty = (
    <Empty
      icon="endpoints"
      title={t('overview.no_endpoints')}
      text={t('overview.no_endpoints_text')}
      action={
        can('operator') &&
        hasPage('models') && (
          <Button kind="primary" href="/models">
            {t('overview.add_model')}
          </Button>
        )
      }
    />
  );
  return (
    <Section title={t('overview.endpoints')} flush>
      <Table
        label={t('overview.endpoints')}
        columns={columns}
        rows={rows}
        more={more}
        empty={empty}
        sort={{ key: 'name' }}
        rowHref={hasPage('endpoints') ? (e) => `/endpoints/${encodeURIComponent(e.id)}` : undefined}
      />
    </Section>
  );
}

export default function Overview() {
  const me = useMe();
  const operator = can('operator');
  const status = useApi('/api/v1/status', { poll: LIVE_MS });
  const slow = useApi(
    useCallback((signal) => slowParts(signal, operator), [operator]),
    { poll: SLOW_MS },
  );
  const parts = slow.data ?? {};
  const projects = parts.projects?.data ?? (me.project ? [me.project] : []);
  const list = useMemo(
    () => attention({ ...parts, status: status.data, projects }, Date.now() / 1000),
    [parts, status.data, projects],
  );
  const fresh = parts.month && parts.month.total.completion_tokens === 0;
  const bad = list.some((one) => one.tone === 'bad');
  const state =
    slow.data &&
    status.data &&
    (list.length === 0 ? (
      <Badge tone="ok" dot>
        {t('overview.well')}
      </Badge>
    ) : (
      <Badge tone={bad ? 'bad' : 'warn'} dot>
        {t('overview.attention_n', { n: list.length })}
      </Badge>
    ));
  return (
    <Page title={t('overview.title')} tools={state}>
      <ErrorNote
        error={status.error ?? slow.error}
        retry={() => {
          status.reload();
          slow.reload();
        }}
      />
      {(!status.data || !slow.data) && !status.error && <Loading rows={6} />}
      {status.data && slow.data && (
        <>
          {list.length > 0 && <Attention list={list} />}
          <div class="overview-tiles">
            <Figures label={t('overview.figures')} items={figures(status.data, parts)} />
          </div>
          {fresh && <Steps />}
          <Curves />
          <Endpoints list={status.data.serving.endpoints} />
          {parts.events && (
            <Section
              title={t('overview.events')}
              flush
              actions={
                operator &&
                hasPage('nodes') && (
                  <Link href="/nodes/events" class="small">
                    {t('ui.all')}
                  </Link>
                )
              }>
              {parts.events.data.length > 0 ? (
                <EventList events={parts.events.data.slice(0, EVENTS_SHOWN)} />
              ) : (
                <p class="empty muted">{t('overview.no_events')}</p>
              )}
            </Section>
          )}
        </>
      )}
    </Page>
  );
}
