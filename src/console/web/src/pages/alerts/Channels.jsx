// Where alerts are told: webhooks and e-mail addresses, with how it went lately, and a test.
import { useRef, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAction, useApi } from '../../lib/hooks.js';
import { number, t } from '../../lib/i18n.js';
import { hasPage } from '../../pages.js';
import {
  Badge,
  Button,
  Choice,
  Code,
  confirmDelete,
  Dialog,
  Empty,
  ErrorNote,
  Form,
  Menu,
  Note,
  NumberInput,
  Section,
  Table,
  TextInput,
  Time,
  toast,
} from '../../ui/index.js';

const KINDS = ['webhook', 'email'];

function faultsOf(f) {
  const faults = {};
  if (f.name.trim() === '') faults.name = t('alerts.need_name');
  if (f.kind === 'webhook' && !/^https?:\/\/./.test(f.url)) faults.url = t('alerts.need_url');
  if (f.kind === 'email' && !/^\S+@\S+$/.test(f.to)) faults.to = t('alerts.need_to');
  return faults;
}

function bodyOf(f, channel) {
  const body = { name: f.name.trim(), heartbeat_s: Math.round((f.heartbeat ?? 0) * 60) };
  if (!channel) body.kind = f.kind;
  if (f.kind === 'email') return { ...body, to: f.to.trim() };
  return { ...body, url: f.url.trim(), ...(f.secret === '' ? {} : { secret: f.secret }) };
}

function Relay() {
  const { data } = useApi('/api/v1/settings');
  if (!data || data.smtp) return null;
  return (
    <Note
      tone="warn"
      action={
        hasPage('settings') && (
          <Button small href="/settings/mail">
            {t('ui.edit')}
          </Button>
        )
      }>
      <p>{t('alerts.no_relay')}</p>
    </Note>
  );
}

function ChannelForm({ channel, onClose, onDone }) {
  const form = useRef(null);
  const [f, setF] = useState({
    kind: channel?.kind ?? 'webhook',
    name: channel?.name ?? '',
    url: channel?.url ?? '',
    to: channel?.to ?? '',
    secret: '',
    heartbeat: (channel?.heartbeat_s ?? 0) / 60,
  });
  const [faults, setFaults] = useState({});
  const [error, setError] = useState(null);
  const [made, setMade] = useState(null);
  const field = (name) => ({
    name,
    value: f[name],
    error: faults[name],
    onChange: (v) => setF((b) => ({ ...b, [name]: v })),
  });
  const [save, busy] = useAction(async () => {
    const wrong = faultsOf(f);
    setFaults(wrong);
    setError(null);
    if (Object.keys(wrong).length > 0) {
      form.current.querySelector(`[name=${Object.keys(wrong)[0]}]`)?.focus();
      return;
    }
    try {
      const answer = channel
        ? await api.patch(`/api/v1/channels/${channel.id}`, bodyOf(f, channel))
        : await api.post('/api/v1/channels', bodyOf(f, null));
      if (!channel && answer.secret && f.secret === '') {
        setMade(answer);
        return;
      }
      toast.ok(t('ui.saved'));
      onDone();
    } catch (e) {
      setError(e);
    }
  });
  if (made)
    return (
      <Dialog
        title={made.name}
        onClose={onDone}
        footer={
          <Button kind="primary" onClick={onDone}>
            {t('ui.close')}
          </Button>
        }>
        <p>{t('alerts.secret_once')}</p>
        <Code text={made.secret} label={t('alerts.secret')} wrap />
      </Dialog>
    );
  return (
    <Dialog title={t(channel ? 'alerts.edit_channel' : 'alerts.new_channel')} onClose={onClose}>
      <div ref={form}>
        <Form
          onSubmit={save}
          actions={
            <>
              <Button onClick={onClose}>{t('ui.cancel')}</Button>
              <Button type="submit" kind="primary" busy={busy}>
                {t(channel ? 'ui.save' : 'ui.create')}
              </Button>
            </>
          }>
          {!channel && (
            <Choice
              label={t('alerts.kind')}
              value={f.kind}
              onChange={field('kind').onChange}
              options={KINDS.map((value) => ({ value, label: t(`alerts.kind_${value}`) }))}
            />
          )}
          <TextInput label={t('alerts.name')} maxlength={128} autofocus {...field('name')} />
          {f.kind === 'webhook' ? (
            <>
              <TextInput
                type="url"
                label={t('alerts.url')}
                hint={t('alerts.url_hint')}
                {...field('url')}
              />
              <TextInput
                type="password"
                label={t('alerts.secret')}
                optional
                hint={t(channel ? 'alerts.secret_keep' : 'alerts.secret_hint')}
                autocomplete="new-password"
                {...field('secret')}
              />
            </>
          ) : (
            <>
              <TextInput
                type="email"
                label={t('alerts.to')}
                hint={t('alerts.to_hint')}
                {...field('to')}
              />
              <Relay />
            </>
          )}
          <NumberInput
            label={t('alerts.heartbeat')}
            unit={t('alerts.minutes')}
            hint={t('alerts.heartbeat_hint')}
            min={0}
            {...field('heartbeat')}
          />
          <ErrorNote error={error} />
        </Form>
      </div>
    </Dialog>
  );
}

function Test({ channel, onDone }) {
  const [test, busy] = useAction(async () => {
    try {
      const answer = await api.post(`/api/v1/channels/${channel.id}/test`);
      if (answer.ok) toast.ok(t('alerts.tested'));
      else toast.error(t('alerts.test_failed', { error: answer.error ?? '' }));
    } catch (e) {
      toast.error(e);
    }
    onDone();
  });
  return (
    <Button
      small
      icon="send"
      busy={busy}
      onClick={test}
      label={`${t('alerts.test')}: ${channel.name}`}>
      {t('alerts.test')}
    </Button>
  );
}

function troubleOf(channel) {
  const late = (channel.last_error_at ?? 0) > (channel.last_ok ?? 0);
  if (!channel.last_error || !late)
    return (
      <Badge tone="ok" dot>
        {t('alerts.state_ok')}
      </Badge>
    );
  return (
    <span class="alerts-condition">
      <Badge tone="bad" dot>
        {t('alerts.trouble')}
      </Badge>
      <span class="muted small">{channel.last_error}</span>
    </span>
  );
}

export function Channels({ state }) {
  const { data, error, reload } = state;
  const [form, setForm] = useState(null);
  const remove = async (channel) => {
    const action = () => api.del(`/api/v1/channels/${channel.id}`);
    if (
      !(await confirmDelete({ what: channel.name, text: t('alerts.channel_remove_text'), action }))
    )
      return;
    toast.ok(t('alerts.channel_removed'));
    reload();
  };
  const columns = [
    { key: 'name', title: t('alerts.name'), sort: (c) => c.name },
    {
      key: 'kind',
      title: t('alerts.kind'),
      class: 'cell-tight',
      render: (c) => t(`alerts.kind_${c.kind}`),
    },
    { key: 'target', title: t('alerts.target'), render: (c) => c.url ?? c.to },
    { key: 'trouble', title: t('alerts.state'), render: troubleOf },
    { key: 'sent', title: t('alerts.sent'), align: 'end', render: (c) => number(c.sent ?? 0) },
    {
      key: 'last',
      title: t('alerts.last_ok'),
      render: (c) => (c.last_ok ? <Time at={c.last_ok} /> : t('alerts.never')),
    },
    {
      key: 'do',
      title: '',
      align: 'end',
      class: 'cell-tight',
      render: (c) => (
        <span class="alerts-do">
          <Test channel={c} onDone={reload} />
          <Menu
            label={`${t('ui.more')}: ${c.name}`}
            items={[
              { label: t('ui.edit'), icon: 'edit', onClick: () => setForm(c) },
              { label: t('ui.delete'), icon: 'trash', danger: true, onClick: () => remove(c) },
            ]}
          />
        </span>
      ),
    },
  ];
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setForm({})}>
      {t('alerts.new_channel')}
    </Button>
  );
  return (
    <>
      <ErrorNote error={error} retry={reload} />
      {!(error && !data) && (
        <Section title={t('alerts.tab_channels')} actions={add} flush>
          <Table
            label={t('alerts.tab_channels')}
            columns={columns}
            rows={data?.data}
            sort={{ key: 'name' }}
            empty={
              <Empty
                icon="webhook"
                title={t('alerts.no_channels_title')}
                text={t('alerts.no_channels_text')}
                action={add}
              />
            }
          />
        </Section>
      )}
      {form && (
        <ChannelForm
          channel={form.id ? form : null}
          onClose={() => setForm(null)}
          onDone={() => {
            setForm(null);
            reload();
          }}
        />
      )}
    </>
  );
}
