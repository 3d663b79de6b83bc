// One endpoint: how it stands, who serves it, what it did.
import { useState } from 'preact/hooks';
import { useHistory } from '../../lib/history.js';
import { useApi } from '../../lib/hooks.js';
import { duration, number, t } from '../../lib/i18n.js';
import { navigate } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Button,
  Code,
  CopyValue,
  Empty,
  ErrorNote,
  Facts,
  Figures,
  Loading,
  Menu,
  Page,
  Section,
  Time,
} from '../../ui/index.js';
import { Canary } from './Canary.jsx';
import { Curves } from './Curves.jsx';
import { EditDialog } from './EditDialog.jsx';
import { Replicas } from './Replicas.jsx';
import { mayChange, pathOf, removeEndpoint } from './rights.js';
import { ScaleDialog } from './ScaleDialog.jsx';
import { useSpeeds } from './speeds.js';
import { State } from './State.jsx';
import { Timeline } from './Timeline.jsx';

const LIVE_MS = 2000;
const NOW = ['ttft_p95', 'completion_tokens'];
const NOW_S = 300; // of these figures

function Now({ live, speed, e }) {
  // by its id: a name may be that of two
  const { of } = useHistory(NOW, { range: NOW_S, labels: { endpoint: e.id } });
  const last = (name) => of(name).findLast((v) => v !== null) ?? null;
  const first = last('ttft_p95');
  const tokens = speed ?? last('completion_tokens');
  return (
    <Figures
      label={t('endpoints.figures')}
      items={[
        e.targets.some((x) => !x.url) && {
          label: t('endpoints.figure.ready'),
          text: t('endpoints.replicas.range', e.replicas),
          value: live ? t('endpoints.replicas.value', live.replicas) : '–',
        },
        { label: t('endpoints.figure.flight'), value: number(live?.in_flight) },
        {
          label: t('endpoints.figure.queue'),
          value: number(live?.queue),
          tone: live?.queue > 0 ? 'warn' : undefined,
        },
        { label: t('endpoints.figure.speed'), value: number(tokens, { digits: 0 }) },
        {
          label: t('endpoints.figure.first'),
          value: duration(first),
          text: t('endpoints.figure.first.text'),
        },
        {
          label: t('endpoints.figure.requests'),
          value: number(live?.requests, { compact: true }),
          text: t('endpoints.figure.requests.text', {
            t: live ? duration(Math.round(live.since_s)) : '–',
          }),
        },
      ].filter(Boolean)}
    />
  );
}

function About({ e }) {
  const local = e.targets.some((x) => !x.url);
  const curl = `curl ${location.origin}/v1/chat/completions \\
  -H "Authorization: Bearer $FEITIAN_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${e.name}", "messages": [{"role": "user", "content": "Hello"}]}'`;
  return (
    <div class="columns">
      <Section title={t('endpoints.call')}>
        <Code wrap text={curl} label={t('endpoints.call')} />
      </Section>
      <Section title={t('endpoints.advanced')}>
        <Facts
          rows={[
            [t('endpoints.fact.id'), <CopyValue text={e.id} />],
            [
              t('endpoints.fact.who'),
              e.project ? t('endpoints.of.project', { name: e.project }) : t('endpoints.common'),
            ],
            local && [t('endpoints.fact.replicas'), t('endpoints.replicas.range', e.replicas)],
            local && [t('endpoints.fact.load'), number(e.target_load)],
            local && e.replicas.min === 0 && [t('endpoints.fact.idle'), duration(e.idle_s)],
            [
              t('endpoints.fact.context'),
              e.n_ctx ? number(e.n_ctx) : t('endpoints.fact.context.model'),
            ],
            [t('endpoints.fact.made'), <Time at={e.created} />],
          ]}
        />
      </Section>
    </div>
  );
}

export function Detail({ id }) {
  const one = useApi(pathOf({ id }), { poll: 10000 });
  const status = useApi('/api/v1/status', { poll: LIVE_MS });
  const speeds = useSpeeds(status.data);
  const [dialog, setDialog] = useState(null);
  const back = { href: '/endpoints', title: t('endpoints.title') };
  const e = one.data;
  if (!e)
    return (
      <Page title={id} back={back}>
        {one.error?.status === 404 && (
          <Empty
            icon="endpoints"
            title={t('endpoints.missing')}
            text={t('endpoints.missing.text')}
            action={<Button href="/endpoints">{t('endpoints.back')}</Button>}
          />
        )}
        {one.error && one.error.status !== 404 && (
          <ErrorNote error={one.error} retry={one.reload} />
        )}
        {!one.error && <Loading rows={6} />}
      </Page>
    );
  const live = status.data?.serving.endpoints.find((x) => x.id === id);
  const may = mayChange(e);
  const reload = () => {
    one.reload();
    status.reload();
  };
  const scale = may && e.targets.some((x) => !x.url) ? () => setDialog('scale') : null;
  return (
    <Page
      title={e.name}
      back={back}
      tools={<State live={live} />}
      actions={
        <>
          {can('developer') && (
            <Button icon="playground" href={`/playground?model=${encodeURIComponent(e.name)}`}>
              {t('endpoints.try')}
            </Button>
          )}
          {scale && (
            <Button icon="layers" onClick={scale}>
              {t('endpoints.scale')}
            </Button>
          )}
          {may && (
            <Button icon="edit" onClick={() => setDialog('edit')}>
              {t('endpoints.edit')}
            </Button>
          )}
          {may && (
            <Menu
              label={`${e.name}: ${t('endpoints.advanced')}`}
              small={false}
              items={[
                {
                  label: t('endpoints.remove'),
                  icon: 'trash',
                  danger: true,
                  onClick: () => removeEndpoint(e, () => navigate('/endpoints')),
                },
              ]}
            />
          )}
        </>
      }>
      <ErrorNote error={one.error ?? status.error} retry={reload} />
      <Now live={live} speed={status.data?.serving.workers ? speeds.get(id) : null} e={e} />
      {e.targets.length > 1 && <Canary endpoint={e} live={live} may={may} onDone={reload} />}
      <Replicas live={live} workers={status.data?.serving.workers} onScale={scale} />
      <Curves endpoint={e.id} />
      <Timeline endpoint={e.name} />
      <About e={e} />
      {dialog === 'scale' && (
        <ScaleDialog endpoint={e} onDone={reload} onClose={() => setDialog(null)} />
      )}
      {dialog === 'edit' && (
        <EditDialog endpoint={e} onDone={reload} onClose={() => setDialog(null)} />
      )}
    </Page>
  );
}
