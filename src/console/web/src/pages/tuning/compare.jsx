// The same question to the base model and to what came of the training, side by side.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { Button, ErrorNote, Form, Section, Select, Spinner, TextInput } from '../../ui/index.js';

const TOKENS = 256;
const OFFERED = 4;

// First questions of the training data, to begin with.
function useQuestions(file) {
  const ask = useCallback(
    async (signal) => {
      const answer = await api.raw('GET', `/v1/files/${file}/content`, undefined, {
        signal,
        headers: { Range: 'bytes=0-65535' },
      });
      const found = new Set();
      for (const line of (await answer.text()).split('\n')) {
        try {
          const { messages, input } = JSON.parse(line);
          const question = (messages ?? input?.messages).find((m) => m.role === 'user')?.content;
          if (typeof question === 'string' && question.length <= 120) found.add(question);
        } catch {
          /* a line that the range has cut */
        }
      }
      const all = [...found];
      const every = Math.max(1, Math.floor(all.length / OFFERED));
      return all.filter((_, i) => i % every === 0).slice(0, OFFERED);
    },
    [file],
  );
  return useApi(ask).data ?? [];
}

async function answer(model, question, onText, signal) {
  const body = {
    model,
    stream: true,
    temperature: 0,
    max_tokens: TOKENS,
    messages: [{ role: 'user', content: question }],
  };
  await api.stream(
    '/v1/chat/completions',
    body,
    (event) => {
      const more = event.choices?.[0]?.delta?.content;
      if (more) onText(more);
    },
    signal,
  );
}

// One side: asks when its question changes, and streams.
function Answer({ title, model, question, onEnd }) {
  const [state, setState] = useState({ text: '', done: false, error: null });
  const stop = useRef(null);
  useEffect(() => {
    const abort = new AbortController();
    stop.current = abort;
    setState({ text: '', done: false, error: null });
    const end = (more) => {
      if (abort.signal.aborted && !abort.byUser) return;
      setState((s) => ({ ...s, ...more, done: true }));
      onEnd();
    };
    answer(
      model,
      question,
      (more) => setState((s) => ({ ...s, text: s.text + more })),
      abort.signal,
    ).then(
      () => end({}),
      (error) => end(error.name === 'AbortError' ? {} : { error }),
    );
    return () => abort.abort();
  }, [model, question]);
  const { text, done, error } = state;
  return (
    <article class="tuning-answer" aria-label={title} aria-busy={!done}>
      <h4>{title}</h4>
      <ErrorNote error={error} />
      {text === '' && !done && (
        <p class="muted">
          <Spinner /> {t('tuning.compare.waiting')}
        </p>
      )}
      {text === '' && done && !error && <p class="muted">{t('tuning.compare.nothing')}</p>}
      {text !== '' && <p class="tuning-answer-text">{text}</p>}
    </article>
  );
}

// checkpoints: those that have a name that answers.
export function Compare({ job, checkpoints }) {
  const [typed, setTyped] = useState('');
  const [asked, setAsked] = useState([]); // [{ question, tuned, n }], the newest first
  const [running, setRunning] = useState(0);
  const [tuned, setTuned] = useState(job.fine_tuned_model);
  const questions = useQuestions(job.training_file);
  const go = (question) => {
    const q = question.trim();
    if (q === '' || running > 0) return;
    setRunning(2);
    setAsked([{ question: q, tuned, n: asked.length }, ...asked].slice(0, 10));
    setTyped('');
  };
  const nameOf = (model) => {
    const point = checkpoints.find((c) => c.fine_tuned_model_checkpoint === model);
    return point
      ? t('tuning.compare.step', { step: point.step_number })
      : t('tuning.compare.result');
  };
  return (
    <Section title={t('tuning.compare.title')} text={t('tuning.compare.about')} id="compare">
      <Form onSubmit={() => go(typed)} class="compare-form">
        <div class="tuning-compare-ask">
          <TextInput
            label={t('tuning.compare.prompt')}
            value={typed}
            onChange={setTyped}
            placeholder={t('tuning.compare.placeholder')}
          />
          {checkpoints.length > 0 && (
            <Select
              label={t('tuning.compare.with')}
              value={tuned}
              onChange={setTuned}
              options={[
                { value: job.fine_tuned_model, label: t('tuning.compare.result') },
                ...checkpoints.map((c) => ({
                  value: c.fine_tuned_model_checkpoint,
                  label: nameOf(c.fine_tuned_model_checkpoint),
                })),
              ]}
            />
          )}
          <Button
            type="submit"
            kind="primary"
            icon="send"
            busy={running > 0}
            disabled={typed.trim() === ''}>
            {t('tuning.compare.ask')}
          </Button>
        </div>
        {questions.length > 0 && (
          <p class="tuning-chips">
            <span class="muted small">{t('tuning.compare.from_data')}</span>
            {questions.map((q) => (
              <button
                key={q}
                type="button"
                class="tuning-chip"
                onClick={() => go(q)}
                disabled={running > 0}>
                {q}
              </button>
            ))}
          </p>
        )}
      </Form>
      <div role="log" aria-label={t('tuning.compare.title')}>
        {asked.map((a) => (
          <div class="tuning-compared" key={a.n}>
            <h3 class="tuning-compared-question">{a.question}</h3>
            <div class="tuning-compared-pair">
              <Answer
                title={t('tuning.compare.base', { model: job.model })}
                model={job.model}
                question={a.question}
                onEnd={() => setRunning((n) => n - 1)}
              />
              <Answer
                title={`${t('tuning.compare.tuned')} · ${nameOf(a.tuned)}`}
                model={a.tuned}
                question={a.question}
                onEnd={() => setRunning((n) => n - 1)}
              />
            </div>
          </div>
        ))}
      </div>
    </Section>
  );
}
