// Batches of the project: how far they are, their results.
import { api } from '../../lib/api.js';
import { saveAs } from '../../lib/files.js';
import { useGrowing } from '../../lib/hooks.js';
import { number, t } from '../../lib/i18n.js';
import { Link } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Badge,
  Code,
  confirmDelete,
  Empty,
  ErrorNote,
  Menu,
  Section,
  Table,
  Time,
  toast,
} from '../../ui/index.js';

const PAGE = 50;
const TONES = {
  validating: 'info',
  in_progress: 'info',
  finalizing: 'info',
  completed: 'ok',
  failed: 'bad',
  expired: 'warn',
  cancelling: 'warn',
  cancelled: 'none',
};
const OVER = new Set(['completed', 'failed', 'expired', 'cancelled', 'cancelling']);

function Lines({ batch: b }) {
  const { total, completed, failed } = b.request_counts;
  return (
    <span class="requests-lines">
      <progress
        max="1"
        value={total > 0 ? (completed + failed) / total : 0}
        aria-label={t('requests.batches.progress')}
      />
      <span class="figures">
        {t('requests.batch.progress', { done: number(completed + failed), all: number(total) })}
      </span>
      {failed > 0 && (
        <Badge tone="bad">{t('requests.batches.failed_n', { n: number(failed) })}</Badge>
      )}
    </span>
  );
}

async function save(id, name) {
  try {
    saveAs(name, await (await api.raw('GET', `/v1/files/${id}/content`)).blob());
  } catch (e) {
    toast.error(e);
  }
}

function Actions({ batch: b, reload }) {
  const cancel = async () => {
    const done = await confirmDelete({
      what: b.id,
      title: t('requests.batch.cancel.title'),
      text: t('requests.batch.cancel.text'),
      verb: t('requests.batch.cancel.yes'),
      action: () => api.post(`/v1/batches/${b.id}/cancel`),
    });
    if (done) reload();
  };
  const file = (id, word, name) =>
    id && { label: t(`requests.batch.${word}`), icon: 'download', onClick: () => save(id, name) };
  const items = [
    file(b.output_file_id, 'results', `${b.id}-results.jsonl`),
    file(b.error_file_id, 'errors', `${b.id}-errors.jsonl`),
    file(b.input_file_id, 'input', `${b.id}-input.jsonl`),
    can('developer', 'batches') &&
      !OVER.has(b.status) && {
        label: t('requests.batch.cancel'),
        icon: 'stop',
        danger: true,
        onClick: cancel,
      },
  ];
  return <Menu label={t('requests.batch.actions', { id: b.id })} items={items.filter(Boolean)} />;
}

async function pageOf(last, signal) {
  const after = last ? `&after=${last.data.at(-1).id}` : '';
  const page = await api.get(`/v1/batches?limit=${PAGE}${after}`, { signal });
  return { ...page, more: page.has_more && page.data.length > 0 };
}

export function Batches() {
  const { data: pages, error, busy, reload, next } = useGrowing(pageOf, { poll: 3000 });
  const data = pages && { rows: pages.flatMap((p) => p.data), more: pages.at(-1).more };
  const columns = [
    {
      key: 'id',
      title: t('requests.batches.id'),
      render: (b) => (
        <Link href={`/requests?batch=${b.id}`} title={t('requests.batch.lines')}>
          <code>{b.id}</code>
        </Link>
      ),
    },
    {
      key: 'status',
      title: t('requests.status'),
      render: (b) => (
        <Badge tone={TONES[b.status]} dot>
          {t(`requests.batch.${b.status}`)}
        </Badge>
      ),
    },
    { key: 'endpoint', title: t('requests.batches.endpoint'), render: (b) => b.endpoint },
    { key: 'lines', title: t('requests.batches.progress'), render: (b) => <Lines batch={b} /> },
    {
      key: 'created',
      title: t('requests.batches.created'),
      render: (b) => <Time at={b.created_at} />,
    },
    {
      key: 'menu',
      title: '',
      align: 'end',
      class: 'cell-tight',
      render: (b) => <Actions batch={b} reload={reload} />,
    },
  ];
  return (
    <>
      <ErrorNote error={error} retry={reload} />
      {(data || !error) && (
        <Section flush>
          <Table
            label={t('requests.batches.label')}
            columns={columns}
            rows={data?.rows}
            empty={
              <Empty
                icon="layers"
                title={t('requests.batches.empty.title')}
                text={t('requests.batches.empty.text')}
                action={
                  <Code
                    text="feitian batch create requests.jsonl --wait"
                    label={t('requests.batches.title')}
                  />
                }
              />
            }
            more={data?.more && { busy, onMore: next }}
          />
        </Section>
      )}
    </>
  );
}
