// All jobs of the project, and how far each has come.
import { useCallback, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { duration, number, t } from '../../lib/i18n.js';
import { can } from '../../lib/session.js';
import { Badge, Button, Empty, ErrorNote, Page, Section, Table, Time } from '../../ui/index.js';

const JOBS = '/v1/fine_tuning/jobs';
const PAGE = 50;
const TONES = {
  validating_files: 'info',
  queued: 'info',
  running: 'info',
  paused: 'warn',
  succeeded: 'ok',
  failed: 'bad',
  cancelled: 'none',
};

export const isOver = (job) => ['succeeded', 'failed', 'cancelled'].includes(job.status);
export const nameOf = (job) =>
  job.user_provided_suffix || job.id.replace(/^ftjob-/, '').slice(0, 8);

export function State({ job }) {
  return (
    <Badge tone={TONES[job.status]} dot>
      {t(`tuning.state.${job.status}`)}
    </Badge>
  );
}

// Jobs of before it was told have none.
export const stepOf = ({ progress: p, status }) => p.step ?? (status === 'succeeded' ? p.steps : 0);

// Also beside a job that stands still: how far it came.
export function JobProgress({ job }) {
  const p = job.progress;
  if (!p) return <span class="muted">–</span>;
  const step = stepOf(job);
  return (
    <span class="tuning-progress">
      <progress
        max="1"
        value={p.steps > 0 ? step / p.steps : 0}
        aria-label={t('tuning.progress.label', { name: nameOf(job) })}
      />
      <span class="muted figures">
        {number(step)}/{number(p.steps)}
      </span>
    </span>
  );
}

function columnsOf() {
  return [
    {
      key: 'name',
      title: t('tuning.list.name'),
      render: (j) => <span class="strong">{nameOf(j)}</span>,
      sort: nameOf,
    },
    { key: 'model', title: t('tuning.list.base'), render: (j) => j.model, sort: (j) => j.model },
    {
      key: 'state',
      title: t('tuning.list.state'),
      render: (j) => <State job={j} />,
      sort: (j) => j.status,
    },
    { key: 'progress', title: t('tuning.list.progress'), render: (j) => <JobProgress job={j} /> },
    {
      key: 'loss',
      title: t('tuning.list.loss'),
      align: 'end',
      sort: (j) => j.progress?.train_loss ?? null,
      render: (j) => number(j.progress?.valid_loss ?? j.progress?.train_loss, { digits: 4 }),
    },
    {
      key: 'created',
      title: t('tuning.list.created'),
      render: (j) => <Time at={j.created_at} />,
      sort: (j) => j.created_at,
    },
    {
      key: 'took',
      title: t('tuning.list.took'),
      align: 'end',
      render: (j) => duration(j.finished_at ? j.finished_at - j.created_at : NaN),
    },
  ];
}

export function List() {
  const [limit, setLimit] = useState(PAGE);
  const ask = useCallback(
    async (signal) => {
      const jobs = [];
      let more = true;
      while (more && jobs.length < limit) {
        const after = jobs.length > 0 ? `&after=${jobs.at(-1).id}` : '';
        const page = await api.get(`${JOBS}?limit=${PAGE}${after}`, { signal });
        jobs.push(...page.data);
        more = page.has_more && page.data.length > 0;
      }
      return { jobs, more };
    },
    [limit],
  );
  const { data, error, loading, reload } = useApi(ask, { poll: 3000 });
  const may = can('developer', 'fine_tuning', 'files');
  const create = may && (
    <Button kind="primary" icon="plus" href="/tuning/new">
      {t('tuning.new')}
    </Button>
  );
  const none = (
    <Empty
      icon="tune"
      title={t('tuning.empty.title')}
      text={t('tuning.empty.text')}
      action={create}
    />
  );
  return (
    <Page
      title={t('tuning.title')}
      text={t('tuning.about')}
      actions={data?.jobs.length > 0 && create}>
      <ErrorNote error={error} retry={reload} />
      {(data || !error) && (
        <Section flush>
          <Table
            label={t('tuning.list.label')}
            columns={columnsOf()}
            rows={data?.jobs}
            empty={none}
            rowHref={(j) => `/tuning/${j.id}`}
            more={data?.more && { busy: loading, onMore: () => setLimit(limit + PAGE) }}
          />
        </Section>
      )}
    </Page>
  );
}
