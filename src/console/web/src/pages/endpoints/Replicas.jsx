// Who serves the endpoint just now.
import { bytes, duration, number, percent, t } from '../../lib/i18n.js';
import { said } from '../../lib/said.js';
import { Badge, Button, Empty, Progress, Section, Table } from '../../ui/index.js';
import { replicasOf } from './live.js';

function StateOf({ r }) {
  if (r.url) {
    if (r.answered === false)
      return (
        <Badge tone="bad" dot>
          {t('endpoints.state.silent')}
        </Badge>
      );
    return r.answered === null ? (
      <Badge dot>{t('endpoints.live.asked')}</Badge>
    ) : (
      <Badge tone="ok" dot>
        {t('endpoints.live.elsewhere')}
      </Badge>
    );
  }
  if (r.load !== null && r.load !== undefined)
    return <Progress value={r.load} label={t('endpoints.live.loading', { p: percent(r.load) })} />;
  const tone = { ready: 'ok', failed: 'bad', starting: 'info', adding: 'info' }[r.state] ?? 'none';
  return (
    <Badge tone={tone} dot>
      {t(`endpoints.${r.workerState ? 'worker' : 'held'}.${r.state}`)}
    </Badge>
  );
}

function Past({ r }) {
  const words = [
    r.restarts > 0 && t('endpoints.live.restarts', { n: r.restarts }),
    r.last && t('endpoints.live.last', { text: said(r.last) }),
  ].filter(Boolean);
  return words.length > 0 && <span class="muted small">{words.join(' · ')}</span>;
}

export function Replicas({ live, workers, onScale }) {
  const rows = replicasOf(live, workers);
  const columns = [
    {
      key: 'what',
      title: t('endpoints.live.what'),
      class: 'ep-clip',
      render: (r) => (
        <span class="ep-stack">
          <span>
            {r.what}
            {r.n > 1 && ` × ${r.n}`}
          </span>
          <Past r={r} />
        </span>
      ),
    },
    workers && {
      key: 'worker',
      title: t('endpoints.live.worker'),
      render: (r) =>
        r.worker ? (
          <span>
            {r.worker}
            {r.pid && <span class="muted small"> · pid {r.pid}</span>}
          </span>
        ) : (
          '–'
        ),
    },
    { key: 'state', title: t('endpoints.live.state'), render: (r) => <StateOf r={r} /> },
    workers && {
      key: 'since',
      title: t('endpoints.live.since'),
      align: 'end',
      render: (r) => duration(r.since && Math.round(r.since)),
    },
    {
      key: 'running',
      title: t('endpoints.live.running'),
      align: 'end',
      render: (r) => number(r.running),
    },
    workers && {
      key: 'waiting',
      title: t('endpoints.live.waiting'),
      align: 'end',
      render: (r) => number(r.waiting),
    },
    workers && {
      key: 'memory',
      title: t('endpoints.live.memory'),
      align: 'end',
      render: (r) => bytes(r.memory),
    },
    workers && {
      key: 'speed',
      title: t('endpoints.live.speed'),
      align: 'end',
      render: (r) => number(r.speed, { digits: 0 }),
    },
  ].filter(Boolean);
  return (
    <Section title={t('endpoints.live')} flush>
      <Table
        label={t('endpoints.live')}
        columns={columns}
        rows={live ? rows : null}
        empty={
          <Empty
            icon="layers"
            title={t('endpoints.live.none')}
            text={t('endpoints.live.none.text')}
            action={onScale && <Button onClick={onScale}>{t('endpoints.live.scale')}</Button>}
          />
        }
      />
    </Section>
  );
}
