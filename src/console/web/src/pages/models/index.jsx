// Models: what is registered, and the hub's repositories. Behind /models: a repository's own page.
import { useMemo, useState } from 'preact/hooks';
import { whole } from '../../lib/all.js';
import { isCheckpoint, useFolded } from '../../lib/checkpoints.js';
import { useApi, useAsked, useDebounced } from '../../lib/hooks.js';
import { addText, bytes, number, t } from '../../lib/i18n.js';
import { Link, navigate, setQuery, useRoute } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Badge,
  Button,
  confirmDelete,
  Empty,
  ErrorNote,
  Menu,
  Note,
  Page,
  Section,
  Table,
  TabPanel,
  Tabs,
  TextInput,
  Time,
  toast,
} from '../../ui/index.js';
import { api } from '../../lib/api.js';
import { AddDialog } from './AddDialog.jsx';
import { listRepos } from './hub.js';
import { NewDialog } from './NewDialog.jsx';
import { Repository } from './Repository.jsx';
import { ServeDialog } from './ServeDialog.jsx';
import { formatsOf, inSeconds, licenceOf, paramsOf, short } from './words.js';
import * as text from './text.js';

addText('models', text);

/* ---- registered ---- */

function usesOf(endpoints) {
  const uses = new Map();
  for (const e of endpoints ?? [])
    for (const target of e.targets)
      for (const name of [target.model, target.adapter])
        if (name && !target.url) uses.set(name, [...(uses.get(name) ?? []), e]);
  return uses;
}

const SERVED_SHOWN = 3;

function Served({ list }) {
  if (!list?.length) return <span class="muted">{t('models.served.none')}</span>;
  return (
    <span>
      {list.slice(0, SERVED_SHOWN).map((e, i) => (
        <span key={e.id}>
          {i > 0 && ', '}
          <Link href={`/endpoints/${encodeURIComponent(e.id)}`}>{e.name}</Link>
        </span>
      ))}
      {list.length > SERVED_SHOWN && (
        <span
          class="muted"
          title={list
            .slice(SERVED_SHOWN)
            .map((e) => e.name)
            .join(', ')}>
          {' '}
          +{list.length - SERVED_SHOWN}
        </span>
      )}
    </span>
  );
}

async function remove(model, uses, reload) {
  const used = uses.get(model.name) ?? [];
  const names = used.map((e) => e.name).join(', ');
  const cascade = used.length > 0 || model.name.startsWith('ft:') ? '?cascade=true' : '';
  const path = `/api/v1/models/${encodeURIComponent(model.id)}${cascade}`;
  const done = await confirmDelete({
    what: model.name,
    typed: true,
    verb: t('models.remove'),
    text: used.length ? t('models.remove.used', { names }) : t('models.remove.text'),
    action: () => api.del(path),
  });
  if (!done) return;
  toast.ok(t('models.remove.done', { name: model.name }));
  reload();
}

function Registered({ onAdd }) {
  const models = useApi(whole('/api/v1/models'), { poll: 10000 });
  const endpoints = useApi(whole('/api/v1/endpoints'), { poll: 10000 });
  const [serving, setServing] = useState(null);
  const uses = useMemo(() => usesOf(endpoints.data), [endpoints.data]);
  const { rows, all, more } = useFolded(models.data);
  const served = (m) => uses.get(m.name)?.filter((e) => all || !isCheckpoint(e.name));
  const items = (m) =>
    [
      can('developer') &&
        uses.get(m.name)?.length > 0 && {
          label: t('models.try'),
          icon: 'playground',
          onClick: () =>
            navigate(`/playground?model=${encodeURIComponent(uses.get(m.name)[0].name)}`),
        },
      m.hub && {
        label: t('models.in.hub'),
        icon: 'box',
        href: `/models/hub/${m.hub.split('@')[0]}`,
      },
      can('admin') &&
        !m.adapter_of && { label: t('models.serve'), icon: 'rocket', onClick: () => setServing(m) },
      can('operator') && {
        label: t('models.remove'),
        icon: 'trash',
        danger: true,
        onClick: () =>
          remove(m, uses, () => {
            models.reload();
            endpoints.reload();
          }),
      },
    ].filter(Boolean);
  const columns = [
    {
      key: 'name',
      title: t('models.col.name'),
      sort: (m) => m.name,
      render: (m) => (
        <span class="md-name">
          <b title={m.name}>{short(m)}</b>
          {m.adapter_of && (
            <span class="muted small">{t('models.adapter.of', { name: m.adapter_of })}</span>
          )}
        </span>
      ),
    },
    { key: 'served', title: t('models.col.served'), render: (m) => <Served list={served(m)} /> },
    { key: 'arch', title: t('models.col.arch'), sort: (m) => m.arch, render: (m) => m.arch ?? '–' },
    {
      key: 'format',
      title: t('models.col.format'),
      sort: (m) => m.format,
      render: (m) => m.format ?? '–',
    },
    {
      key: 'params',
      title: t('models.col.params'),
      align: 'end',
      sort: (m) => m.params,
      render: (m) => paramsOf(m.params),
    },
    {
      key: 'bytes',
      title: t('models.col.size'),
      align: 'end',
      sort: (m) => m.bytes,
      render: (m) => bytes(m.bytes),
    },
    {
      key: 'n_ctx',
      title: t('models.col.context'),
      align: 'end',
      sort: (m) => m.n_ctx,
      render: (m) => number(m.n_ctx),
    },
    {
      key: 'acts',
      title: '',
      align: 'end',
      render: (m) =>
        items(m).length > 0 ? (
          <Menu label={`${t('models.settings')}: ${m.name}`} items={items(m)} />
        ) : null,
    },
  ];
  if (models.error && !models.data) return <ErrorNote error={models.error} retry={models.reload} />;
  return (
    <>
      <Section flush class="md-list">
        <Table
          label={t('models.registered.label')}
          columns={columns}
          rows={rows}
          more={more}
          sort={{ key: 'name', desc: false }}
          empty={
            <Empty
              icon="models"
              title={t('models.registered.none')}
              text={t('models.registered.none.text')}
              action={
                can('developer') && (
                  <Button kind="primary" icon="plus" onClick={onAdd}>
                    {t('models.add')}
                  </Button>
                )
              }
            />
          }
        />
      </Section>
      {serving && (
        <ServeDialog
          model={serving.name}
          name={serving.name.split('/').pop()}
          onClose={() => setServing(null)}
        />
      )}
    </>
  );
}

/* ---- the hub ---- */

function Repositories({ kind, onNew }) {
  const [search, setSearch] = useState(() => new URLSearchParams(location.search).get('q') ?? '');
  const words = useDebounced(search);
  const ask = useMemo(
    () => (signal) => {
      setQuery({ q: words });
      return listRepos(kind, words.trim(), { signal });
    },
    [kind, words],
  );
  const { data, error, reload } = useApi(ask);
  const model = kind === 'models';
  const columns = [
    {
      key: 'id',
      title: t('models.col.name'),
      sort: (r) => r.id,
      render: (r) => (
        <span class="md-name">
          <b>{r.id}</b>
          {r.private && <Badge>{t('models.private')}</Badge>}
        </span>
      ),
    },
    model && {
      key: 'arch',
      title: t('models.col.arch'),
      render: (r) => r.inspected?.architecture ?? '–',
    },
    model && {
      key: 'params',
      title: t('models.col.params'),
      align: 'end',
      sort: (r) => r.inspected?.parameters,
      render: (r) => paramsOf(r.inspected?.parameters),
    },
    { key: 'format', title: t('models.col.format'), render: (r) => formatsOf(r.tags) || '–' },
    { key: 'licence', title: t('models.col.licence'), render: (r) => licenceOf(r) ?? '–' },
    {
      key: 'size',
      title: t('models.col.size'),
      align: 'end',
      sort: (r) => r.usedStorage,
      render: (r) => bytes(r.usedStorage),
    },
    {
      key: 'downloads',
      title: t('models.col.downloads'),
      align: 'end',
      sort: (r) => r.downloads,
      render: (r) => number(r.downloads),
    },
    {
      key: 'when',
      title: t('models.col.updated'),
      align: 'end',
      sort: (r) => r.lastModified,
      render: (r) => <Time at={inSeconds(r.lastModified)} />,
    },
  ].filter(Boolean);
  const empty = words.trim() ? (
    <Empty
      icon="search"
      title={t('models.repos.nothing')}
      text={t('models.repos.nothing.text')}
      action={<Button onClick={() => setSearch('')}>{t('models.repos.clear')}</Button>}
    />
  ) : (
    <Empty
      icon="box"
      title={t('models.repos.none')}
      text={t(`models.repos.none.${kind}`)}
      action={
        can('developer', 'hub.write') && (
          <Button kind="primary" icon="plus" onClick={onNew}>
            {t('models.new')}
          </Button>
        )
      }
    />
  );
  return (
    <>
      <div class="md-search">
        <TextInput
          type="search"
          label={t('models.search')}
          hideLabel
          placeholder={t('models.search')}
          value={search}
          onChange={setSearch}
        />
      </div>
      {error ? (
        <ErrorNote error={error} retry={reload} />
      ) : (
        <Section flush class="md-list">
          <Table
            label={t('models.repos.label')}
            columns={columns}
            rows={data?.list ?? null}
            empty={empty}
            rowHref={(r) => `/models/${model ? 'hub' : 'datasets'}/${r.id}`}
          />
        </Section>
      )}
      {data?.more && <Note>{t('models.repos.more', { n: number(data.list.length) })}</Note>}
    </>
  );
}

function Lists() {
  const { query } = useRoute();
  const [dialog, setDialog] = useState(null);
  const tabs = ['served', 'models', 'datasets'].map((id) => ({ id, title: t(`models.tab.${id}`) }));
  const tab = tabs.some((x) => x.id === query.get('tab')) ? query.get('tab') : 'served';
  const writes = can('developer', 'hub.write');
  useAsked('new', (what) => {
    if (what === 'repo' && writes) setDialog('new');
    if (what === 'model' && can('developer')) setDialog('add');
  });
  return (
    <Page
      title={t('models.title')}
      text={t('models.text')}
      actions={
        <>
          {writes && (
            <Button icon="plus" onClick={() => setDialog('new')}>
              {t('models.new')}
            </Button>
          )}
          {can('developer') && (
            <Button kind="primary" icon="download" onClick={() => setDialog('add')}>
              {t('models.add')}
            </Button>
          )}
        </>
      }>
      <Tabs
        tabs={tabs}
        value={tab}
        label={t('models.title')}
        onChange={(id) => setQuery({ tab: id === 'served' ? null : id, q: null })}
      />
      <TabPanel id={tab}>
        {tab === 'served' ? (
          <Registered onAdd={() => setDialog('add')} />
        ) : (
          <Repositories key={tab} kind={tab} onNew={() => setDialog('new')} />
        )}
      </TabPanel>
      {dialog === 'add' && (
        <AddDialog onNew={writes ? () => setDialog('new') : null} onClose={() => setDialog(null)} />
      )}
      {dialog === 'new' && (
        <NewDialog
          kind={tab === 'datasets' ? 'datasets' : 'models'}
          onClose={() => setDialog(null)}
        />
      )}
    </Page>
  );
}

export default function Models() {
  const { rest } = useRoute();
  if (rest.length === 3 && (rest[0] === 'hub' || rest[0] === 'datasets')) {
    const kind = rest[0] === 'hub' ? 'models' : 'datasets';
    const repo = `${rest[1]}/${rest[2]}`;
    return <Repository key={`${kind} ${repo}`} kind={kind} repo={repo} />;
  }
  return <Lists />;
}
