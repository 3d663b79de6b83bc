// How calls are shared among versions: a slider and a number for each, their sum, what it comes to.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAction } from '../../lib/hooks.js';
import { duration, number, percent, t } from '../../lib/i18n.js';
import { Button, ErrorNote, Section, toast } from '../../ui/index.js';
import { sharesOf, targetName, toSend } from './live.js';
import { pathOf } from './rights.js';

// As parts of 100, as far as that says the same.
function hundredths(targets) {
  const shares = sharesOf(targets.map((x) => x.weight));
  const round = shares.map((s) => Math.round(s * 1000) / 10);
  const sum = round.reduce((a, b) => a + b, 0);
  return sum > 0
    ? round.map((v, i) => (i === 0 ? Math.round((v + 100 - sum) * 10) / 10 : v))
    : round;
}

const clamp = (v) => Math.min(100, Math.max(0, Math.round(v * 10) / 10));

// What a version did since the cloud was started: by this a canary is judged.
function Did({ live }) {
  if (!live?.requests) return null;
  const { ok, error } = live.requests;
  const mean = (s) => (s?.count > 0 ? duration(s.sum / s.count) : '–');
  return (
    <p class="ep-share-did muted small figures">
      {ok + error === 0
        ? t('endpoints.canary.did_nothing')
        : t('endpoints.canary.did', {
            n: number(ok + error),
            errors: percent(error / (ok + error), 1),
            first: mean(live.first_token_seconds),
            all: mean(live.duration_seconds),
          })}
    </p>
  );
}

function Share({ x, live, value, share, disabled, onChange, onAll }) {
  const name = targetName(x);
  return (
    <li class="ep-share">
      <div class="ep-share-head">
        <b>{name}</b>
        <span class="muted figures">{t('endpoints.canary.calls', { p: percent(share, 1) })}</span>
      </div>
      <div class="ep-share-set">
        <input
          type="range"
          min="0"
          max="100"
          step="1"
          value={value}
          disabled={disabled}
          aria-label={t('endpoints.canary.share', { name })}
          onInput={(e) => onChange(Number(e.currentTarget.value))}
        />
        <input
          class="input figures"
          inputMode="decimal"
          value={value}
          disabled={disabled}
          aria-label={`${t('endpoints.canary.share', { name })} (0–100)`}
          onInput={(e) => onChange(Number(e.currentTarget.value.replace(',', '.')) || 0)}
        />
        <Button small kind="quiet" disabled={disabled || share === 1} onClick={onAll}>
          {t('endpoints.canary.all')}
        </Button>
      </div>
      <Did live={live} />
    </li>
  );
}

export function Canary({ endpoint, live, may, onDone }) {
  const saved = JSON.stringify(hundredths(endpoint.targets));
  const [values, setValues] = useState(() => JSON.parse(saved));
  const [error, setError] = useState(null);
  const known = useRef(saved); // what is shown while nobody changes it
  useEffect(() => {
    const was = known.current;
    known.current = saved;
    // what somebody began to change while the answer was on its way is not
    // taken from under the hands
    setValues((old) => {
      const theirs = JSON.stringify(old) !== was && old.length === endpoint.targets.length;
      return theirs ? old : JSON.parse(saved);
    });
  }, [saved]);
  const shares = sharesOf(values);
  const sum = values.reduce((a, b) => a + b, 0);
  const changed = JSON.stringify(values) !== saved;
  // Of two, the other takes the rest.
  const set = (i, v) =>
    setValues((old) =>
      old.length === 2
        ? old.map((_, k) => (k === i ? clamp(v) : clamp(100 - v)))
        : old.map((w, k) => (k === i ? clamp(v) : w)),
    );
  const [save, busy] = useAction(async () => {
    setError(null);
    try {
      const targets = toSend(endpoint.targets).map((x, i) => ({ ...x, weight: values[i] }));
      await api.patch(pathOf(endpoint), { targets });
      known.current = JSON.stringify(values);
      toast.ok(t('endpoints.canary.saved'));
      onDone();
    } catch (e) {
      setError(e);
    }
  });
  return (
    <Section
      title={t('endpoints.canary')}
      text={t('endpoints.canary.text')}
      actions={
        may &&
        changed && (
          <>
            <Button small onClick={() => setValues(JSON.parse(saved))}>
              {t('endpoints.canary.reset')}
            </Button>
            <Button small kind="primary" busy={busy} disabled={sum <= 0} onClick={save}>
              {t('endpoints.save')}
            </Button>
          </>
        )
      }>
      <div class="ep-bar" aria-hidden="true">
        {shares.map((s, i) => (
          <i key={i} class={`ep-bar-${i % 6}`} style={{ flexGrow: s }} />
        ))}
      </div>
      <ul class="ep-shares">
        {endpoint.targets.map((x, i) => (
          <Share
            key={i}
            x={x}
            live={live?.targets[i]}
            value={values[i]}
            share={shares[i] ?? 0}
            disabled={!may}
            onChange={(v) => set(i, v)}
            onAll={() => setValues(values.map((_, k) => (k === i ? 100 : 0)))}
          />
        ))}
      </ul>
      <p class={sum > 0 ? 'muted small figures' : 'field-error'} role="status">
        {sum > 0
          ? t('endpoints.canary.sum', { n: number(sum, { digits: 1 }) })
          : t('endpoints.canary.zero')}
      </p>
      <ErrorNote error={error} />
    </Section>
  );
}
