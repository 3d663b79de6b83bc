// What is one's own: how it looks, who one is, the password, where one is signed in.
import { whole } from '../../lib/all.js';
import { api } from '../../lib/api.js';
import { useApi, usePaged } from '../../lib/hooks.js';
import { dateTime, languages, setLang, t, useLang } from '../../lib/i18n.js';
import { loadSession, useMe } from '../../lib/session.js';
import { setTheme, themes, useThemeChoice } from '../../lib/theme.js';
import {
  Badge,
  Button,
  Choice,
  confirmDelete,
  CopyValue,
  Empty,
  ErrorNote,
  Facts,
  Form,
  Section,
  Table,
  TextInput,
  Time,
  toast,
} from '../../ui/index.js';
import { useForm } from './form.js';

const PASSWORD_MIN = 10;

function Look() {
  const language = useLang();
  const theme = useThemeChoice();
  return (
    <Section title={t('settings.look')}>
      <div class="stack">
        <Choice
          label={t('app.language')}
          value={language}
          onChange={setLang}
          options={Object.entries(languages).map(([value, label]) => ({ value, label }))}
        />
        <Choice
          label={t('app.theme')}
          value={theme}
          onChange={setTheme}
          options={themes.map((value) => ({ value, label: t(`app.theme_${value}`) }))}
          hint={t('settings.look_text')}
        />
      </div>
    </Section>
  );
}

function actionsOf(me) {
  const actions = me.key?.actions ?? ['*'];
  return actions.includes('*') ? t('settings.everything') : actions.join(', ');
}

function Who() {
  const me = useMe();
  return (
    <Section title={t('settings.who')}>
      <Facts
        rows={[
          me.member && [t('settings.name'), me.member.name],
          me.login && [t('settings.login'), me.login],
          [t('settings.role'), t(`app.role_${me.role}`)],
          [t('settings.project'), me.project.name],
          me.key && [t('settings.key'), <CopyValue text={me.key.id} />],
          [t('settings.may'), actionsOf(me)],
          me.kind === 'session' &&
            me.expires && [
              t('settings.ends'),
              dateTime(me.expires, { dateStyle: 'medium', timeStyle: 'short' }),
            ],
        ]}
      />
    </Section>
  );
}

function check(f) {
  if (f.old === '') return { old: t('settings.need_old') };
  if ([...f.new].length < PASSWORD_MIN) return { new: t('settings.need_new') };
  return f.new === f.again ? {} : { again: t('settings.need_again') };
}

function Password() {
  const me = useMe();
  const nothing = { old: '', new: '', again: '' };
  const { form, field, submit, busy, error, set } = useForm(nothing, check, async (f) => {
    await api.put('/api/v1/me/password', { old: f.old, new: f.new });
    set(nothing);
    toast.ok(t('settings.changed'));
    loadSession();
  });
  if (!me.login)
    return (
      <Section title={t('settings.password')}>
        <p class="muted">{t('settings.password_none')}</p>
      </Section>
    );
  return (
    <Section title={t('settings.password')} text={t('settings.password_text')}>
      <div ref={form}>
        <Form
          class="settings-form"
          onSubmit={submit}
          actions={
            <Button type="submit" kind="primary" busy={busy}>
              {t('settings.change')}
            </Button>
          }>
          <input
            type="text"
            class="hidden"
            name="username"
            autocomplete="username"
            value={me.login}
            readonly
            tabIndex={-1}
            aria-hidden="true"
          />
          <TextInput
            type="password"
            label={t('settings.old')}
            autocomplete="current-password"
            {...field('old')}
          />
          <TextInput
            type="password"
            label={t('settings.new')}
            hint={t('settings.new_hint')}
            autocomplete="new-password"
            {...field('new')}
          />
          <TextInput
            type="password"
            label={t('settings.again')}
            autocomplete="new-password"
            {...field('again')}
          />
          <ErrorNote error={error} />
        </Form>
      </div>
    </Section>
  );
}

// "Firefox on Linux": the words of a User-Agent that say something.
function agentOf(text) {
  const browser = /(Edg|OPR|Firefox|Chrome|Safari)[a-zA-Z]*\//.exec(text ?? '')?.[1];
  if (!browser) return (text ?? '').split(' ')[0] || '–';
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|Linux)/.exec(text)?.[1];
  const name = { Edg: 'Edge', OPR: 'Opera' }[browser] ?? browser;
  return system ? `${name} · ${system.replace('Mac OS X', 'macOS')}` : name;
}

function Sessions() {
  const { rows, error, busy, more, next, reload } = usePaged('/api/v1/sessions?limit=50');
  const keys = useApi(whole('/api/v1/keys')).data ?? [];
  const members = useApi(whole('/api/v1/members')).data ?? [];
  const names = Object.fromEntries(
    [...keys, ...members].map((one) => [one.id, one.name || one.id]),
  );
  const who = (s) => names[s.member] ?? names[s.key] ?? s.member ?? s.key;
  const end = async (session) => {
    const action = () => api.del(`/api/v1/sessions/${session.id}`);
    const asked = {
      what: session.id,
      title: t('settings.end_title'),
      text: t('settings.end_text'),
      verb: t('settings.end'),
      action,
    };
    if (!(await confirmDelete(asked))) return;
    toast.ok(t('settings.ended'));
    if (session.current) loadSession();
    else reload();
  };
  const columns = [
    {
      key: 'agent',
      title: t('settings.agent'),
      render: (s) => (
        <span class="row" title={s.agent}>
          {agentOf(s.agent)}
          {s.current && (
            <Badge tone="ok" dot>
              {t('settings.this_one')}
            </Badge>
          )}
        </span>
      ),
    },
    {
      key: 'who',
      title: t('settings.who_col'),
      render: (s) => (
        <span>
          {who(s)} <span class="muted small">{t(`settings.session_by_${s.by}`)}</span>
        </span>
      ),
    },
    { key: 'address', title: t('settings.address'), render: (s) => s.address || '–' },
    {
      key: 'created',
      title: t('settings.begun'),
      sort: (s) => s.created,
      render: (s) => <Time at={s.created} />,
    },
    {
      key: 'used',
      title: t('settings.used'),
      sort: (s) => s.used,
      render: (s) => <Time at={s.used} />,
    },
    {
      key: 'end',
      title: '',
      align: 'end',
      class: 'cell-tight',
      render: (s) => (
        <Button small onClick={() => end(s)} label={`${t('settings.end')}: ${agentOf(s.agent)}`}>
          {t('settings.end')}
        </Button>
      ),
    },
  ];
  return (
    <Section title={t('settings.sessions')} text={t('settings.sessions_text')} flush>
      <ErrorNote error={error} retry={reload} />
      {!error && (
        <Table
          label={t('settings.sessions')}
          columns={columns}
          rows={rows}
          sort={{ key: 'used', desc: true }}
          more={more && { onMore: next, busy }}
          empty={<Empty icon="user" title={t('settings.no_sessions')} />}
        />
      )}
    </Section>
  );
}

export function You() {
  return (
    <>
      <div class="columns">
        <Who />
        <Look />
      </div>
      <Password />
      <Sessions />
    </>
  );
}
