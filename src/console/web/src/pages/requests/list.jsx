// Requests one by one: those that run, then the newest; by what they are, live.
import { useCallback, useEffect, useState } from 'preact/hooks';
import { everyPage, namesOf } from '../../lib/all.js';
import { api } from '../../lib/api.js';
import { useApi, useGrowing } from '../../lib/hooks.js';
import { duration, hasText, money, number, t } from '../../lib/i18n.js';
import { Link, navigate, setQuery, useRoute } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Badge,
  Button,
  Checkbox,
  Empty,
  ErrorNote,
  Note,
  Section,
  Select,
  Table,
  TextInput,
  Time,
} from '../../ui/index.js';

const PAGE = 50;
const CALLS_MAX = 20; // for one page
const LIVE_MS = 2000;
const TONES = {
  running: 'info',
  ok: 'ok',
  cancelled: 'warn',
  error: 'bad',
  refused: 'warn',
  lost: 'bad',
};
const STATES = Object.keys(TONES);
// This page asks again and again: what it asks would soon be all that is seen, so it is left out
// until somebody wants it. As the ledger names them: those that are worth a choice.
const MOST = '!admin';
const EVERY = '*';
const ROUTES = [
  'chat.completions',
  'completions',
  'embeddings',
  'rerank',
  'responses',
  'messages',
  'fine_tuning.jobs',
  'files',
  'hub',
  's3',
  'admin',
];
const FILTERS = ['model', 'key', 'project', 'route', 'status', 'min_ms', 'batch'];

export function State({ request: r }) {
  const http =
    r.status === 'refused' || (r.status === 'error' && r.http >= 400) ? ` ${r.http}` : '';
  return (
    <Badge tone={TONES[r.status]} dot>
      {t(`requests.status.${r.status}`)}
      {http}
    </Badge>
  );
}

// Milliseconds, as a time.
export const span = (ms) => duration(typeof ms === 'number' ? ms / 1000 : NaN);

export function useNames() {
  const ask = useCallback(async (signal) => {
    const [names, models] = await Promise.all([
      namesOf(signal),
      everyPage('/api/v1/endpoints', signal).catch(() => []),
    ]);
    return { ...names, models: models.map((e) => e.name) };
  }, []);
  return useApi(ask).data ?? { key: new Map(), project: new Map(), models: [] };
}

export function routeName(route) {
  // s3.GetObject is an s3
  const known = [route, route.split('.')[0]].find((name) => hasText(`requests.kind.${name}`));
  return known ? t(`requests.kind.${known}`) : route;
}

// An id opens its request, wherever it came from.
export function Finder() {
  const [id, setId] = useState('');
  const go = (e) => {
    e.preventDefault();
    if (id.trim() !== '') navigate(`/requests/${encodeURIComponent(id.trim())}`);
  };
  return (
    <form class="requests-finder" role="search" onSubmit={go}>
      <TextInput
        label={t('requests.id.find')}
        hideLabel
        type="search"
        placeholder={t('requests.id.placeholder')}
        value={id}
        onChange={setId}
      />
      <Button type="submit" icon="search" disabled={id.trim() === ''}>
        {t('requests.id.go')}
      </Button>
    </form>
  );
}

function Filters({ asked, names, live, setLive }) {
  const set = (name) => (v) => setQuery({ [name]: v });
  const of = (map) => [...map].map(([value, label]) => ({ value, label }));
  const models = [...new Set([asked.model, ...names.models].filter((m) => m))];
  return (
    <div class="requests-filters">
      <Select
        label={t('requests.status')}
        value={asked.status}
        onChange={set('status')}
        empty={t('ui.all')}
        options={STATES.map((value) => ({ value, label: t(`requests.status.${value}`) }))}
      />
      <Select
        label={t('requests.model')}
        value={asked.model}
        onChange={set('model')}
        empty={t('ui.all')}
        options={models}
      />
      <Select
        label={t('requests.route')}
        value={asked.route}
        onChange={set('route')}
        empty={t('requests.route.most')}
        options={[
          { value: EVERY, label: t('requests.route.every') },
          ...ROUTES.map((value) => ({ value, label: routeName(value) })),
        ]}
      />
      <Select
        label={t('requests.key')}
        value={asked.key}
        onChange={set('key')}
        empty={t('ui.all')}
        options={of(names.key)}
      />
      {can('operator') && names.project.size > 1 && (
        <Select
          label={t('requests.project')}
          value={asked.project}
          onChange={set('project')}
          empty={t('ui.all')}
          options={of(names.project)}
        />
      )}
      <Select
        label={t('requests.slow')}
        value={asked.min_ms}
        onChange={set('min_ms')}
        empty={t('requests.slow.any')}
        options={['500', '1000', '5000', '30000'].map((value) => ({
          value,
          label: t(`requests.slow.${value}`),
        }))}
      />
      <Checkbox label={t('requests.live')} value={live} onChange={setLive} />
    </div>
  );
}

function columnsOf(names) {
  return [
    {
      key: 'when',
      title: t('requests.when'),
      class: 'requests-when',
      render: (r) => <Time at={r.start} />,
    },
    {
      key: 'status',
      title: t('requests.status'),
      class: 'requests-status',
      render: (r) => <State request={r} />,
    },
    {
      key: 'route',
      title: t('requests.route'),
      class: 'requests-second',
      render: (r) => routeName(r.route),
    },
    {
      key: 'model',
      title: t('requests.model'),
      class: 'requests-second',
      render: (r) => r.model || null,
    },
    {
      key: 'key',
      title: t('requests.key'),
      class: 'cell-wide requests-spare',
      render: (r) => names.key.get(r.key) ?? (r.key || null),
    },
    {
      key: 'took',
      title: t('requests.took'),
      align: 'end',
      class: 'requests-second',
      render: (r) => span(r.duration_ms),
    },
    {
      key: 'first',
      title: t('requests.first'),
      align: 'end',
      class: 'cell-wide requests-spare',
      render: (r) => (typeof r.first_token_ms === 'number' ? span(r.first_token_ms) : null),
    },
    {
      key: 'tokens',
      title: t('requests.tokens'),
      align: 'end',
      class: 'requests-second',
      render: (r) =>
        r.model ? `${number(r.prompt_tokens ?? 0)} → ${number(r.completion_tokens ?? 0)}` : null,
    },
    {
      key: 'cost',
      title: t('requests.cost'),
      align: 'end',
      class: 'requests-spare',
      render: (r) => (r.cost_nanos > 0 ? money(r.cost_nanos / 1e9) : null),
    },
  ];
}

function useAsked() {
  const { query } = useRoute();
  return Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? '']));
}

export function List() {
  const asked = useAsked();
  const names = useNames();
  const [live, setLive] = useState(true);
  const filtered = Object.values(asked).some((v) => v !== '');
  const route = asked.route === EVERY ? '' : asked.route || MOST;
  const withPages = asked.route === EVERY; // what they asked for themselves
  const text = new URLSearchParams(
    Object.entries({ ...asked, route, pages: withPages }).filter(([, v]) => v !== ''),
  ).toString();
  const [shown, setShown] = useState(1); // pages: the more, the more seldom they are asked for
  const ask = useCallback(
    async (last, signal) => {
      let after = last?.next;
      let page;
      // One call looks at a part of all requests: rare ones may take some.
      for (let calls = 0; calls < CALLS_MAX && (calls === 0 || after); calls++) {
        page = await api.get(
          `/api/v1/requests?limit=${PAGE}&${text}${after ? `&after=${after}` : ''}`,
          { signal },
        );
        if (page.data.length > 0) break;
        after = page.next;
      }
      return { ...page, more: page.has_more };
    },
    [text],
  );
  const {
    data: pages,
    error,
    busy,
    reload,
    next,
  } = useGrowing(ask, { poll: live ? LIVE_MS * shown : 0 });
  useEffect(() => setShown(pages?.length ?? 1), [pages?.length]);
  const data = pages && {
    rows: pages.flatMap((p) => p.data),
    more: pages.at(-1).more,
    partial: pages.some((p) => p.partial),
  };
  const none = filtered ? (
    <Empty
      icon="requests"
      title={t('requests.none')}
      action={<Button onClick={() => navigate('/requests')}>{t('requests.clear')}</Button>}
    />
  ) : (
    <Empty
      icon="requests"
      title={t('requests.empty.title')}
      text={t('requests.empty.text')}
      action={
        can('chat') && (
          <Button kind="primary" icon="playground" href="/playground">
            {t('requests.empty.action')}
          </Button>
        )
      }
    />
  );
  return (
    <>
      <Filters asked={asked} names={names} live={live} setLive={setLive} />
      <ErrorNote error={error} retry={reload} />
      {asked.batch && (
        <Note>
          <p>
            {t('requests.batch.alone', { batch: asked.batch })}{' '}
            <Link href="/requests">{t('requests.batch.every')}</Link>
          </p>
        </Note>
      )}
      {data?.partial && (
        <Note tone="warn">
          <p>{t('requests.partial')}</p>
        </Note>
      )}
      {(data || !error) && (
        <Section flush class="requests-list">
          <Table
            label={t('requests.label')}
            columns={columnsOf(names)}
            rows={data?.rows}
            rowHref={(r) => `/requests/${r.id}`}
            empty={none}
            more={data?.more && { busy, onMore: next }}
          />
        </Section>
      )}
    </>
  );
}
