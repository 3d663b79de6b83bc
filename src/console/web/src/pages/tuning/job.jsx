// One job: how it goes, its curve, what came of it.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAction, useApi } from '../../lib/hooks.js';
import { dateTime, duration, number, t } from '../../lib/i18n.js';
import { inWords } from '../../lib/refusals.js';
import { said } from '../../lib/said.js';
import { Link, navigate } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Badge,
  Button,
  Chart,
  Checkbox,
  Code,
  confirmDelete,
  CopyValue,
  Empty,
  ErrorNote,
  Facts,
  Figures,
  Icon,
  Loading,
  Note,
  Original,
  Page,
  Section,
  Table,
  Time,
  toast,
} from '../../ui/index.js';
import { Compare } from './compare.jsx';
import { curveOf, moreEvents, smooth } from './curve.js';
import { isOver, nameOf, State, stepOf } from './list.jsx';

const JOBS = '/v1/fine_tuning/jobs';
const LIVE_MS = 1500;

// The job with its events, checkpoints and, at its end, who
// answers by its names; again and again until it is over.
function useJob(id) {
  const events = useRef([]);
  const over = useRef(false);
  const [poll, setPoll] = useState(LIVE_MS);
  const ask = useCallback(
    async (signal) => {
      const job = await api.get(`${JOBS}/${id}`, { signal });
      events.current = await moreEvents(id, events.current, signal);
      const [points, models] = await Promise.all([
        api.get(`${JOBS}/${id}/checkpoints?limit=1000`, { signal }),
        isOver(job) ? api.get('/v1/models', { signal }) : { data: [] },
      ]);
      over.current = isOver(job);
      return {
        job,
        events: events.current,
        points: points.data,
        names: new Set(models.data.map((m) => m.id)),
      };
    },
    [id],
  );
  const state = useApi(ask, { poll });
  useEffect(() => setPoll(over.current ? 0 : LIVE_MS), [state.data]);
  return state;
}

/* ---- what can be done ---- */

function Actions({ job, reload, gone }) {
  const [act, busy] = useAction(async (word, said) => {
    try {
      await api.post(`${JOBS}/${job.id}/${word}`);
      toast.ok(t(`tuning.${said}`));
    } catch (e) {
      toast.error(e);
    }
    reload();
  });
  if (!can('developer', 'fine_tuning')) return null;
  const cancel = () =>
    confirmDelete({
      what: job.id,
      title: t('tuning.cancel.title'),
      text: t('tuning.cancel.text'),
      verb: t('tuning.cancel.yes'),
      action: () => act('cancel', 'cancelled.ok'),
    });
  const remove = async () => {
    const done = await confirmDelete({
      what: nameOf(job),
      typed: true,
      text: t('tuning.delete.what', { model: job.fine_tuned_model }),
      title: t('tuning.delete'),
      action: () => api.del(`/v1/models/${encodeURIComponent(job.fine_tuned_model)}`),
    });
    if (!done) return;
    toast.ok(t('tuning.delete.ok'));
    reload();
  };
  if (isOver(job)) {
    return (
      job.status === 'succeeded' &&
      !gone && (
        <Button icon="trash" onClick={remove}>
          {t('tuning.delete')}
        </Button>
      )
    );
  }
  return (
    <>
      {job.status === 'paused' ? (
        <Button kind="primary" icon="play" busy={busy} onClick={() => act('resume', 'resumed.ok')}>
          {t('tuning.resume')}
        </Button>
      ) : (
        <Button icon="pause" busy={busy} onClick={() => act('pause', 'paused.ok')}>
          {t('tuning.pause')}
        </Button>
      )}
      <Button icon="stop" onClick={cancel}>
        {t('tuning.cancel')}
      </Button>
    </>
  );
}

/* ---- how it goes ---- */

function Stand({ job }) {
  const p = job.progress;
  const left = job.estimated_finish ? Math.max(0, job.estimated_finish - Date.now() / 1000) : NaN;
  const took = job.finished_at ? job.finished_at - job.created_at : NaN;
  return (
    <Figures
      label={nameOf(job)}
      items={[
        {
          label: t('tuning.stat.step'),
          value: p ? (
            <>
              {number(stepOf(job))}
              <span class="muted"> / {number(p.steps)}</span>
            </>
          ) : (
            '–'
          ),
          text: p && (
            <progress
              class="tuning-tile-progress"
              max="1"
              value={p.steps > 0 ? stepOf(job) / p.steps : 0}
              aria-label={t('tuning.stat.step')}
            />
          ),
        },
        { label: t('tuning.stat.train'), value: number(p?.train_loss, { digits: 4 }) },
        {
          label: t('tuning.stat.valid'),
          value: number(p?.valid_loss, { digits: 4 }),
          text: !job.validation_file && t('tuning.stat.no_valid'),
        },
        { label: t('tuning.stat.tokens'), value: number(job.trained_tokens ?? p?.tokens) },
        isOver(job)
          ? { label: t('tuning.stat.took'), value: duration(took) }
          : {
              label: t('tuning.stat.left'),
              value: job.status === 'running' ? duration(left) : '–',
            },
      ]}
    />
  );
}

function Waits({ job }) {
  if (job.status === 'failed') {
    const error = inWords(job.error ?? {});
    return (
      <Note tone="bad" title={t('tuning.job.failed')}>
        <p>{error.message}</p>
        <Original text={error.original} />
      </Note>
    );
  }
  const key = { validating_files: 'job.files', queued: job.progress ? 'job.begins' : 'job.waits' }[
    job.status
  ];
  return key ? (
    <Note tone="info">
      <p>{t(`tuning.${key}`)}</p>
    </Note>
  ) : null;
}

function Curve({ events }) {
  const { steps, train, valid } = curveOf(events);
  if (steps.length === 0) return <p class="muted pad">{t('tuning.curve.none')}</p>;
  const write = (v) => number(v, { digits: 4 });
  const series = [{ name: t('tuning.curve.train'), values: train, color: 0, faint: true }];
  if (steps.length > 20)
    series.push({ name: t('tuning.curve.smooth'), values: smooth(train), color: 0 });
  else series[0].faint = false;
  if (valid.some((v) => v !== null))
    series.push({ name: t('tuning.curve.valid'), values: valid, color: 1, dots: true });
  return (
    <>
      <Chart
        x="number"
        xName={(step) => t('tuning.curve.at', { n: number(step) })}
        times={steps}
        series={series}
        unit={write}
        label={t('tuning.curve.title')}
        height={260}
      />
      <details class="tuning-figures">
        <summary>{t('tuning.curve.table')}</summary>
        <div class="scroll-y">
          <Table
            label={t('tuning.curve.table')}
            rowKey={(r) => r.step}
            rows={steps.map((step, i) => ({ step, train: train[i], valid: valid[i] }))}
            columns={['step', 'train', 'valid'].map((key) => ({
              key,
              title: t(`tuning.curve.${key}`),
              align: 'end',
              render: (r) => (key === 'step' ? number(r.step) : write(r[key])),
            }))}
          />
        </div>
      </details>
    </>
  );
}

/* ---- what came of it ---- */

function Serve({ job }) {
  const model = job.fine_tuned_model;
  const curl = `curl ${window.location.origin}/v1/chat/completions \\
  -H "Authorization: Bearer $FEITIAN_API_KEY" -H "Content-Type: application/json" \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "…"}]}'`;
  const named = encodeURIComponent(model);
  return (
    <Section title={t('tuning.serve.title')} text={t('tuning.serve.about')} id="serve">
      <div class="stack">
        <Facts
          rows={[
            [t('tuning.serve.name'), <CopyValue text={model} />],
            job.repository && [
              t('tuning.serve.hub'),
              <Link href={`/models/hub/${job.repository}`}>{job.repository}</Link>,
            ],
          ]}
        />
        <Code text={curl} label={t('tuning.serve.curl')} />
        <div class="row">
          <Button icon="playground" href={`/playground?model=${named}`}>
            {t('tuning.serve.play')}
          </Button>
          <Button
            icon="endpoints"
            href={`/endpoints/${encodeURIComponent(`${model}@${job.organization_id}`)}`}>
            {t('tuning.serve.endpoint')}
          </Button>
        </div>
      </div>
    </Section>
  );
}

function Checkpoints({ points, names, over }) {
  const best = points
    .filter((p) => p.metrics.valid_loss > 0)
    .reduce((a, b) => (!a || b.metrics.valid_loss < a.metrics.valid_loss ? b : a), null);
  const columns = [
    {
      key: 'step',
      title: t('tuning.checkpoints.step'),
      sort: (p) => p.step_number,
      render: (p) => (
        <span class="figures">
          {number(p.step_number)}{' '}
          {p === best && <Badge tone="ok">{t('tuning.checkpoints.best')}</Badge>}
        </span>
      ),
    },
    {
      key: 'train',
      title: t('tuning.stat.train'),
      align: 'end',
      render: (p) => number(p.metrics.train_loss, { digits: 4 }),
    },
    {
      key: 'valid',
      title: t('tuning.stat.valid'),
      align: 'end',
      render: (p) => number(p.metrics.valid_loss, { digits: 4 }),
    },
    { key: 'at', title: t('tuning.checkpoints.at'), render: (p) => <Time at={p.created_at} /> },
    {
      key: 'model',
      title: t('tuning.checkpoints.model'),
      render: (p) =>
        over && names.has(p.fine_tuned_model_checkpoint) ? (
          <CopyValue text={p.fine_tuned_model_checkpoint} />
        ) : (
          <span class="muted">–</span>
        ),
    },
  ];
  return (
    <Section title={t('tuning.checkpoints.title')} text={t('tuning.checkpoints.about')} flush>
      <Table
        label={t('tuning.checkpoints.title')}
        columns={columns}
        rows={points}
        empty={<p class="muted pad">{t('tuning.checkpoints.none')}</p>}
      />
    </Section>
  );
}

/* ---- what happened ---- */

const EVENTS_SHOWN = 200;

function Events({ events }) {
  const [all, setAll] = useState(false);
  const shown = events.filter((e) => all || e.type !== 'metrics').slice(0, EVENTS_SHOWN);
  return (
    <Section
      title={t('tuning.events.title')}
      actions={<Checkbox label={t('tuning.events.metrics')} value={all} onChange={setAll} />}>
      {shown.length === 0 && <p class="muted">{t('tuning.events.none')}</p>}
      <ol class="tuning-log scroll-y" tabIndex={0} aria-label={t('tuning.events.title')}>
        {shown.map((e) => (
          <li key={e.id}>
            <span class="muted figures">
              {dateTime(e.created_at, { timeStyle: 'medium', dateStyle: 'short' })}
            </span>
            {e.level !== 'info' && (
              <Badge tone={e.level === 'error' ? 'bad' : 'warn'}>
                {t(`tuning.events.${e.level === 'error' ? 'error' : 'warn'}`)}
              </Badge>
            )}
            <span>{said(e.message)}</span>
          </li>
        ))}
      </ol>
    </Section>
  );
}

function FileLink({ id, name }) {
  return (
    <span class="copy-value">
      <code>{id}</code>
      <a
        class="button button-quiet button-small button-square"
        href={`/v1/files/${id}/content`}
        download={name}
        aria-label={`${t('tuning.details.download')} ${id}`}
        title={t('tuning.details.download')}>
        <Icon name="download" />
      </a>
    </span>
  );
}

function Details({ job }) {
  const h = job.hyperparameters;
  return (
    <Section title={t('tuning.details.title')}>
      <Facts
        rows={[
          [t('tuning.details.id'), <CopyValue text={job.id} />],
          [t('tuning.list.base'), job.model],
          [t('tuning.review.method'), t(`tuning.method.${job.method.type}`)],
          [t('tuning.epochs'), number(h.n_epochs)],
          [t('tuning.batch'), number(h.batch_size)],
          [t('tuning.rate'), number(h.learning_rate_multiplier, { digits: 4 })],
          h.beta !== undefined && [t('tuning.beta'), number(h.beta, { digits: 4 })],
          [t('tuning.details.seed'), <span class="figures">{String(job.seed)}</span>],
          [t('tuning.details.train'), <FileLink id={job.training_file} name="train.jsonl" />],
          job.validation_file && [
            t('tuning.details.valid'),
            <FileLink id={job.validation_file} name="valid.jsonl" />,
          ],
          job.result_files.length > 0 && [
            t('tuning.details.metrics'),
            <FileLink id={job.result_files[0]} name="metrics.csv" />,
          ],
          [t('tuning.details.created'), dateTime(job.created_at)],
          job.finished_at && [t('tuning.details.finished'), dateTime(job.finished_at)],
        ]}
      />
    </Section>
  );
}

export function Job({ id }) {
  const { data, error, reload } = useJob(id);
  const back = { href: '/tuning', title: t('tuning.title') };
  if (!data) {
    return (
      <Page title={id.slice(0, 14)} back={back}>
        {error?.status === 404 ? (
          <Empty
            icon="tune"
            title={t('tuning.job.gone')}
            action={<Button onClick={() => navigate('/tuning')}>{t('tuning.job.all')}</Button>}
          />
        ) : (
          <ErrorNote error={error} retry={reload} />
        )}
        {!error && <Loading rows={6} />}
      </Page>
    );
  }
  const { job, events, points, names } = data;
  const answers = job.status === 'succeeded' && names.has(job.fine_tuned_model);
  return (
    <Page
      title={nameOf(job)}
      back={back}
      tools={<State job={job} />}
      actions={<Actions job={job} reload={reload} gone={!answers} />}>
      <ErrorNote error={error} retry={reload} />
      <Waits job={job} />
      <Stand job={job} />
      <Section title={t('tuning.curve.title')} text={t('tuning.curve.about')}>
        <Curve events={events} />
      </Section>
      {answers && can('chat') && (
        <Compare
          job={job}
          checkpoints={points.filter((p) => names.has(p.fine_tuned_model_checkpoint))}
        />
      )}
      {answers && <Serve job={job} />}
      <Checkpoints points={points} names={names} over={isOver(job)} />
      <Events events={events} />
      <Details job={job} />
    </Page>
  );
}
