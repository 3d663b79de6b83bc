// People of the project: their roles, how they sign in.
import { useCallback, useState } from 'preact/hooks';
import { everyPage } from '../../lib/all.js';
import { api } from '../../lib/api.js';
import { useAction, useApi, useAsked } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { can, useMe } from '../../lib/session.js';
import {
  Badge,
  Button,
  Code,
  confirmDelete,
  Dialog,
  Empty,
  ErrorNote,
  Form,
  menuColumn,
  Section,
  Select,
  Table,
  TextInput,
  Time,
  toast,
} from '../../ui/index.js';
import { makePassword, rolesUpTo } from './shared.js';

const LOGIN = /^[a-z0-9][a-z0-9._@+-]{0,63}$/;
const PASSWORD_MIN = 10; // bytes; the API's

const long = (password) => new TextEncoder().encode(password).length >= PASSWORD_MIN;

function Password({ value, onChange, error }) {
  return (
    <div class="keys-password">
      <TextInput
        label={t('keys.password.new')}
        hint={t('keys.password.hint')}
        value={value}
        onChange={onChange}
        error={error}
        autocomplete="new-password"
      />
      <Button onClick={() => onChange(makePassword())}>{t('keys.password.make')}</Button>
    </div>
  );
}

const setPassword = (id, password) =>
  api.put(`/api/v1/members/${encodeURIComponent(id)}/password`, { password });

// A new member, or one that is changed. A new one may get a password at once.
function MemberForm({ kept, projects, onClose, done }) {
  const me = useMe();
  const [draft, setDraft] = useState({
    name: kept?.name ?? '',
    login: kept?.login ?? '',
    role: kept?.role ?? 'developer',
    password: '',
    project: me.project.id,
  });
  const [tried, setTried] = useState(false);
  const [error, setError] = useState(null);
  // a second try, after its password failed, does not make another
  const [made, setMade] = useState(null);
  const set = (name) => (v) => setDraft((d) => ({ ...d, [name]: v }));
  const faults = {
    name: draft.name.trim() === '' && t('keys.key.name.need'),
    login: draft.login !== '' && !LOGIN.test(draft.login) && t('keys.member.login.bad'),
    password: draft.password !== '' && !long(draft.password) && t('keys.password.short'),
  };
  const shown = (name) => (tried && faults[name]) || undefined;
  const [save, busy] = useAction(async () => {
    setTried(true);
    if (faults.name || faults.login || faults.password) return;
    setError(null);
    const body = {
      name: draft.name.trim(),
      role: draft.role,
      ...(draft.login ? { login: draft.login } : {}),
    };
    try {
      if (kept) {
        await api.patch(`/api/v1/members/${encodeURIComponent(kept.id)}`, body);
        toast.ok(t('keys.member.saved'));
        done(null);
        return;
      }
      const where = draft.project === me.project.id ? {} : { project: draft.project };
      const member = made ?? (await api.post('/api/v1/members', { ...body, ...where }));
      setMade(member);
      if (draft.login && draft.password) await setPassword(member.id, draft.password);
      done(draft.login && draft.password ? { ...member, password: draft.password } : null);
    } catch (e) {
      setError(e);
    }
  });
  return (
    <Dialog title={t(kept ? 'keys.member.edit' : 'keys.member.new')} onClose={onClose}>
      <Form
        onSubmit={save}
        actions={
          <>
            <Button onClick={onClose}>{t('ui.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy}>
              {t(kept ? 'ui.save' : 'ui.create')}
            </Button>
          </>
        }>
        <TextInput
          label={t('keys.member.name')}
          value={draft.name}
          onChange={set('name')}
          error={shown('name')}
          maxLength={128}
          autofocus
        />
        <Select
          label={t('keys.member.role')}
          value={draft.role}
          onChange={set('role')}
          hint={t(`keys.role.${draft.role}.text`)}
          options={rolesUpTo(me.role)
            .filter((r) => r !== 'operator')
            .map((value) => ({ value, label: t(`keys.role.${value}`) }))}
        />
        {!kept && me.role === 'operator' && projects.size > 1 && (
          <Select
            label={t('keys.key.project')}
            value={draft.project}
            onChange={set('project')}
            options={[...projects].map(([value, label]) => ({ value, label }))}
          />
        )}
        <TextInput
          label={t('keys.member.login')}
          hint={t('keys.member.login.hint')}
          value={draft.login}
          optional={!kept?.login}
          onChange={(v) => set('login')(v.trim().toLowerCase())}
          error={shown('login')}
          maxLength={64}
        />
        {!kept && draft.login !== '' && (
          <Password value={draft.password} onChange={set('password')} error={shown('password')} />
        )}
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

function PasswordForm({ member, onClose, done }) {
  const [password, setTyped] = useState('');
  const [tried, setTried] = useState(false);
  const [error, setError] = useState(null);
  const [save, busy] = useAction(async () => {
    setTried(true);
    if (!long(password)) return;
    setError(null);
    try {
      await setPassword(member.id, password);
      toast.ok(t('keys.password.saved'));
      done({ ...member, password });
    } catch (e) {
      setError(e);
    }
  });
  return (
    <Dialog title={t('keys.password.title', { name: member.name })} onClose={onClose}>
      <Form
        onSubmit={save}
        actions={
          <>
            <Button onClick={onClose}>{t('ui.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy}>
              {t('ui.save')}
            </Button>
          </>
        }>
        <Password
          value={password}
          onChange={setTyped}
          error={tried && !long(password) ? t('keys.password.short') : undefined}
        />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

// What to send to a new colleague.
function Invite({ member, onClose }) {
  const words = t('keys.invite.words', {
    url: `${window.location.origin}/console/`,
    login: member.login,
    password: member.password,
  });
  return (
    <Dialog
      title={t('keys.invite.title', { name: member.name })}
      onClose={onClose}
      footer={
        <Button kind="primary" onClick={onClose}>
          {t('keys.invite.done')}
        </Button>
      }>
      <p>{t('keys.invite.text')}</p>
      <Code text={words} label={t('keys.invite.title', { name: member.name })} wrap />
    </Dialog>
  );
}

function columnsOf({ may, projects, open, remove }) {
  return [
    {
      key: 'name',
      title: t('keys.member.name'),
      sort: (m) => m.name,
      render: (m) => <span class="strong">{m.name}</span>,
    },
    {
      key: 'role',
      title: t('keys.member.role'),
      sort: (m) => m.role,
      render: (m) => t(`keys.role.${m.role}`),
    },
    projects?.size > 1 && {
      key: 'project',
      title: t('keys.key.project'),
      sort: (m) => projects.get(m.project),
      render: (m) => projects.get(m.project) ?? m.project,
    },
    {
      key: 'login',
      title: t('keys.member.login'),
      sort: (m) => m.login ?? '',
      render: (m) =>
        m.login ? <code>{m.login}</code> : <span class="muted">{t('keys.member.login.none')}</span>,
    },
    {
      key: 'password',
      title: t('keys.member.password'),
      render: (m) =>
        m.login === null ? (
          <span class="muted">–</span>
        ) : m.password_changed ? (
          <span class="row keys-set">
            <Badge tone="ok">{t('keys.member.password.set')}</Badge>
            <Time at={m.password_changed} />
          </span>
        ) : (
          <Badge tone="warn">{t('keys.member.password.none')}</Badge>
        ),
    },
    {
      key: 'created',
      title: t('keys.member.created'),
      sort: (m) => m.created,
      render: (m) => <Time at={m.created} />,
    },
    may &&
      menuColumn(
        (m) => t('keys.member.act', { name: m.name }),
        (m) => [
          { label: t('ui.edit'), icon: 'edit', onClick: () => open({ kept: m }) },
          m.login && {
            label: t('keys.member.set_password'),
            icon: 'keys',
            onClick: () => open({ password: m }),
          },
          { label: t('keys.member.remove'), icon: 'trash', danger: true, onClick: () => remove(m) },
        ],
      ),
  ].filter(Boolean);
}

export function Members() {
  const ask = useCallback(async (signal) => {
    const [members, projects] = await Promise.all(
      ['members', 'projects'].map((kind) => everyPage(`/api/v1/${kind}`, signal)),
    );
    return { members, projects: new Map(projects.map((p) => [p.id, p.name])) };
  }, []);
  const { data, error, reload } = useApi(ask);
  const [open, setOpen] = useState(null); // { kept }, { password }, { invite }
  const may = can('admin', 'manage');
  useAsked('new', () => may && setOpen({ kept: null }));
  const remove = async (m) => {
    const done = await confirmDelete({
      what: m.name,
      typed: true,
      text: t('keys.member.remove.text'),
      verb: t('keys.member.remove'),
      action: () => api.del(`/api/v1/members/${encodeURIComponent(m.id)}`),
    });
    if (!done) return;
    toast.ok(t('keys.member.removed', { name: m.name }));
    reload();
  };
  const done = (invite) => {
    setOpen(invite ? { invite } : null);
    reload();
  };
  const create = may && (
    <Button kind="primary" icon="plus" onClick={() => setOpen({ kept: null })}>
      {t('keys.member.new')}
    </Button>
  );
  const close = () => setOpen(null);
  return (
    <>
      {data?.members.length > 0 && create && <div class="row keys-bar">{create}</div>}
      <ErrorNote error={error} retry={reload} />
      {(data || !error) && (
        <Section flush>
          <Table
            label={t('keys.member.label')}
            columns={columnsOf({ may, projects: data?.projects, open: setOpen, remove })}
            rows={data?.members}
            sort={{ key: 'name' }}
            empty={
              <Empty
                icon="users"
                title={t('keys.member.empty.title')}
                text={t('keys.member.empty.text')}
                action={create}
              />
            }
          />
        </Section>
      )}
      {open && 'kept' in open && data && (
        <MemberForm kept={open.kept} projects={data.projects} onClose={close} done={done} />
      )}
      {open?.password && <PasswordForm member={open.password} onClose={close} done={done} />}
      {open?.invite && <Invite member={open.invite} onClose={close} />}
    </>
  );
}
