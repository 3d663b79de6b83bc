// One request: what became of it, where its time went, why.
import { useEffect, useState } from 'preact/hooks';
import { useApi } from '../../lib/hooks.js';
import { bytes, dateTime, duration, hasText, lang, money, number, t } from '../../lib/i18n.js';
import { Link } from '../../lib/router.js';
import {
  Code,
  CopyValue,
  Empty,
  ErrorNote,
  Facts,
  Figures,
  Loading,
  Note,
  Page,
  Section,
} from '../../ui/index.js';
import { Course } from './course.jsx';
import { Finder, routeName, span, State, useNames } from './list.jsx';

// In the reader's language by its code; the API's own words where this page knows no better.
// English summaries say more than the code does.
function words(why, r) {
  const key = `requests.why.${why.code}`;
  if (!hasText(key) || (lang() === 'en' && why.code !== 'prefill' && why.code !== 'decode'))
    return why.text;
  return t(key, { t: span(why.ms), target: r.target, model: r.model, ...why.values });
}

function Why({ request: r }) {
  const [first, ...others] = r.explanation ?? [];
  if (!first) return null;
  const tone =
    { refused: 'warn', error: 'bad', lost: 'bad', cancelled: 'warn' }[r.status] ?? 'info';
  return (
    <Section title={t('requests.why.title')}>
      <div class="stack">
        <Note tone={tone}>
          <p class="strong">{words(first, r)}</p>
        </Note>
        {others.length > 0 && (
          <ul class="requests-why">
            {others.map((w, i) => (
              <li key={i}>{words(w, r)}</li>
            ))}
          </ul>
        )}
      </div>
    </Section>
  );
}

function Sums({ request: r }) {
  const items = [
    { label: t('requests.took'), value: span(r.duration_ms) },
    r.model && { label: t('requests.first'), value: span(r.first_token_ms) },
    r.model && {
      label: t('requests.fact.in'),
      value: number(r.prompt_tokens),
      text: r.cached_tokens > 0 && t('requests.fact.cached', { n: number(r.cached_tokens) }),
    },
    r.model && {
      label: t('requests.fact.out'),
      value: number(r.completion_tokens),
      text:
        r.reasoning_tokens > 0 && t('requests.fact.reasoning', { n: number(r.reasoning_tokens) }),
    },
    { label: t('requests.cost'), value: money((r.cost_nanos ?? 0) / 1e9) },
  ];
  return <Figures label={t('requests.facts.title')} items={items.filter(Boolean)} />;
}

function Details({ request: r, names }) {
  const speed = (r.explanation ?? []).find((w) => w.code === 'decode')?.values?.tokens_per_s;
  return (
    <Section title={t('requests.facts.title')}>
      <Facts
        rows={[
          [t('requests.fact.id'), <CopyValue text={r.id} />],
          r.batch && [
            t('requests.batch'),
            <Link href={`/requests?batch=${encodeURIComponent(r.batch)}`}>{r.batch}</Link>,
          ],
          r.client_request_id && [
            t('requests.fact.client'),
            <CopyValue text={r.client_request_id} />,
          ],
          r.trace_id && [t('requests.fact.trace'), <CopyValue text={r.trace_id} />],
          [t('requests.route'), routeName(r.route)],
          r.http > 0 && [t('requests.fact.http'), String(r.http)],
          r.model && [t('requests.fact.stream'), t(r.stream ? 'ui.yes' : 'ui.no')],
          [t('requests.fact.begun'), dateTime(r.start)],
          r.end !== null && [t('requests.fact.ended'), dateTime(r.end)],
          r.model && [
            t('requests.model'),
            <Link href={`/requests?model=${encodeURIComponent(r.model)}`}>{r.model}</Link>,
          ],
          r.target && r.target !== r.model && [t('requests.fact.target'), r.target],
          r.key && [
            t('requests.key'),
            <Link href={`/requests?key=${encodeURIComponent(r.key)}`}>
              {names.key.get(r.key) ?? r.key}
            </Link>,
          ],
          r.project &&
            names.project.size > 1 && [
              t('requests.project'),
              names.project.get(r.project) ?? r.project,
            ],
          speed > 0 && [
            t('requests.fact.speed'),
            t('requests.fact.speed.value', { n: number(speed, { digits: 1 }) }),
          ],
          r.cpu_s > 0 && [t('requests.fact.cpu'), duration(r.cpu_s)],
          r.energy_j > 0 && [
            t('requests.fact.energy'),
            t(r.energy_estimated ? 'requests.energy.estimated' : 'requests.energy', {
              n: number(r.energy_j, { digits: 3 }),
            }),
          ],
          r.bytes_in > 0 && [t('requests.fact.bytes_in'), bytes(r.bytes_in)],
          r.bytes_out > 0 && [t('requests.fact.bytes_out'), bytes(r.bytes_out)],
        ]}
      />
    </Section>
  );
}

function Kept({ request: r }) {
  if (!r.prompt && !r.answer) return null;
  return (
    <Section title={t('requests.prompt.title')} text={t('requests.prompt.about')}>
      <div class="stack">
        {r.prompt && (
          <>
            <h3>{t('requests.prompt.prompt')}</h3>
            <Code
              wrap
              text={JSON.stringify(r.prompt, null, 2)}
              label={t('requests.prompt.prompt')}
            />
          </>
        )}
        {r.answer && (
          <>
            <h3>{t('requests.prompt.answer')}</h3>
            <Code wrap text={r.answer} label={t('requests.prompt.answer')} />
          </>
        )}
        {r.cut && <p class="muted small">{t('requests.prompt.cut')}</p>}
      </div>
    </Section>
  );
}

export function One({ id }) {
  const [poll, setPoll] = useState(1000);
  const { data: r, error, reload } = useApi(`/api/v1/requests/${encodeURIComponent(id)}`, { poll });
  const names = useNames();
  useEffect(() => setPoll(r?.status === 'running' ? 1000 : 0), [r?.status]);
  const back = { href: '/requests', title: t('requests.title') };
  if (!r) {
    return (
      <Page title={t('requests.id')} back={back} actions={<Finder />}>
        {error?.status === 404 ? (
          <Empty icon="requests" title={t('requests.gone')} text={t('requests.gone.text')} />
        ) : (
          <ErrorNote error={error} retry={reload} />
        )}
        {!error && <Loading rows={6} />}
      </Page>
    );
  }
  return (
    <Page
      title={r.model || routeName(r.route)}
      back={back}
      tools={<State request={r} />}
      actions={<Finder />}>
      <Why request={r} />
      {r.error && (
        <Note tone="bad" title={t('requests.error.title')}>
          <p>
            {r.error.message} {r.error.code && <code>{r.error.code}</code>}
          </p>
        </Note>
      )}
      <Sums request={r} />
      <Section title={t('requests.course.title')} text={t('requests.course.about')}>
        <Course request={r} />
      </Section>
      <Details request={r} names={names} />
      <Kept request={r} />
    </Page>
  );
}
