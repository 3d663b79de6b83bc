// The files of a revision, folder by folder.
import { useCallback, useState } from 'preact/hooks';
import { useApi } from '../../lib/hooks.js';
import { bytes, number, t } from '../../lib/i18n.js';
import { setQuery, useRoute, withQuery } from '../../lib/router.js';
import {
  Button,
  Code,
  confirmDelete,
  CopyValue,
  Crumbs,
  Dialog,
  Empty,
  ErrorNote,
  Facts,
  FileDrop,
  Icon,
  Loading,
  Note,
  Section,
  Table,
  Time,
  toast,
} from '../../ui/index.js';
import { commit, fileUrl, text as fetchText, treeOf } from './hub.js';
import { inSeconds } from './words.js';

const PREVIEW_BYTES = 65536;
const PICTURE = /\.(png|jpe?g|gif|webp)$/i;
const PICTURE_BYTES = 8 << 20;

const nameOf = (path) => path.slice(path.lastIndexOf('/') + 1);

function crumbsOf(path) {
  const names = path ? path.split('/') : [];
  const parts = names.map((title, i) => ({ title, path: names.slice(0, i + 1).join('/') }));
  return [{ title: t('models.files.root'), path: '' }, ...parts].map((part) => ({
    title: part.title,
    href: withQuery({ path: part.path }),
  }));
}

function Head({ url, file }) {
  const ask = useCallback(
    (signal) => fetchText(url, { signal, headers: { Range: `bytes=0-${PREVIEW_BYTES - 1}` } }),
    [url],
  );
  const { data, error, reload } = useApi(file.size > 0 ? ask : null);
  if (error) return <ErrorNote error={error} retry={reload} />;
  if (data === null) return file.size > 0 ? <Loading rows={4} /> : null;
  if (data.includes('\0') || data.includes('\ufffd'))
    return <Note>{t('models.files.binary')}</Note>;
  return (
    <>
      {file.size > PREVIEW_BYTES && (
        <p class="muted small">{t('models.files.preview', { n: bytes(PREVIEW_BYTES) })}</p>
      )}
      <Code text={data} label={nameOf(file.path)} />
    </>
  );
}

function Preview({ kind, repo, rev, file, onClose }) {
  const url = fileUrl(kind, repo, rev, file.path);
  const picture = PICTURE.test(file.path) && file.size <= PICTURE_BYTES;
  return (
    <Dialog
      side
      title={nameOf(file.path)}
      onClose={onClose}
      footer={
        <a class="button button-primary" href={`${url}?download=true`} download={nameOf(file.path)}>
          <Icon name="download" />
          <span>{t('models.files.download', { name: nameOf(file.path) })}</span>
        </a>
      }>
      <Facts
        rows={[
          [t('models.col.size'), bytes(file.size)],
          file.lfs && [t('models.files.sha'), <CopyValue text={file.lfs.oid} />],
          file.lastCommit && [t('models.files.change'), file.lastCommit.title],
        ]}
      />
      {picture ? (
        <img class="md-picture" src={url} alt={nameOf(file.path)} />
      ) : (
        <Head url={url} file={file} />
      )}
    </Dialog>
  );
}

export function Files({ kind, repo, rev, info, writes, branch, reload, upload }) {
  const { query } = useRoute();
  const path = query.get('path') ?? '';
  const ask = useCallback(
    (signal) => treeOf(kind, repo, info.sha, path, { signal }),
    [kind, repo, info.sha, path],
  );
  const { data, error, reload: again } = useApi(ask);
  const [shown, setShown] = useState(null);
  const may = writes && branch;
  const remove = async (f) => {
    const folder = f.type === 'directory';
    const done = await confirmDelete({
      what: f.path,
      text: t('models.files.delete.text', { branch: rev }),
      action: () =>
        commit(kind, repo, rev, `Delete ${f.path}`, [
          { key: folder ? 'deletedFolder' : 'deletedFile', value: { path: f.path } },
        ]),
    });
    if (!done) return;
    toast.ok(t('models.files.deleted', { name: f.path, branch: rev }));
    reload();
  };
  const columns = [
    {
      key: 'path',
      title: t('models.files.file'),
      render: (f) => (
        <span class="md-file">
          <Icon name={f.type === 'directory' ? 'folder' : 'file'} /> {nameOf(f.path)}
        </span>
      ),
    },
    {
      key: 'size',
      title: t('models.col.size'),
      align: 'end',
      render: (f) => (f.type === 'directory' ? '–' : bytes(f.size)),
    },
    {
      key: 'what',
      title: t('models.files.change'),
      class: 'md-clip',
      render: (f) => f.lastCommit?.title ?? '–',
    },
    {
      key: 'when',
      title: t('models.files.when'),
      align: 'end',
      render: (f) => <Time at={inSeconds(f.lastCommit?.date)} />,
    },
    {
      key: 'acts',
      title: '',
      align: 'end',
      render: (f) => (
        <span class="md-acts">
          {f.type === 'file' && (
            <a
              class="button button-quiet button-small button-square"
              download={nameOf(f.path)}
              href={`${fileUrl(kind, repo, info.sha, f.path)}?download=true`}
              aria-label={t('models.files.download', { name: nameOf(f.path) })}>
              <Icon name="download" />
            </a>
          )}
          {may && (
            <Button
              small
              kind="quiet"
              icon="trash"
              label={t('models.files.delete', { name: nameOf(f.path) })}
              onClick={() => remove(f)}
            />
          )}
        </span>
      ),
    },
  ];
  if (error) return <ErrorNote error={error} retry={again} />;
  return (
    <>
      {(path || data?.list.length > 0) && (
        <Crumbs label={t('models.files.path')} parts={crumbsOf(path)} />
      )}
      <Section flush>
        <Table
          label={t('models.files.label')}
          columns={columns}
          rows={data?.list ?? null}
          rowKey={(f) => f.path}
          onRow={(f) =>
            f.type === 'directory' ? setQuery({ path: f.path }, { replace: false }) : setShown(f)
          }
          empty={
            <Empty
              icon="folder"
              title={t('models.files.none')}
              text={t('models.files.none.text', { repo })}
            />
          }
        />
      </Section>
      {data?.more && <Note>{t('models.list.more', { n: number(data.list.length) })}</Note>}
      {may && data && (
        <FileDrop
          multiple
          label={t('models.upload.drop')}
          onFiles={upload}
          hint={t('models.upload.hint')}
        />
      )}
      {shown && (
        <Preview
          kind={kind}
          repo={repo}
          rev={info.sha}
          file={shown}
          onClose={() => setShown(null)}
        />
      )}
    </>
  );
}
