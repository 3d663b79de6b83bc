// The project's buckets, and how much it keeps.
import { useCallback, useState } from 'preact/hooks';
import { ApiError } from '../../lib/api.js';
import { useAction, useApi, useAsked } from '../../lib/hooks.js';
import { bytes, t } from '../../lib/i18n.js';
import { navigate } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Badge,
  Button,
  Checkbox,
  Code,
  confirmDelete,
  Dialog,
  Empty,
  ErrorNote,
  Form,
  Live,
  menuColumn,
  Meter,
  Page,
  Section,
  Table,
  TextInput,
  Time,
  toast,
} from '../../ui/index.js';
import * as s3 from './s3.js';

export const mayWrite = () => can('developer', 'objects.write');

// S3's names, without the odd ones (addresses, xn--): the cloud says no to those.
const NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

function Create({ onClose }) {
  const [name, setName] = useState('');
  const [versions, setVersions] = useState(false);
  const [tried, setTried] = useState(false);
  const [error, setError] = useState(null);
  const bad = !NAME.test(name) || name.includes('..');
  const taken = error?.code === 'BucketAlreadyExists' || error?.code === 'BucketAlreadyOwnedByYou';
  const [create, busy] = useAction(async () => {
    setTried(true);
    if (bad) return;
    setError(null);
    try {
      await s3.createBucket(name);
      if (versions) await s3.putVersioning(name, true);
      toast.ok(t('storage.created.ok', { name }));
      navigate(`/storage/${name}`);
    } catch (e) {
      setError(e);
    }
  });
  const fault =
    tried && bad ? t('storage.create.name.bad') : taken ? t('storage.create.taken') : undefined;
  return (
    <Dialog title={t('storage.create.title')} onClose={onClose}>
      <Form
        onSubmit={create}
        actions={
          <>
            <Button onClick={onClose}>{t('ui.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy}>
              {t('ui.create')}
            </Button>
          </>
        }>
        <TextInput
          label={t('storage.create.name')}
          hint={t('storage.create.name.hint')}
          value={name}
          autofocus
          onChange={(v) => {
            setName(v.toLowerCase());
            setError(null);
          }}
          error={fault}
          maxLength={63}
        />
        <Checkbox
          label={t('storage.create.versions')}
          hint={t('storage.create.versions.hint')}
          value={versions}
          onChange={setVersions}
        />
        {!taken && <ErrorNote error={error} />}
      </Form>
    </Dialog>
  );
}

// A bucket must be empty to go: everything in it goes
// first, with its versions and unfinished uploads.
async function empty(bucket, tell) {
  let n = 0;
  for (;;) {
    const { versions } = await s3.listVersions(bucket);
    if (versions.length === 0) break;
    const faults = await s3.removeMany(bucket, versions);
    if (faults.length > 0) throw new ApiError({ status: 400, ...faults[0] });
    n += versions.length;
    tell(n);
  }
  for (const u of await s3.listUploads(bucket)) await s3.abortUpload(bucket, u.key, u.id);
}

export async function removeBucket(bucket, tell) {
  return confirmDelete({
    what: bucket,
    typed: true,
    text: t('storage.delete.text'),
    verb: t('storage.delete'),
    action: async () => {
      await empty(bucket, tell);
      await s3.deleteBucket(bucket);
      toast.ok(t('storage.deleted.ok', { name: bucket }));
    },
  });
}

function Kept() {
  const { data } = useApi('/api/v1/storage', { poll: 15000 });
  if (!data) return null;
  const max = data.limit_bytes;
  const text =
    max === null
      ? t('storage.kept.free', { used: bytes(data.bytes) })
      : t('storage.kept.of', { used: bytes(data.bytes), max: bytes(max) });
  return (
    <Section title={t('storage.kept.title')} text={t('storage.kept.what')}>
      {max === null ? (
        <p class="figures">{text}</p>
      ) : (
        <Meter value={data.bytes} max={max} label={t('storage.kept.title')} text={text} />
      )}
    </Section>
  );
}

function columnsOf(reload, setTold) {
  return [
    { key: 'name', title: t('storage.buckets.name'), sort: (b) => b.name },
    {
      key: 'rights',
      title: t('storage.buckets.rights'),
      render: (b) =>
        b.open ? (
          <Badge tone="warn" dot>
            {t('storage.rights.public')}
          </Badge>
        ) : (
          <Badge>{t('storage.rights.private')}</Badge>
        ),
    },
    {
      key: 'created',
      title: t('storage.buckets.created'),
      render: (b) => <Time at={b.created} />,
      sort: (b) => b.created,
    },
    menuColumn(
      (b) => t('storage.objects.actions', { name: b.name }),
      (b) =>
        mayWrite() && [
          {
            label: t('storage.delete'),
            icon: 'trash',
            danger: true,
            onClick: async () => {
              await removeBucket(b.name, (n) =>
                setTold(t('storage.delete.doing', { name: b.name, n })),
              );
              reload();
            },
          },
        ],
    ),
  ];
}

// The same with a program: name of a bucket, if there is one.
const awsOf = (name) =>
  ['eval "$(feitian key s3)"', 'aws --endpoint-url $AWS_ENDPOINT_URL s3 ls']
    .concat(name ? `aws --endpoint-url $AWS_ENDPOINT_URL s3 cp FILE s3://${name}/` : [])
    .join('\n');

const ASKED_MAX = 100; // buckets whose rights are asked for: one question each

async function everything(signal) {
  const buckets = await s3.listBuckets(signal);
  const open = await Promise.all(
    buckets.slice(0, ASKED_MAX).map((b) => s3.isPublic(b.name).catch(() => false)),
  );
  return buckets.map((b, i) => ({ ...b, id: b.name, open: open[i] ?? false }));
}

export function Buckets() {
  const [making, setMaking] = useState(false);
  const [told, setTold] = useState('');
  const ask = useCallback((signal) => everything(signal), []);
  const { data, error, reload } = useApi(ask);
  useAsked('new', () => setMaking(mayWrite()));
  const create = mayWrite() && (
    <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>
      {t('storage.new')}
    </Button>
  );
  return (
    <Page title={t('storage.title')} text={t('storage.about')} actions={data?.length > 0 && create}>
      <ErrorNote error={error} retry={reload} />
      {(data || !error) && (
        <Section flush>
          <Table
            label={t('storage.buckets.label')}
            columns={columnsOf(reload, setTold)}
            rows={data}
            sort={{ key: 'name' }}
            rowHref={(b) => `/storage/${b.name}`}
            empty={
              <Empty
                icon="storage"
                title={t('storage.empty.title')}
                text={t('storage.empty.text')}
                action={create}
              />
            }
          />
        </Section>
      )}
      <Kept />
      {data && (
        <Section title={t('storage.s3.title')} text={t('storage.s3.text')}>
          <Code label={t('storage.s3.title')} text={awsOf(data[0]?.name)} />
        </Section>
      )}
      <Live>{told}</Live>
      {making && <Create onClose={() => setMaking(false)} />}
    </Page>
  );
}
