// The step "Data": files chosen, checked here, and shown; nothing is sent before the last step.
import { useEffect, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { bytes, date, number, t } from '../../lib/i18n.js';
import {
  Button,
  Code,
  ErrorNote,
  Facts,
  FileDrop,
  Note,
  Progress,
  Section,
  Select,
  Table,
} from '../../ui/index.js';
import { checkFile, MAX_BYTES } from './check.js';
import { exampleFile, LINE } from './example.js';
import { Sample } from './sample.jsx';

const FAULTS_SHOWN = 20;

function words(fault) {
  const key = fault.code === 'not_json' && fault.value !== '' ? 'not_json_at' : fault.code;
  return t(`tuning.fault.${key}`, fault);
}

// A file and what its check says: {file, id?, result?,
// error?, part}. id: it is in the cloud already.
export function useChecked(method) {
  const [chosen, setChosen] = useState(null); // { file, id }
  const [state, setState] = useState({});
  useEffect(() => {
    setState({});
    if (!chosen) return undefined;
    if (chosen.file.size > MAX_BYTES) {
      setState({ error: { message: t('tuning.check.large', { max: bytes(MAX_BYTES) }) } });
      return undefined;
    }
    const abort = new AbortController();
    checkFile(chosen.file, {
      method,
      signal: abort.signal,
      onProgress: (part) => setState({ part }),
    }).then(
      (result) => !abort.signal.aborted && setState({ result }),
      (error) => !abort.signal.aborted && setState({ error }),
    );
    return () => abort.abort();
  }, [chosen, method]);
  return { ...chosen, ...state, choose: setChosen };
}

export const isGood = (data) =>
  data.result !== undefined && data.result.bad === 0 && data.result.lines > 0;

function Faults({ result }) {
  const shown = result.faults.slice(0, FAULTS_SHOWN);
  const columns = [
    {
      key: 'line',
      title: t('tuning.check.line'),
      class: 'cell-tight',
      render: (f) => number(f.line),
    },
    { key: 'why', title: t('tuning.check.why'), render: words },
  ];
  return (
    <div>
      <Table
        label={t('tuning.check.faults')}
        columns={columns}
        rows={shown}
        rowKey={(f) => f.line}
      />
      {result.bad > shown.length && (
        <p class="muted small pad">
          {t('tuning.check.more', { n: number(result.bad - shown.length) })}
        </p>
      )}
    </div>
  );
}

function verdict(result) {
  const n = { lines: number(result.lines), bad: number(result.bad) };
  if (result.lines === 0) return t('tuning.check.none');
  if (result.bad === 0) return t('tuning.check.ok', n);
  return t(result.bad === 1 ? 'tuning.check.one_bad' : 'tuning.check.bad', n);
}

function Result({ file, result }) {
  const good = result.bad === 0 && result.lines > 0;
  return (
    <div class="stack">
      <div role="status">
        <Note tone={good ? 'ok' : 'bad'}>
          <p>{verdict(result)}</p>
        </Note>
      </div>
      <Facts
        rows={[
          [t('tuning.check.lines'), number(result.lines)],
          [t('tuning.check.tokens'), number(result.tokens)],
          [t('tuning.check.longest'), number(result.longest)],
          [t('tuning.check.size'), bytes(file.size)],
        ]}
      />
      {good && result.lines < 10 && (
        <Note tone="warn">
          <p>{t('tuning.check.few')}</p>
        </Note>
      )}
      {result.warnings.length > 0 && (
        <Note tone="warn">
          <p>
            {t('tuning.check.warn', {
              n: number(result.warnings.length),
              value: result.warnings[0].value,
            })}
          </p>
        </Note>
      )}
      {result.bad > 0 && <Faults result={result} />}
      {result.bad === 0 && <Sample shown={result.shown} />}
    </div>
  );
}

function Chosen({ data }) {
  const { file, result, error, part } = data;
  return (
    <div class="stack">
      <div class="tuning-chosen">
        <span class="strong">{file.name}</span>
        <span class="muted figures">{bytes(file.size)}</span>
        <Button small kind="quiet" onClick={() => data.choose(null)}>
          {t('tuning.data.replace')}
        </Button>
      </div>
      {!result && !error && (
        <Progress value={part ?? null} label={t('tuning.check.running', { name: file.name })} />
      )}
      <ErrorNote error={error} />
      {result && <Result file={file} result={result} />}
    </div>
  );
}

// Files of the project that were uploaded for this
// before. They are fetched, to be checked and shown too.
function Earlier({ onFile }) {
  const { data } = useApi('/v1/files?purpose=fine-tune&limit=100&order=desc');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  if (!data || data.data.length === 0) return null;
  const take = async (id) => {
    const known = data.data.find((f) => f.id === id);
    if (!known || busy) return;
    setBusy(true);
    setError(null);
    try {
      const answer = await api.raw('GET', `/v1/files/${id}/content`);
      onFile({
        id,
        file: new File([await answer.blob()], known.filename, { type: 'application/jsonl' }),
      });
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <>
      <Select
        label={t('tuning.data.earlier')}
        value=""
        onChange={take}
        empty={t('tuning.data.earlier.none')}
        disabled={busy}
        options={data.data.map((f) => ({
          value: f.id,
          label: `${f.filename} · ${bytes(f.bytes)} · ${date(f.created_at)}`,
        }))}
      />
      <ErrorNote error={error} />
    </>
  );
}

export function Data({ method, train, valid }) {
  const [more, setMore] = useState(valid.file !== undefined);
  const take = (data) => (files) => data.choose({ file: files[0] });
  return (
    <>
      <Section title={t('tuning.data.train')}>
        {train.file ? (
          <Chosen data={train} />
        ) : (
          <div class="stack">
            <FileDrop
              label={t('tuning.data.drop')}
              hint={t('tuning.data.drop.hint')}
              accept=".jsonl,.ndjson,.json"
              onFiles={take(train)}
            />
            <Earlier onFile={train.choose} />
            {method === 'supervised' && (
              <p>
                <Button icon="play" onClick={() => train.choose({ file: exampleFile() })}>
                  {t('tuning.data.example')}
                </Button>{' '}
                <span class="muted">{t('tuning.data.example.hint')}</span>
              </p>
            )}
            <details>
              <summary>{t('tuning.data.form')}</summary>
              <Code text={LINE[method]} label={t('tuning.data.form')} />
            </details>
          </div>
        )}
      </Section>
      <Section
        title={t('tuning.data.valid')}
        text={t('tuning.data.valid.text')}
        actions={
          more ? (
            <Button
              small
              kind="quiet"
              onClick={() => {
                valid.choose(null);
                setMore(false);
              }}>
              {t('tuning.data.remove')}
            </Button>
          ) : (
            <Button small icon="plus" onClick={() => setMore(true)}>
              {t('tuning.data.valid.add')}
            </Button>
          )
        }>
        {!more && <p class="muted">{t('tuning.review.none')}</p>}
        {more &&
          (valid.file ? (
            <Chosen data={valid} />
          ) : (
            <div class="stack">
              <FileDrop
                label={t('tuning.data.valid.drop')}
                accept=".jsonl,.ndjson,.json"
                onFiles={take(valid)}
              />
              <Earlier onFile={valid.choose} />
            </div>
          ))}
      </Section>
    </>
  );
}
