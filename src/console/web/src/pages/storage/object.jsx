// One object at the side of the list: what is in it, what is said of it, its versions.
import { useCallback, useEffect, useState } from 'preact/hooks';
import { useAction, useApi } from '../../lib/hooks.js';
import { bytes, dateTime, t } from '../../lib/i18n.js';
import {
  Badge,
  Button,
  confirmDelete,
  CopyValue,
  Dialog,
  ErrorNote,
  Facts,
  Loading,
  Section,
  TabPanel,
  Tabs,
  TextInput,
  toast,
} from '../../ui/index.js';
import { download } from './objects.jsx';
import { Preview } from './preview.jsx';
import * as s3 from './s3.js';

function Details({ objectKey, head }) {
  const metadata = Object.entries(head.metadata);
  return (
    <Facts
      rows={[
        [t('storage.object.key'), <CopyValue text={objectKey} />],
        [t('storage.object.size'), bytes(head.bytes)],
        [t('storage.object.type'), head.type],
        [t('storage.object.modified'), dateTime(head.modified)],
        [t('storage.object.etag'), <code>{head.etag}</code>],
        head.version &&
          head.version !== 'null' && [t('storage.object.version'), <code>{head.version}</code>],
        head.locked && [
          t('storage.object.locked'),
          `${dateTime(Date.parse(head.lockedUntil) / 1000)} (${head.locked})`,
        ],
        ...metadata.map(([name, value]) => [`x-amz-meta-${name}`, value]),
      ]}
    />
  );
}

const TAGS_MAX = 10;

function Tags({ bucket, objectKey, version, writes }) {
  const ask = useCallback(
    () => s3.getTags(bucket, objectKey, version),
    [bucket, objectKey, version],
  );
  const { data, error, reload } = useApi(ask);
  const [tags, setTags] = useState(null); // [[name, value]], once something was changed
  const [save, busy] = useAction(async () => {
    try {
      await s3.putTags(
        bucket,
        objectKey,
        Object.fromEntries(tags.filter(([name]) => name !== '')),
        version,
      );
      toast.ok(t('storage.tags.saved'));
      setTags(null);
      reload();
    } catch (e) {
      toast.error(e);
    }
  });
  if (error) return <ErrorNote error={error} retry={reload} />;
  if (!data) return <Loading rows={2} />;
  const shown = tags ?? Object.entries(data);
  const change = (i, k, v) =>
    setTags(shown.map((tag, n) => (n === i ? tag.map((old, m) => (m === k ? v : old)) : tag)));
  if (!writes) {
    return shown.length === 0 ? (
      <p class="muted">{t('storage.tags.none')}</p>
    ) : (
      <Facts rows={shown} />
    );
  }
  return (
    <div class="stack">
      {shown.length === 0 && <p class="muted">{t('storage.tags.none')}</p>}
      {shown.map(([name, value], i) => (
        <div class="storage-tag" key={i}>
          <TextInput
            label={t('storage.tags.name')}
            hideLabel={i > 0}
            value={name}
            onChange={(v) => change(i, 0, v)}
            maxLength={128}
          />
          <TextInput
            label={t('storage.tags.value')}
            hideLabel={i > 0}
            value={value}
            onChange={(v) => change(i, 1, v)}
            maxLength={256}
          />
          <Button
            kind="quiet"
            icon="close"
            label={t('storage.tags.remove', { name })}
            onClick={() => setTags(shown.filter((_, n) => n !== i))}
          />
        </div>
      ))}
      <div class="row">
        <Button
          small
          icon="plus"
          disabled={shown.length >= TAGS_MAX}
          onClick={() => setTags([...shown, ['', '']])}>
          {t('storage.tags.add')}
        </Button>
        {tags && (
          <Button small kind="primary" busy={busy} onClick={save}>
            {t('storage.tags.save')}
          </Button>
        )}
      </div>
    </div>
  );
}

function Versions({ bucket, objectKey, writes, changed }) {
  const ask = useCallback(
    async (signal) => {
      const { versions } = await s3.listVersions(bucket, { prefix: objectKey, signal });
      return versions.filter((v) => v.key === objectKey);
    },
    [bucket, objectKey],
  );
  const { data, error, reload } = useApi(ask);
  const done = () => {
    reload();
    changed();
  };
  const restore = async (v) => {
    try {
      await s3.copy(bucket, objectKey, objectKey, v.version);
      toast.ok(t('storage.versions.restored'));
      done();
    } catch (e) {
      toast.error(e);
    }
  };
  const remove = async (v) => {
    const gone = await confirmDelete({
      what: t('storage.versions.what', { name: objectKey }),
      text: t('storage.remove.final'),
      action: () => s3.removeOne(bucket, objectKey, v.version),
    });
    if (gone) done();
  };
  if (error) return <ErrorNote error={error} retry={reload} />;
  if (!data) return <Loading />;
  if (data.length === 1 && data[0].version === 'null')
    return <p class="muted">{t('storage.versions.none')}</p>;
  return (
    <ol class="storage-versions">
      {data.map((v) => (
        <li key={v.version}>
          <div class="storage-version">
            <p class="row">
              <span class="figures">{dateTime(v.modified)}</span>
              {v.latest && <Badge tone="info">{t('storage.versions.latest')}</Badge>}
              {v.marker ? (
                <Badge tone="warn">{t('storage.versions.marker')}</Badge>
              ) : (
                <span class="muted figures">{bytes(v.bytes)}</span>
              )}
            </p>
            <code class="muted">{v.version}</code>
          </div>
          <div class="row">
            {!v.marker && (
              <Button
                small
                kind="quiet"
                icon="download"
                label={t('storage.download')}
                onClick={() => download(bucket, objectKey, v.version)}
              />
            )}
            {writes && !v.latest && !v.marker && (
              <Button small onClick={() => restore(v)}>
                {t('storage.versions.restore')}
              </Button>
            )}
            {writes && (
              <Button
                small
                kind="quiet"
                icon="trash"
                label={t('storage.versions.remove')}
                onClick={() => remove(v)}
              />
            )}
          </div>
        </li>
      ))}
    </ol>
  );
}

export function ObjectView({ bucket, objectKey, writes, changed, onClose, onShare, onRemove }) {
  const can = s3.canOpen(objectKey);
  const ask = useCallback(() => s3.head(bucket, objectKey), [bucket, objectKey]);
  const { data: head, error, reload } = useApi(can ? ask : null);
  const [tab, setTab] = useState('preview');
  const gone = error?.status === 404;
  useEffect(() => {
    if (gone) setTab('versions');
  }, [gone]);
  const tabs = ['preview', 'details', 'versions'].map((id) => ({
    id,
    title: t(`storage.object.${id}`),
  }));
  const name = objectKey.split('/').pop() || objectKey;
  const footer = can && (
    <>
      {writes && head && (
        <Button icon="trash" onClick={onRemove}>
          {t('storage.remove')}
        </Button>
      )}
      <Button icon="share" onClick={onShare} disabled={!head}>
        {t('storage.share')}
      </Button>
      <Button
        kind="primary"
        icon="download"
        disabled={!head}
        onClick={() => download(bucket, objectKey)}>
        {t('storage.download')}
      </Button>
    </>
  );
  return (
    <Dialog side title={name} onClose={onClose} footer={footer}>
      {!can && <p>{t('storage.no_open')}</p>}
      {can && (
        <>
          <Tabs label={name} tabs={tabs} value={tab} onChange={setTab} />
          <TabPanel id={tab}>
            {tab !== 'versions' && <ErrorNote error={error} retry={reload} />}
            {tab !== 'versions' && !head && !error && <Loading rows={6} />}
            {tab === 'preview' && head && (
              <Preview
                bucket={bucket}
                objectKey={objectKey}
                head={head}
                onDownload={() => download(bucket, objectKey)}
              />
            )}
            {tab === 'details' && head && (
              <>
                <Details objectKey={objectKey} head={head} />
                <Section title={t('storage.object.tags')} bare>
                  <Tags bucket={bucket} objectKey={objectKey} writes={writes} />
                </Section>
              </>
            )}
            {tab === 'versions' && (
              <Versions bucket={bucket} objectKey={objectKey} writes={writes} changed={changed} />
            )}
          </TabPanel>
        </>
      )}
    </Dialog>
  );
}
