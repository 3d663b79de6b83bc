// What is in a bucket, a folder at a time: chosen, deleted,
// opened, and uploaded by dropping it anywhere here.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { droppedFiles } from '../../lib/files.js';
import { useAction, useDebounced, useGrowing } from '../../lib/hooks.js';
import { bytes, number, t } from '../../lib/i18n.js';
import { inWords } from '../../lib/refusals.js';
import { Link, setQuery, useRoute } from '../../lib/router.js';
import {
  Button,
  confirmDelete,
  Crumbs,
  Dialog,
  Empty,
  ErrorNote,
  Form,
  Icon,
  menuColumn,
  Section,
  Table,
  TextInput,
  Time,
  toast,
} from '../../ui/index.js';
import { mayWrite } from './buckets.jsx';
import { ObjectView } from './object.jsx';
import * as s3 from './s3.js';
import { Share } from './share.jsx';
import { uploads, useFinished } from './tray.jsx';

const here = (bucket, prefix) =>
  `/storage/${bucket}${prefix ? `?prefix=${encodeURIComponent(prefix)}` : ''}`;

/* ---- where one is ---- */

function crumbsOf(bucket, prefix) {
  const names = prefix.split('/').slice(0, -1);
  const parts = names.map((title, i) => ({
    title,
    href: here(bucket, `${names.slice(0, i + 1).join('/')}/`),
  }));
  return [{ title: bucket, href: here(bucket, '') }, ...parts];
}

/* ---- uploading ---- */

// Drops anywhere on the page, so that nobody has to aim. -> whether something hangs over it
function useDrop(bucket, prefix, allowed) {
  const [over, setOver] = useState(false);
  useEffect(() => {
    if (!allowed) return undefined;
    const hasFiles = (e) =>
      e.dataTransfer?.types.includes('Files') && !document.querySelector('dialog[open]');
    const hang = (e) => {
      if (!hasFiles(e)) return;
      e.preventDefault();
      setOver(true);
    };
    const leave = (e) => e.relatedTarget === null && setOver(false);
    const drop = async (e) => {
      if (!hasFiles(e)) return;
      e.preventDefault();
      setOver(false);
      const found = await droppedFiles(e.dataTransfer);
      uploads.add(
        bucket,
        found.map((file) => ({ file, key: prefix + (file.path ?? file.name) })),
      );
    };
    const on = { dragover: hang, dragleave: leave, drop };
    for (const [name, fn] of Object.entries(on)) window.addEventListener(name, fn);
    return () => {
      for (const [name, fn] of Object.entries(on)) window.removeEventListener(name, fn);
    };
  }, [bucket, prefix, allowed]);
  return over;
}

function UploadButtons({ bucket, prefix }) {
  const files = useRef(null);
  const folder = useRef(null);
  const take = (e) => {
    uploads.add(
      bucket,
      [...e.currentTarget.files].map((file) => ({
        file,
        key: prefix + (file.webkitRelativePath || file.name),
      })),
    );
    e.currentTarget.value = '';
  };
  return (
    <>
      <input
        ref={files}
        type="file"
        class="hidden"
        multiple
        tabIndex={-1}
        aria-label={t('storage.upload')}
        onChange={take}
      />
      <input
        ref={folder}
        type="file"
        class="hidden"
        webkitdirectory
        tabIndex={-1}
        aria-label={t('storage.upload.folder')}
        onChange={take}
      />
      <Button kind="primary" icon="upload" onClick={() => files.current.click()}>
        {t('storage.upload')}
      </Button>
      <Button icon="folder" onClick={() => folder.current.click()}>
        {t('storage.upload.folder')}
      </Button>
    </>
  );
}

function NewFolder({ bucket, prefix, onClose, done }) {
  const [name, setName] = useState('');
  const [tried, setTried] = useState(false);
  const [error, setError] = useState(null);
  const bad = name.trim() === '' || name.startsWith('/');
  const [make, busy] = useAction(async () => {
    setTried(true);
    if (bad) return;
    try {
      await s3.send('PUT', bucket, `${prefix}${name.replace(/\/+$/, '')}/`, { body: '' });
      done();
      onClose();
    } catch (e) {
      setError(e);
    }
  });
  return (
    <Dialog title={t('storage.folder.new')} onClose={onClose}>
      <Form
        onSubmit={make}
        actions={
          <>
            <Button onClick={onClose}>{t('ui.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy}>
              {t('ui.create')}
            </Button>
          </>
        }>
        <TextInput
          label={t('storage.folder.name')}
          hint={t('storage.folder.hint')}
          value={name}
          onChange={setName}
          autofocus
          error={tried && bad ? t('storage.folder.bad') : undefined}
        />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

/* ---- deleting ---- */

// tell(n): so many were found until now.
async function keysOf(bucket, names, tell) {
  const keys = [];
  for (const name of names) {
    if (!name.endsWith('/')) keys.push({ key: name });
    else
      for await (const page of s3.everyKey(bucket, name)) {
        keys.push(...page.map(({ key }) => ({ key })));
        tell(keys.length);
      }
  }
  return keys;
}

async function remove(bucket, names, keeps) {
  const one = names.length === 1;
  let n = 0;
  const hasFolder = names.some((name) => name.endsWith('/'));
  const folders = hasFolder ? `${t('storage.remove.folder')} ` : '';
  const done = await confirmDelete({
    what: one ? names[0] : bucket,
    typed: !keeps && (hasFolder || !one), // nothing brings so much back
    title: one
      ? t('storage.remove.one', { name: names[0] })
      : t('storage.remove.many', { n: number(names.length) }),
    text: folders + t(keeps ? 'storage.remove.kept' : 'storage.remove.final'),
    action: async (tell) => {
      const keys = await keysOf(bucket, names, (found) => tell(number(found)));
      const onProgress = (done, all) => tell(`${number(done)} / ${number(all)}`);
      const faults = await s3.removeMany(bucket, keys, { onProgress });
      n = keys.length - faults.length;
      if (faults.length > 0)
        toast.error(
          t('storage.removed.some', {
            n: number(faults.length),
            message: inWords({ status: 400, ...faults[0] }).message,
          }),
        );
    },
  });
  if (done && n > 0) toast.ok(t('storage.removed.ok', { n: number(n) }));
  return done;
}

/* ---- the list ---- */

function useListing(bucket, prefix) {
  const finished = useFinished();
  const settled = useDebounced(finished, 600); // many small files: one look for many
  const ask = useCallback(
    async (last, signal) => {
      const page = await s3.list(bucket, { prefix, token: last?.next, signal });
      return { ...page, more: page.next !== null };
    },
    [bucket, prefix],
  );
  const { data: pages, ...state } = useGrowing(ask);
  useEffect(() => {
    if (settled > 0) state.reload();
  }, [settled]);
  const data = pages && {
    folders: pages.flatMap((p) => p.folders),
    objects: pages.flatMap((p) => p.objects),
    more: pages.at(-1).more,
  };
  return { ...state, data };
}

function rowsOf(data, folder) {
  if (!data) return null;
  return [
    ...data.folders.map((key) => ({ id: key, key, folder: true, name: key.slice(folder.length) })),
    ...data.objects
      .filter((o) => o.key !== folder)
      .map((o) => ({ ...o, id: o.key, name: o.key.slice(folder.length) })),
  ];
}

function columnsOf({ bucket, chosen, choose, share, removeOne, writes }) {
  const menu = (r) =>
    [
      !r.folder &&
        s3.canOpen(r.key) && {
          label: t('storage.download'),
          icon: 'download',
          onClick: () => download(bucket, r.key),
        },
      !r.folder && { label: t('storage.share'), icon: 'share', onClick: () => share(r.key) },
      writes && {
        label: t('storage.remove'),
        icon: 'trash',
        danger: true,
        onClick: () => removeOne(r.key),
      },
    ].filter(Boolean);
  return [
    writes && {
      key: 'choose',
      title: '',
      class: 'cell-tight storage-cell-choose',
      render: (r) => (
        <input
          type="checkbox"
          checked={chosen.has(r.key)}
          onChange={(e) => choose([r.key], e.currentTarget.checked)}
          aria-label={t('storage.objects.choose', { name: r.name })}
        />
      ),
    },
    {
      key: 'name',
      title: t('storage.objects.name'),
      class: 'storage-cell-name',
      sort: (r) => `${r.folder ? 0 : 1}${r.name}`,
      render: (r) => (
        <span class="storage-name">
          <Icon name={r.folder ? 'folder' : 'file'} />
          {r.folder ? (
            <Link class="row-link" href={here(bucket, r.key)}>
              {r.name}
            </Link>
          ) : (
            <button
              type="button"
              class="row-link"
              onClick={() => setQuery({ open: r.key }, { replace: false })}>
              {r.name}
            </button>
          )}
        </span>
      ),
    },
    {
      key: 'size',
      title: t('storage.objects.size'),
      align: 'end',
      class: 'storage-cell-size',
      sort: (r) => r.bytes ?? -1,
      render: (r) => (r.folder ? '' : bytes(r.bytes)),
    },
    {
      key: 'modified',
      title: t('storage.objects.modified'),
      class: 'storage-cell-time',
      sort: (r) => r.modified ?? 0,
      render: (r) => (r.folder ? '' : <Time at={r.modified} />),
    },
    menuColumn((r) => t('storage.objects.actions', { name: r.name }), menu),
  ].filter(Boolean);
}

// A download is a link of a few minutes: the browser keeps the file, however large, off the page.
export async function download(bucket, key, version) {
  try {
    const { url } = await s3.presign({
      bucket,
      key,
      version_id: version,
      method: 'GET',
      expires_s: 300,
      download_as: key.split('/').pop(),
    });
    const a = document.createElement('a');
    a.href = url;
    a.download = '';
    document.body.append(a);
    a.click();
    a.remove();
  } catch (e) {
    toast.error(e);
  }
}

export function Objects({ bucket, keeps }) {
  const { query } = useRoute();
  const folder = query.get('prefix') ?? '';
  // another folder begins without a filter
  const [typed, setTyped] = useState({ folder, words: '' });
  const wordsIn = (found) => (found.folder === folder ? found.words : '');
  const find = wordsIn(useDebounced(typed));
  const [chosen, setChosen] = useState(new Set());
  const [dialog, setDialog] = useState(null); // 'folder', or { share: key }
  const writes = mayWrite();
  const { data, error, busy, reload, next } = useListing(bucket, folder + find);
  const over = useDrop(bucket, folder, writes);
  useEffect(() => {
    setTyped({ folder, words: '' });
    setChosen(new Set());
  }, [folder]);
  const choose = (keys, on) =>
    setChosen((was) => new Set(on ? [...was, ...keys] : [...was].filter((k) => !keys.includes(k))));
  const removeAll = async (keys) => {
    if (!(await remove(bucket, keys, keeps))) return;
    setChosen(new Set());
    reload();
  };
  const rows = rowsOf(data, folder);
  const columns = columnsOf({
    bucket,
    chosen,
    choose,
    writes,
    share: (key) => setDialog({ share: key }),
    removeOne: (key) => removeAll([key]),
  });
  const open = query.get('open');
  const none =
    find !== '' ? (
      <p class="muted pad">{t('storage.objects.none', { prefix: folder + find })}</p>
    ) : (
      <Empty
        icon="storage"
        title={t('storage.objects.empty.title')}
        text={writes ? t('storage.objects.empty.text') : ''}
      />
    );
  return (
    <>
      <div class="storage-bar">
        <Crumbs label={t('storage.objects.path')} parts={crumbsOf(bucket, folder)} />
        {writes && (
          <div class="row">
            <UploadButtons bucket={bucket} prefix={folder} />
            <Button icon="plus" onClick={() => setDialog('folder')}>
              {t('storage.folder.new')}
            </Button>
          </div>
        )}
      </div>
      <div class="storage-bar">
        <TextInput
          label={t('storage.objects.find')}
          hideLabel
          type="search"
          placeholder={t('storage.objects.find')}
          value={wordsIn(typed)}
          onChange={(words) => setTyped({ folder, words })}
        />
        {writes && rows?.length > 0 && (
          <div class="row">
            <label class="storage-check">
              <input
                type="checkbox"
                checked={rows.every((r) => chosen.has(r.key))}
                onChange={(e) =>
                  choose(
                    rows.map((r) => r.key),
                    e.currentTarget.checked,
                  )
                }
              />
              {t('storage.objects.choose_all')}
            </label>
            <span class="muted figures" aria-live="polite">
              {chosen.size > 0 && t('storage.objects.chosen', { n: number(chosen.size) })}
            </span>
            <Button
              small
              icon="trash"
              disabled={chosen.size === 0}
              onClick={() => removeAll([...chosen])}>
              {t('storage.remove')}
            </Button>
          </div>
        )}
      </div>
      <ErrorNote error={error} retry={reload} />
      {(rows || !error) && (
        <Section flush class={over ? 'storage-list storage-over' : 'storage-list'}>
          <Table
            label={t('storage.objects.label', { bucket })}
            columns={columns}
            rows={rows}
            empty={none}
            more={data?.more && { busy, onMore: next }}
          />
        </Section>
      )}
      {over && (
        <p class="storage-drop" role="status">
          {t('storage.objects.drop', { where: `${bucket}/${folder}` })}
        </p>
      )}
      {dialog === 'folder' && (
        <NewFolder bucket={bucket} prefix={folder} onClose={() => setDialog(null)} done={reload} />
      )}
      {dialog?.share && (
        <Share bucket={bucket} objectKey={dialog.share} onClose={() => setDialog(null)} />
      )}
      {open !== null && (
        <ObjectView
          key={open}
          bucket={bucket}
          objectKey={open}
          writes={writes}
          changed={reload}
          onClose={() => setQuery({ open: null })}
          onShare={() => setDialog({ share: open })}
          onRemove={async () => {
            setQuery({ open: null });
            await removeAll([open]);
          }}
        />
      )}
    </>
  );
}
