// Endpoints: the list, and behind /endpoints/ID one of them.
import { useState } from 'preact/hooks';
import { whole } from '../../lib/all.js';
import { useFolded } from '../../lib/checkpoints.js';
import { useApi, useAsked } from '../../lib/hooks.js';
import { addText, number, t } from '../../lib/i18n.js';
import { navigate, useRoute } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import { Badge, Button, Empty, ErrorNote, Menu, Page, Section, Table } from '../../ui/index.js';
import { Detail } from './Detail.jsx';
import { EditDialog } from './EditDialog.jsx';
import { stateOf, targetName } from './live.js';
import { mayChange, removeEndpoint } from './rights.js';
import { ScaleDialog } from './ScaleDialog.jsx';
import { State } from './State.jsx';
import { useSpeeds } from './speeds.js';
import * as text from './text.js';

addText('endpoints', text);

const LIVE_MS = 2000;

function Behind({ targets }) {
  return (
    <span class="ep-behind">
      <span>{targetName(targets[0])}</span>
      {targets.length > 1 && (
        <span class="muted small">{t('endpoints.more', { n: targets.length - 1 })}</span>
      )}
    </span>
  );
}

function List() {
  const endpoints = useApi(whole('/api/v1/endpoints'), { poll: 10000 });
  const status = useApi('/api/v1/status', { poll: LIVE_MS });
  const [dialog, setDialog] = useState(null); // {what: 'create' | 'edit' | 'scale', endpoint}
  useAsked('new', () => can('admin') && setDialog({ what: 'create' }));
  const live = new Map((status.data?.serving.endpoints ?? []).map((e) => [e.id, e]));
  const speeds = useSpeeds(status.data);
  const { rows, more } = useFolded(
    endpoints.data?.map((e) => ({ ...e, live: live.get(e.id), speed: speeds.get(e.id) })) ?? null,
  );
  const reload = () => {
    endpoints.reload();
    status.reload();
  };
  const items = (e) =>
    [
      can('developer') && {
        label: t('endpoints.try'),
        icon: 'playground',
        onClick: () => navigate(`/playground?model=${encodeURIComponent(e.name)}`),
      },
      mayChange(e) && {
        label: t('endpoints.scale'),
        icon: 'layers',
        onClick: () => setDialog({ what: 'scale', endpoint: e }),
      },
      mayChange(e) && {
        label: t('endpoints.edit'),
        icon: 'edit',
        onClick: () => setDialog({ what: 'edit', endpoint: e }),
      },
      mayChange(e) && {
        label: t('endpoints.remove'),
        icon: 'trash',
        danger: true,
        onClick: () => removeEndpoint(e, reload),
      },
    ].filter(Boolean);
  const columns = [
    {
      key: 'name',
      title: t('endpoints.col.name'),
      sort: (e) => e.name,
      render: (e) => (
        <span class="ep-name">
          <b>{e.name}</b>
          {e.project && <Badge>{t('endpoints.of.project', { name: e.project })}</Badge>}
        </span>
      ),
    },
    {
      key: 'state',
      title: t('endpoints.col.state'),
      sort: (e) => stateOf(e.live).state,
      render: (e) => <State live={e.live} />,
    },
    {
      key: 'behind',
      title: t('endpoints.col.behind'),
      class: 'ep-clip',
      render: (e) => <Behind targets={e.targets} />,
    },
    {
      key: 'replicas',
      title: t('endpoints.col.replicas'),
      align: 'end',
      sort: (e) => e.live?.replicas.ready,
      render: (e) =>
        e.live?.kind === 'url' ? (
          '–'
        ) : (
          <span class="ep-replicas">
            <span>{e.live ? t('endpoints.replicas.value', e.live.replicas) : '–'}</span>
            <span class="muted small">{t('endpoints.replicas.range', e.replicas)}</span>
          </span>
        ),
    },
    {
      key: 'load',
      title: t('endpoints.col.load'),
      align: 'end',
      sort: (e) => e.live?.in_flight,
      render: (e) => number(e.live?.in_flight),
    },
    {
      key: 'queue',
      title: t('endpoints.col.queue'),
      align: 'end',
      sort: (e) => e.live?.queue,
      render: (e) => number(e.live?.queue),
    },
    {
      key: 'speed',
      title: t('endpoints.col.speed'),
      align: 'end',
      sort: (e) => e.speed,
      render: (e) => number(e.speed, { digits: 0 }),
    },
    {
      key: 'requests',
      title: t('endpoints.col.requests'),
      align: 'end',
      sort: (e) => e.live?.requests,
      render: (e) => number(e.live?.requests, { compact: true }),
    },
    {
      key: 'acts',
      title: '',
      align: 'end',
      render: (e) =>
        items(e).length > 0 ? (
          <Menu label={`${e.name}: ${t('endpoints.edit')}`} items={items(e)} />
        ) : null,
    },
  ];
  const create = can('admin') && (
    <Button kind="primary" icon="plus" onClick={() => setDialog({ what: 'create' })}>
      {t('endpoints.create')}
    </Button>
  );
  return (
    <Page
      title={t('endpoints.title')}
      text={t('endpoints.text')}
      actions={endpoints.data?.length > 0 && create}>
      {endpoints.error && !endpoints.data ? (
        <ErrorNote error={endpoints.error} retry={endpoints.reload} />
      ) : (
        <>
          <ErrorNote error={status.error} retry={status.reload} />
          <Section flush class="ep-list">
            <Table
              label={t('endpoints.label')}
              columns={columns}
              rows={rows}
              more={more}
              sort={{ key: 'name', desc: false }}
              rowHref={(e) => `/endpoints/${encodeURIComponent(e.id)}`}
              empty={
                <Empty
                  icon="endpoints"
                  title={t('endpoints.none')}
                  text={t('endpoints.none.text')}
                  action={create}
                />
              }
            />
          </Section>
        </>
      )}
      {(dialog?.what === 'create' || dialog?.what === 'edit') && (
        <EditDialog
          endpoint={dialog.endpoint}
          onClose={() => setDialog(null)}
          onDone={(made) =>
            dialog.endpoint ? reload() : navigate(`/endpoints/${encodeURIComponent(made.id)}`)
          }
        />
      )}
      {dialog?.what === 'scale' && (
        <ScaleDialog endpoint={dialog.endpoint} onDone={reload} onClose={() => setDialog(null)} />
      )}
    </Page>
  );
}

export default function Endpoints() {
  const { rest } = useRoute();
  return rest.length > 0 ? <Detail key={rest.join('/')} id={rest.join('/')} /> : <List />;
}
