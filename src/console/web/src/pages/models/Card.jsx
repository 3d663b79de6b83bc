// README.md, shown and written.
import { useCallback, useState } from 'preact/hooks';
import { useAction, useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import {
  Button,
  Dialog,
  Empty,
  ErrorNote,
  Form,
  Loading,
  Markdown,
  TextArea,
  toast,
} from '../../ui/index.js';
import { commit, fileUrl, text as fetchText } from './hub.js';

// What stands between --- at the top is for machines: it is among the facts.
const withoutHead = (text) => text.replace(/^---\r?\n[\s\S]*?\r?\n---\r?\n?/, '');

const FIRST = (repo) => `---
license: other
tags: []
---
# ${repo.split('/')[1]}

`;

function Editor({ kind, repo, branch, first, parent, onDone, onClose }) {
  const [words, setWords] = useState(first);
  const [error, setError] = useState(null);
  const [save, busy] = useAction(async () => {
    setError(null);
    try {
      const file = { path: 'README.md', content: words, encoding: 'utf-8' };
      await commit(kind, repo, branch, 'Update README.md', [{ key: 'file', value: file }], {
        parent,
      });
      toast.ok(t('models.card.saved'));
      onDone();
      onClose();
    } catch (e) {
      setError(
        e.status === 412
          ? { message: e.message, original: e.original, hint: t('models.card.conflict') }
          : e,
      );
    }
  });
  return (
    <Dialog title={t('models.card.title')} wide onClose={busy ? undefined : onClose}>
      <Form
        onSubmit={save}
        actions={
          <>
            <Button onClick={onClose} disabled={busy}>
              {t('models.cancel')}
            </Button>
            <Button type="submit" kind="primary" busy={busy}>
              {t('models.card.save')}
            </Button>
          </>
        }>
        <TextArea label={t('models.card.field')} value={words} onChange={setWords} rows={18} mono />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

export function Card({ kind, repo, rev, info, writes, branch, reload }) {
  const has = info.siblings.some((s) => s.rfilename === 'README.md');
  const ask = useCallback(
    (signal) => fetchText(fileUrl(kind, repo, info.sha, 'README.md'), { signal }),
    [kind, repo, info.sha],
  );
  const { data, error, reload: again } = useApi(has ? ask : null);
  const [editing, setEditing] = useState(false);
  const resolve = useCallback(
    (path) => {
      const clean = path.replace(/^\.?\//, '');
      return fileUrl(kind, repo, info.sha, clean);
    },
    [kind, repo, info.sha],
  );
  const may = writes && branch;
  const editor = editing && (
    <Editor
      kind={kind}
      repo={repo}
      branch={rev}
      first={has ? data : FIRST(repo)}
      parent={info.sha}
      onDone={reload}
      onClose={() => setEditing(false)}
    />
  );
  if (!has)
    return (
      <>
        <Empty
          icon="file"
          title={t('models.card.none')}
          text={t('models.card.none.text')}
          action={
            may && (
              <Button icon="edit" onClick={() => setEditing(true)}>
                {t('models.card.write')}
              </Button>
            )
          }
        />
        {editor}
      </>
    );
  if (error) return <ErrorNote error={error} retry={again} />;
  if (data === null) return <Loading rows={6} />;
  return (
    <div class="md-card">
      {may && (
        <div class="md-card-acts">
          <Button small kind="quiet" icon="edit" onClick={() => setEditing(true)}>
            {t('models.card.edit')}
          </Button>
        </div>
      )}
      <Markdown text={withoutHead(data)} resolve={resolve} />
      {editor}
    </div>
  );
}
