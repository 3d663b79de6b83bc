// A new fine-tune, in four steps. Nothing leaves the browser before the last one.
import { useRef, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAction, useApi } from '../../lib/hooks.js';
import { number, t } from '../../lib/i18n.js';
import { navigate } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Button,
  Empty,
  ErrorNote,
  Facts,
  Loading,
  Page,
  Progress,
  Section,
  Select,
  useFocusOn,
} from '../../ui/index.js';
import { Data, isGood, useChecked } from './data.jsx';
import { Estimate, faultsOf, Settings, startOf } from './settings.jsx';

const STEPS = ['model', 'data', 'settings', 'review'];

function Steps({ step, may, go }) {
  const heading = useFocusOn(step);
  return (
    <nav class="tuning-steps" aria-label={t('tuning.steps.label')}>
      <ol>
        {STEPS.map((name, i) => (
          <li key={name} class={i === step ? 'tuning-step-on' : i < step ? 'tuning-step-done' : ''}>
            <button
              type="button"
              ref={i === step ? heading : undefined}
              disabled={i > may}
              aria-current={i === step ? 'step' : undefined}
              onClick={() => go(i)}>
              <span class="tuning-step-number figures" aria-hidden="true">
                {i + 1}
              </span>
              {t(`tuning.step.${name}`)}
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Method({ value, onChange }) {
  return (
    <fieldset class="tuning-cards">
      <legend>{t('tuning.method.title')}</legend>
      {['supervised', 'dpo'].map((name) => (
        <label key={name} class={value === name ? 'tuning-card tuning-card-on' : 'tuning-card'}>
          <input
            type="radio"
            name="method"
            checked={value === name}
            onChange={() => onChange(name)}
          />
          <span>
            <span class="strong">{t(`tuning.method.${name}`)}</span>
            <span class="muted">{t(`tuning.method.${name}.text`)}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

// Results of fine-tuning are not trained again, so they are not offered.
function Model({ value, onChange, method, setMethod }) {
  const { data, error, reload } = useApi('/v1/models');
  if (error) return <ErrorNote error={error} retry={reload} />;
  if (!data) return <Loading />;
  const names = data.data.map((m) => m.id).filter((id) => !id.startsWith('ft:'));
  if (names.length === 0) {
    return (
      <Empty
        icon="models"
        title={t('tuning.model.none')}
        action={
          <Button kind="primary" href="/models">
            {t('tuning.model.add')}
          </Button>
        }
      />
    );
  }
  if (value === '' && names.length === 1) onChange(names[0]);
  return (
    <Section title={t('tuning.model.title')}>
      <div class="form">
        <Select
          label={t('tuning.model.base')}
          hint={t('tuning.model.hint')}
          value={value}
          onChange={onChange}
          options={names}
          empty={names.length > 1 ? '–' : undefined}
        />
        <Method value={method} onChange={setMethod} />
      </div>
    </Section>
  );
}

async function uploadFile(file, onProgress) {
  const form = new FormData();
  form.append('purpose', 'fine-tune');
  form.append('file', file, file.name);
  const { text } = await api.upload('POST', '/v1/files', form, { onProgress });
  return JSON.parse(text).id;
}

function bodyOf({ model, method, settings: s, files }) {
  const hyperparameters = {
    n_epochs: s.epochs,
    batch_size: s.batch,
    learning_rate_multiplier: s.rate,
  };
  if (method === 'dpo') hyperparameters.beta = s.beta;
  const body = {
    model,
    training_file: files.train,
    method: { type: method, [method]: { hyperparameters } },
  };
  if (files.valid) body.validation_file = files.valid;
  if (s.suffix) body.suffix = s.suffix;
  if (s.seed !== null) body.seed = s.seed;
  return body;
}

function Review({ model, method, train, valid, settings: s }) {
  const lines = (data) =>
    t('tuning.review.lines', { name: data.file.name, n: number(data.result.lines) });
  return (
    <Section title={t('tuning.review.title')}>
      <div class="tuning-settings-grid">
        <Facts
          rows={[
            [t('tuning.review.model'), model],
            [t('tuning.review.method'), t(`tuning.method.${method}`)],
            [t('tuning.review.train'), lines(train)],
            [t('tuning.review.valid'), valid.file ? lines(valid) : t('tuning.review.none')],
            [t('tuning.epochs'), number(s.epochs)],
            [t('tuning.batch'), number(s.batch)],
            [t('tuning.rate'), number(s.rate, { digits: 4 })],
            method === 'dpo' && [t('tuning.beta'), number(s.beta, { digits: 4 })],
            s.suffix && [t('tuning.suffix'), s.suffix],
          ]}
        />
        <Estimate model={model} result={train.result} settings={s} />
      </div>
    </Section>
  );
}

function Sending({ sending }) {
  if (!sending) return null;
  const part = sending.total > 0 ? sending.sent / sending.total : null;
  return sending.name ? (
    <Progress label={t('tuning.start.uploading', { name: sending.name })} value={part} />
  ) : (
    <Progress label={t('tuning.start.creating')} />
  );
}

export function Create({ model: given }) {
  const [step, setStep] = useState(0);
  const [model, setModel] = useState(given ?? '');
  const [method, setMethod] = useState('supervised');
  const [own, setOwn] = useState({}); // settings that were changed; the others go by the data
  const [sending, setSending] = useState(null);
  const [error, setError] = useState(null);
  const train = useChecked(method);
  const valid = useChecked(method);
  const there = useRef(new Map()); // File: its id in the cloud
  const settings = { ...startOf(method, train.result?.lines), ...own };
  const faults = faultsOf(settings, method);
  const done = [
    model !== '',
    isGood(train) && (!valid.file || isGood(valid)),
    Object.keys(faults).length === 0,
  ];
  const firstOpen = done.indexOf(false);
  const may = firstOpen < 0 ? 3 : firstOpen;

  const [start, busy] = useAction(async () => {
    setError(null);
    try {
      const files = {};
      for (const [name, data] of [
        ['train', train],
        ['valid', valid],
      ]) {
        if (!data.file) continue;
        setSending({ name: data.file.name });
        files[name] =
          data.id ??
          there.current.get(data.file) ??
          (await uploadFile(data.file, (sent, total) =>
            setSending({ name: data.file.name, sent, total }),
          ));
        there.current.set(data.file, files[name]); // a second try does not send it again
      }
      setSending({});
      const job = await api.post(
        '/v1/fine_tuning/jobs',
        bodyOf({ model, method, settings, files }),
      );
      navigate(`/tuning/${job.id}`, { replace: true });
    } catch (e) {
      setError(e);
      setSending(null);
    }
  });

  const back = { href: '/tuning', title: t('tuning.title') };
  if (!can('developer', 'fine_tuning', 'files')) {
    return (
      <Page title={t('tuning.new.title')} back={back}>
        <ErrorNote error={{ message: t('tuning.forbidden') }} />
      </Page>
    );
  }
  return (
    <Page title={t('tuning.new.title')} back={back}>
      <Steps step={step} may={may} go={(i) => !busy && setStep(i)} />
      {step === 0 && (
        <Model value={model} onChange={setModel} method={method} setMethod={setMethod} />
      )}
      {step === 1 && <Data method={method} train={train} valid={valid} />}
      {step === 2 && (
        <Settings
          model={model}
          method={method}
          result={train.result}
          value={settings}
          onChange={(changed) => setOwn({ ...own, ...changed })}
          faults={faults}
        />
      )}
      {step === 3 && train.result && <Review {...{ model, method, train, valid, settings }} />}
      <Sending sending={sending} />
      <ErrorNote error={error} />
      <div class="tuning-wizard-foot">
        {step > 0 && (
          <Button onClick={() => setStep(step - 1)} disabled={busy}>
            {t('tuning.back')}
          </Button>
        )}
        {step < 3 ? (
          <Button kind="primary" disabled={!done[step]} onClick={() => setStep(step + 1)}>
            {t('tuning.next')}
          </Button>
        ) : (
          <Button kind="primary" icon="play" busy={busy} disabled={may < 3} onClick={start}>
            {t('tuning.start')}
          </Button>
        )}
      </div>
    </Page>
  );
}
