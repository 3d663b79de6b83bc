// What happens to a bucket's objects by itself: versions that are kept, what expires.
import { useCallback, useState } from 'preact/hooks';
import { useAction, useApi } from '../../lib/hooks.js';
import { number, t } from '../../lib/i18n.js';
import {
  Badge,
  Button,
  Checkbox,
  confirmDelete,
  Dialog,
  ErrorNote,
  Form,
  menuColumn,
  NumberInput,
  Section,
  Table,
  TextInput,
  toast,
} from '../../ui/index.js';
import { mayWrite } from './buckets.jsx';
import * as s3 from './s3.js';

function Versioning({ bucket, status, changed, writes }) {
  const on = status === 'Enabled';
  const [set, busy] = useAction(async () => {
    try {
      await s3.putVersioning(bucket, !on);
      toast.ok(t('storage.versioning.saved'));
      changed();
    } catch (e) {
      toast.error(e);
    }
  });
  return (
    <Section
      title={t('storage.versioning.title')}
      actions={
        writes && (
          <Button small busy={busy} onClick={set}>
            {t(on ? 'storage.versioning.off' : 'storage.versioning.on')}
          </Button>
        )
      }>
      <p>{t(`storage.versioning.${status}`)}</p>
    </Section>
  );
}

const NEW = { prefix: '', days: null, oldDays: null, uploadDays: null, enabled: true };
const DAYS = ['days', 'oldDays', 'uploadDays'];
const WORDS = { days: 'days', oldDays: 'old', uploadDays: 'uploads' };

function Edit({ rule, onClose, save }) {
  const [r, setR] = useState(rule);
  const [tried, setTried] = useState(false);
  const [error, setError] = useState(null);
  const bad =
    DAYS.some((d) => r[d] !== null && !(Number.isInteger(r[d]) && r[d] >= 1)) ||
    DAYS.every((d) => r[d] === null);
  const [go, busy] = useAction(async () => {
    setTried(true);
    if (bad) return;
    setError(null);
    try {
      await save(r);
      onClose();
    } catch (e) {
      setError(e);
    }
  });
  const set = (name) => (v) => setR({ ...r, [name]: v });
  return (
    <Dialog title={t('storage.expiry.rule')} onClose={onClose}>
      <Form
        onSubmit={go}
        actions={
          <>
            <Button onClick={onClose}>{t('ui.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy}>
              {t('ui.save')}
            </Button>
          </>
        }>
        <TextInput
          label={t('storage.expiry.prefix')}
          hint={t('storage.expiry.prefix.hint')}
          value={r.prefix}
          onChange={set('prefix')}
        />
        {DAYS.map((d) => (
          <NumberInput
            key={d}
            label={t(`storage.expiry.${WORDS[d]}`)}
            optional
            unit={t('storage.expiry.unit')}
            min={1}
            value={r[d]}
            onChange={set(d)}
            error={d === 'days' && tried && bad ? t('storage.expiry.need') : undefined}
          />
        ))}
        <Checkbox label={t('storage.expiry.enabled')} value={r.enabled} onChange={set('enabled')} />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

const inDays = (n) =>
  n === null ? '–' : t(n === 1 ? 'storage.expiry.d1' : 'storage.expiry.d', { n: number(n) });

export function Rules({ bucket, versioning, changed }) {
  const ask = useCallback(() => s3.getLifecycle(bucket), [bucket]);
  const { data, error, reload } = useApi(ask);
  const [editing, setEditing] = useState(null);
  const writes = mayWrite();
  const put = async (rules) => {
    await s3.putLifecycle(bucket, rules);
    toast.ok(t('storage.expiry.saved'));
    reload();
  };
  const save = (rule) =>
    put(
      rule.id
        ? data.rules.map((r) => (r.id === rule.id ? rule : r))
        : [...data.rules, { ...rule, id: `rule-${Date.now().toString(36)}` }],
    );
  const nameOf = (r) => r.prefix || t('storage.expiry.all');
  const columns = [
    {
      key: 'prefix',
      title: t('storage.expiry.prefix'),
      render: (r) => (
        <span>
          {nameOf(r)} {!r.enabled && <Badge>{t('storage.expiry.off')}</Badge>}
          {r.other && <span class="muted small"> {t('storage.expiry.other')}</span>}
        </span>
      ),
    },
    ...DAYS.map((d) => ({
      key: d,
      title: t(`storage.expiry.short.${WORDS[d]}`),
      align: 'end',
      render: (r) => inDays(r[d]),
    })),
    menuColumn(
      (r) => t('storage.objects.actions', { name: nameOf(r) }),
      (r) =>
        writes && [
          !r.other && { label: t('ui.edit'), icon: 'edit', onClick: () => setEditing(r) },
          {
            label: t('ui.delete'),
            icon: 'trash',
            danger: true,
            onClick: () =>
              confirmDelete({
                what: t('storage.expiry.what', { prefix: nameOf(r) }),
                action: () => put(data.rules.filter((o) => o !== r)),
              }),
          },
        ],
    ),
  ];
  return (
    <>
      <Versioning bucket={bucket} status={versioning} changed={changed} writes={writes} />
      <Section
        title={t('storage.expiry.title')}
        text={t('storage.expiry.about')}
        flush
        actions={
          writes && (
            <Button small icon="plus" onClick={() => setEditing(NEW)}>
              {t('storage.expiry.add')}
            </Button>
          )
        }>
        <ErrorNote error={error} retry={reload} />
        {!error && (
          <Table
            label={t('storage.expiry.title')}
            columns={columns}
            rows={data?.rules}
            rowKey={(r) => r.id}
            empty={<p class="muted pad">{t('storage.expiry.none')}</p>}
          />
        )}
      </Section>
      {editing && <Edit rule={editing} onClose={() => setEditing(null)} save={save} />}
    </>
  );
}
