// Files on their way into a repository.
import { useEffect, useRef, useState } from 'preact/hooks';
import { bytes, percent, t } from '../../lib/i18n.js';
import {
  Button,
  Dialog,
  ErrorNote,
  FileDrop,
  Form,
  Note,
  Progress,
  TextInput,
  toast,
} from '../../ui/index.js';
import { upload } from './upload.js';

const pathOf = (file) => file.path || file.webkitRelativePath || file.name;

// A folder that was chosen as a whole is not a part of the paths.
function withPaths(files) {
  const paths = files.map(pathOf);
  const top = paths[0]?.split('/')[0];
  const strip = paths.length > 0 && paths.every((p) => p.includes('/') && p.split('/')[0] === top);
  return files.map((file, i) => ({
    file,
    path: strip ? paths[i].slice(top.length + 1) : paths[i],
  }));
}

// Hashing is quicker than sending: a fifth of the way.
function partOf(s, size) {
  if (!s) return 0;
  if (s.phase === 'done') return 1;
  const part = size > 0 ? s.bytes / size : 1;
  return s.phase === 'hash' ? 0.2 * part : 0.2 + 0.8 * part;
}

function OneFile({ f, state, busy, onRemove }) {
  const phase = state?.phase ?? 'wait';
  const { size } = f.file;
  const far =
    phase === 'hash' || phase === 'send'
      ? percent(size > 0 ? state.bytes / size : 1)
      : `· ${bytes(size)}`;
  const text = `${t(`models.upload.phase.${phase}`)} ${far}`;
  return (
    <li>
      <Progress value={partOf(state, f.file.size)} label={f.path} text={text} />
      {state?.oid && (
        <code class="muted small md-oid" title={state.oid}>
          sha256 {state.oid}
        </code>
      )}
      {!busy && (
        <Button
          small
          kind="quiet"
          icon="close"
          label={t('models.upload.remove', { path: f.path })}
          onClick={onRemove}
        />
      )}
    </li>
  );
}

function useUpload({ kind, repo, branch }) {
  const [states, setStates] = useState({});
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const stop = useRef(null);
  const frame = useRef(0);
  const now = useRef({});
  useEffect(() => {
    const leaving = (e) => e.preventDefault();
    if (busy) addEventListener('beforeunload', leaving);
    return () => removeEventListener('beforeunload', leaving);
  }, [busy]);
  useEffect(
    () => () => {
      stop.current?.abort();
      cancelAnimationFrame(frame.current);
    },
    [],
  );
  // many a second: drawn once a frame
  const onFile = (i, s) => {
    now.current = { ...now.current, [i]: s };
    if (!frame.current)
      frame.current = requestAnimationFrame(() => {
        frame.current = 0;
        setStates(now.current);
      });
  };
  const go = async (files, summary) => {
    stop.current = new AbortController();
    now.current = {};
    setStates({});
    setError(null);
    setBusy(true);
    try {
      await upload({ kind, repo, branch, files, summary }, onFile, stop.current.signal);
      return true;
    } catch (e) {
      if (e.name !== 'AbortError') setError(e);
      else setError({ message: t('models.upload.resumed') });
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { states, busy, error, go, stop: () => stop.current?.abort() };
}

export function UploadDialog({ kind, repo, branch, folder: firstFolder, first, onDone, onClose }) {
  const [files, setFiles] = useState(() => withPaths(first));
  const [folder, setFolder] = useState(firstFolder);
  const [summary, setSummary] = useState('');
  const up = useUpload({ kind, repo, branch });
  const all = files.reduce((sum, f) => sum + f.file.size, 0);
  const gone = files.reduce(
    (sum, f, i) => sum + f.file.size * partOf(up.states[i], f.file.size),
    0,
  );
  const said = t('models.upload.default', { n: files.length, name: files[0]?.path ?? '' });
  const add = (some) =>
    setFiles((list) => {
      const more = withPaths(some);
      return [...list.filter((f) => !more.some((m) => m.path === f.path)), ...more];
    });
  const go = async () => {
    if (files.length === 0) return;
    const base = folder.replace(/^\/+|\/+$/g, '');
    const named = files.map((f) => ({ ...f, path: base ? `${base}/${f.path}` : f.path }));
    if (!(await up.go(named, summary.trim() || said))) return;
    toast.ok(t('models.upload.done', { n: files.length }));
    onDone();
    onClose();
  };
  return (
    <Dialog title={t('models.upload.title')} wide onClose={up.busy ? undefined : onClose}>
      <Form
        onSubmit={go}
        actions={
          <>
            {up.busy ? (
              <Button icon="stop" onClick={up.stop}>
                {t('models.upload.stop')}
              </Button>
            ) : (
              <Button onClick={onClose}>{t('models.cancel')}</Button>
            )}
            <Button
              type="submit"
              kind="primary"
              icon="upload"
              busy={up.busy}
              disabled={files.length === 0}>
              {t(up.error ? 'models.upload.again' : 'models.upload.go')}
            </Button>
          </>
        }>
        {!up.busy && (
          <FileDrop
            multiple
            label={t('models.upload.drop')}
            hint={t('models.upload.hint')}
            onFiles={add}
          />
        )}
        {files.length > 0 && (
          <>
            <ul class="md-uploads">
              {files.map((f, i) => (
                <OneFile
                  key={f.path}
                  f={f}
                  state={up.states[i]}
                  busy={up.busy}
                  onRemove={() => setFiles(files.filter((x) => x !== f))}
                />
              ))}
            </ul>
            <Progress
              value={all > 0 ? gone / all : up.busy ? null : 0}
              label={t('models.upload.files', { n: files.length, size: bytes(all) })}
              text={percent(all > 0 ? gone / all : 0)}
            />
          </>
        )}
        <div class="md-two">
          <TextInput
            label={t('models.upload.folder')}
            optional
            value={folder}
            onChange={setFolder}
            disabled={up.busy}
          />
          <TextInput
            label={t('models.upload.branch')}
            value={branch}
            onChange={() => {}}
            disabled
          />
        </div>
        <TextInput
          label={t('models.upload.summary')}
          value={summary}
          onChange={setSummary}
          placeholder={said}
          disabled={up.busy}
        />
        {up.error &&
          (up.error.status === undefined ? (
            <Note tone="info">{up.error.message}</Note>
          ) : (
            <ErrorNote error={up.error} />
          ))}
      </Form>
    </Dialog>
  );
}
