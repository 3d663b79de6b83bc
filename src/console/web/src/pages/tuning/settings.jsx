// The step "Settings": what may be turned, why, and what it will come to.
import { useCallback } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { duration, money, number, t } from '../../lib/i18n.js';
import { useMe } from '../../lib/session.js';
import { Facts, NumberInput, Section, TextInput } from '../../ui/index.js';

// Where to begin with so many lines. The server's own (3 epochs, batches of 4, rate 1) make so few
// steps of a small file that no answer changes. Pairs of answers are pushed no harder: it does not
// take much of them until a model speaks nonsense.
const STARTS = [
  { lines: 100, epochs: 20, batch: 2, rate: 5 },
  { lines: 1000, epochs: 10, batch: 4, rate: 2 },
  { lines: Infinity, epochs: 3, batch: 4, rate: 1 },
];

export function startOf(method, lines = Infinity) {
  const at = method === 'dpo' ? Infinity : lines;
  const { epochs, batch, rate } = STARTS.find((s) => at <= s.lines);
  return { epochs, batch, rate, beta: 0.1, suffix: '', seed: null };
}

// As the server has them (src/control/tune/row.c).
const BOUNDS = {
  epochs: [1, 50],
  batch: [1, 256],
  rate: [0.0001, 10000],
  beta: [0.0001, 2],
  seed: [0, 2 ** 53],
};
const WHOLE = new Set(['epochs', 'batch', 'seed']);

// What is wrong: { name: words }; {} when all is well.
export function faultsOf(s, method) {
  const faults = {};
  for (const [name, [lo, hi]] of Object.entries(BOUNDS)) {
    if (name === 'beta' && method !== 'dpo') continue;
    if (name === 'seed' && s.seed === null) continue;
    const v = s[name];
    const ok = v !== null && v >= lo && v <= hi && (!WHOLE.has(name) || Number.isInteger(v));
    if (!ok) faults[name] = t('tuning.between', { lo: number(lo, { digits: 4 }), hi: number(hi) });
  }
  if (!/^[A-Za-z0-9_.-]{0,24}$/.test(s.suffix)) faults.suffix = t('tuning.suffix.bad');
  return faults;
}

export function stepsOf(result, s) {
  return s.epochs * Math.ceil(result.samples / s.batch);
}

// The price that a call of this model would find: the longest pattern that fits counts most.
function priceOf(prices, model) {
  const fits = (p) =>
    new RegExp(`^${p.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('\\*', '.*')}$`).test(model);
  return (
    prices.filter((p) => fits(p.model)).sort((a, b) => b.model.length - a.model.length)[0] ?? null
  );
}

// Learnt tokens a second, by the last job of this model that ended well.
function speedOf(jobs, model) {
  const last = jobs.find(
    (j) =>
      j.model === model &&
      j.status === 'succeeded' &&
      j.trained_tokens > 0 &&
      j.finished_at > j.created_at,
  );
  return last ? last.trained_tokens / (last.finished_at - last.created_at) : null;
}

export function Estimate({ model, result, settings }) {
  const ask = useCallback(async (signal) => {
    const [prices, jobs] = await Promise.all([
      api.get('/api/v1/prices?limit=1000', { signal }),
      api.get('/v1/fine_tuning/jobs?limit=100', { signal }),
    ]);
    return { prices: prices.data, jobs: jobs.data };
  }, []);
  const { data } = useApi(ask);
  const tokens = result.tokens * settings.epochs;
  const price = data && priceOf(data.prices, model);
  const speed = data && speedOf(data.jobs, model);
  return (
    <div class="tuning-estimate" aria-live="polite">
      <h3>{t('tuning.estimate.title')}</h3>
      <Facts
        rows={[
          [
            t('tuning.estimate.steps'),
            <span class="figures">{number(stepsOf(result, settings))}</span>,
          ],
          [t('tuning.estimate.tokens'), <span class="figures">{number(tokens)}</span>],
          price && [
            t('tuning.estimate.cost'),
            <span class="figures">{money((tokens * Number(price.input)) / 1e6)}</span>,
          ],
          speed && [
            t('tuning.estimate.time'),
            <span class="figures">
              {duration(Math.max(1, tokens / speed))}{' '}
              <span class="muted">({t('tuning.estimate.time.from')})</span>
            </span>,
          ],
        ]}
      />
      <p class="muted small">{t('tuning.estimate.note')}</p>
    </div>
  );
}

// onChange: with what was changed alone.
export function Settings({ model, method, result, value, onChange, faults }) {
  const project = useMe().project.id;
  const set = (name) => (v) => onChange({ [name]: v });
  const bind = (name) => ({
    label: t(`tuning.${name}`),
    hint: t(`tuning.${name}.hint`, { base: model, project, suffix: value.suffix || '…' }),
    value: value[name],
    onChange: set(name),
    error: faults[name],
  });
  return (
    <Section
      title={t('tuning.settings.title')}
      text={t('tuning.settings.about', { lines: number(result.lines) })}>
      <div class="tuning-settings-grid">
        <div class="form">
          <NumberInput {...bind('epochs')} min={1} max={50} />
          <NumberInput {...bind('batch')} min={1} max={256} />
          <NumberInput {...bind('rate')} min={0} />
          {method === 'dpo' && <NumberInput {...bind('beta')} min={0} />}
          <TextInput {...bind('suffix')} optional maxLength={24} />
          <NumberInput {...bind('seed')} optional min={0} />
        </div>
        <Estimate
          model={model}
          result={result}
          settings={{ ...startOf(method, result.lines), ...dropFaults(value, faults) }}
        />
      </div>
    </Section>
  );
}

// Estimates go by what it began with where a field is wrong.
function dropFaults(value, faults) {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !faults[name]));
}
