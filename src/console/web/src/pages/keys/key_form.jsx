// A key's dialog: a new one, or one that is changed. What is seldom needed is folded.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { DAY } from '../../lib/calendar.js';
import { useAction } from '../../lib/hooks.js';
import { getCurrency, t } from '../../lib/i18n.js';
import { useMe } from '../../lib/session.js';
import { isSum, wordsOf } from '../../lib/typed.js';
import {
  Button,
  Checkbox,
  Choice,
  Code,
  Dialog,
  ErrorNote,
  Form,
  NumberInput,
  Select,
  TextInput,
  toast,
} from '../../ui/index.js';
import { rolesUpTo } from './shared.js';

const ACTIONS = [
  'chat',
  'completions',
  'embeddings',
  'rerank',
  'models',
  'usage',
  'objects.read',
  'objects.write',
  'hub.read',
  'hub.write',
  'files',
  'batches',
  'fine_tuning',
  'manage',
  'metrics',
];
const LIMITS = ['rpm', 'tpm', 'concurrency'];

const everyAction = (actions) => actions.includes('*');
const dayOf = (s) =>
  s === null || s === undefined ? '' : new Date(s * 1000).toISOString().slice(0, 10);

function draftOf(key, me) {
  return {
    name: key?.name ?? '',
    project: key?.project ?? me.project.id,
    role: key?.role ?? (me.role === 'viewer' ? 'viewer' : 'developer'),
    member: key?.member ?? '',
    models: (key?.models ?? []).filter((m) => m !== '*').join(', '),
    some: key !== null && !everyAction(key.actions),
    actions: (key?.actions ?? []).filter((a) => a !== '*'),
    rpm: key?.limits?.rpm ?? null,
    tpm: key?.limits?.tpm ?? null,
    concurrency: key?.limits?.concurrency ?? null,
    day: key?.budget?.day ?? '',
    month: key?.budget?.month ?? '',
    expires: dayOf(key?.expires),
  };
}

function faultsOf(d, expiresBefore) {
  const faults = {};
  if (d.name.trim() === '') faults.name = t('keys.key.name.need');
  if (d.some && d.actions.length === 0) faults.actions = t('keys.key.actions.need');
  for (const name of LIMITS)
    if (d[name] !== null && !(Number.isInteger(d[name]) && d[name] >= 0))
      faults[name] = t('keys.key.whole');
  for (const name of ['day', 'month'])
    if (d[name] !== '' && !isSum(d[name])) faults[name] = t('keys.key.sum');
  if (d.expires !== expiresBefore && d.expires !== '' && !(endOf(d.expires) > Date.now() / 1000))
    faults.expires = t('keys.key.expires.bad');
  return faults;
}

// The day counts to its end.
const endOf = (day) => Date.parse(day) / 1000 + DAY - 1;

function bodyOf(d, key, own) {
  const limits = Object.fromEntries(LIMITS.map((name) => [name, d[name]]));
  const models = wordsOf(d.models);
  const body = {
    name: d.name.trim(),
    role: d.role,
    models: models.length > 0 ? models : ['*'],
    actions: d.some ? d.actions : ['*'],
    limits: LIMITS.some((name) => d[name] !== null) ? limits : null,
    budget:
      d.day || d.month
        ? { day: d.day || null, month: d.month || null, warn: key?.budget?.warn ?? [0.8, 0.95] }
        : null,
  };
  if (d.expires !== dayOf(key?.expires)) body.expires = d.expires === '' ? null : endOf(d.expires);
  if (key === null && d.member !== '') body.member = d.member;
  if (key === null && d.project !== own) body.project = d.project;
  return body;
}

function Actions({ draft, set, error }) {
  const flip = (a) => (on) =>
    set('actions')(ACTIONS.filter((x) => (x === a ? on : draft.actions.includes(x))));
  return (
    <>
      <Choice
        label={t('keys.key.actions')}
        value={draft.some ? 'some' : 'all'}
        onChange={(v) => set('some')(v === 'some')}
        options={['all', 'some'].map((value) => ({ value, label: t(`keys.key.actions.${value}`) }))}
      />
      {draft.some && (
        <fieldset class="keys-actions">
          <legend class="hidden">{t('keys.key.actions')}</legend>
          {ACTIONS.map((a) => (
            <Checkbox
              key={a}
              label={t(`keys.action.${a}`)}
              value={draft.actions.includes(a)}
              onChange={flip(a)}
            />
          ))}
        </fieldset>
      )}
      {error && (
        <p class="field-error" role="alert">
          {error}
        </p>
      )}
    </>
  );
}

function More({ draft, set, faults }) {
  const currency = getCurrency();
  const open =
    faults.rpm || faults.tpm || faults.concurrency || faults.day || faults.month || faults.expires;
  return (
    <details open={open ? true : undefined}>
      <summary>{t('keys.key.more')}</summary>
      <div class="form keys-more">
        <TextInput
          label={t('keys.key.models')}
          hint={t('keys.key.models.hint')}
          value={draft.models}
          onChange={set('models')}
          optional
        />
        <div class="keys-pair">
          {LIMITS.map((name) => (
            <NumberInput
              key={name}
              label={t(`keys.key.${name}`)}
              value={draft[name]}
              onChange={set(name)}
              min={0}
              error={faults[name]}
            />
          ))}
        </div>
        <div class="keys-pair">
          {['day', 'month'].map((name) => (
            <TextInput
              key={name}
              label={`${t(`keys.key.${name}`)} (${currency})`}
              inputmode="decimal"
              value={draft[name]}
              onChange={(v) => set(name)(v.trim())}
              error={faults[name]}
            />
          ))}
        </div>
        <p class="field-hint muted">{t('keys.key.none')}</p>
        <TextInput
          type="date"
          label={t('keys.key.expires')}
          value={draft.expires}
          onChange={set('expires')}
          optional
          error={faults.expires}
        />
      </div>
    </details>
  );
}

// projects: Map of id and name; operators choose among them.
export function KeyForm({ kept, members: all, projects, onClose, done }) {
  const me = useMe();
  const [draft, setDraft] = useState(draftOf(kept, me));
  const [tried, setTried] = useState(false);
  const [error, setError] = useState(null);
  const members = all.filter((m) => m.project === draft.project);
  const faults = faultsOf(draft, dayOf(kept?.expires));
  const shown = tried ? faults : {};
  const set = (name) => (v) => setDraft((d) => ({ ...d, [name]: v }));
  const [save, busy] = useAction(async () => {
    setTried(true);
    if (Object.keys(faults).length > 0) return;
    setError(null);
    try {
      const body = bodyOf(draft, kept, me.project.id);
      if (kept === null) {
        done(await api.post('/api/v1/keys', body));
      } else {
        await api.patch(`/api/v1/keys/${encodeURIComponent(kept.id)}`, body);
        toast.ok(t('keys.key.saved'));
        done(null);
      }
    } catch (e) {
      setError(e);
    }
  });
  const roles = rolesUpTo(me.role);
  if (kept !== null && !roles.includes(kept.role)) roles.push(kept.role);
  return (
    <Dialog title={t(kept === null ? 'keys.key.new' : 'keys.key.edit')} onClose={onClose} wide>
      <Form
        onSubmit={save}
        actions={
          <>
            <Button onClick={onClose}>{t('ui.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy}>
              {t(kept === null ? 'ui.create' : 'ui.save')}
            </Button>
          </>
        }>
        <TextInput
          label={t('keys.key.name')}
          hint={t('keys.key.name.hint')}
          value={draft.name}
          onChange={set('name')}
          error={shown.name}
          maxLength={128}
          autofocus
        />
        <Select
          label={t('keys.key.role')}
          value={draft.role}
          onChange={set('role')}
          hint={t(`keys.role.${draft.role}.text`)}
          options={roles.map((value) => ({ value, label: t(`keys.role.${value}`) }))}
        />
        {kept === null && me.role === 'operator' && projects.size > 1 && (
          <Select
            label={t('keys.key.project')}
            value={draft.project}
            onChange={(v) => setDraft((d) => ({ ...d, project: v, member: '' }))}
            options={[...projects].map(([value, label]) => ({ value, label }))}
          />
        )}
        {kept === null && members.length > 0 && me.role !== 'developer' && (
          <Select
            label={t('keys.key.member')}
            value={draft.member}
            onChange={set('member')}
            empty={t('keys.key.nobody')}
            optional
            options={members.map((m) => ({ value: m.id, label: m.name }))}
          />
        )}
        <Actions draft={draft} set={set} error={shown.actions} />
        <More draft={draft} set={set} faults={shown} />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

// The secret, this once.
export function Made({ made, onClose }) {
  const curl = `curl ${window.location.origin}/v1/models -H "Authorization: Bearer ${made.secret}"`;
  return (
    <Dialog
      title={t('keys.key.made')}
      wide
      footer={
        <Button kind="primary" onClick={onClose}>
          {t('keys.key.made.done')}
        </Button>
      }>
      <p>{t('keys.key.made.text')}</p>
      <Code text={made.secret} label={t('keys.key.made.copy')} wrap />
      <h3>{t('keys.key.made.try')}</h3>
      <Code text={curl} label={t('keys.key.made.try')} wrap />
    </Dialog>
  );
}
