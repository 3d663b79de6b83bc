// What holds for the whole cloud: accounting, diagnosis; and the relay that mail goes through.
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { setCurrency, t } from '../../lib/i18n.js';
import {
  Button,
  confirmDelete,
  ErrorNote,
  Form,
  Loading,
  NumberInput,
  Section,
  Select,
  TextInput,
  toast,
} from '../../ui/index.js';
import { changes, useForm } from './form.js';

const SLOW_MS = 10000; // unless set

function check(f) {
  const faults = {};
  if (!/^[A-Z]{3}$/.test(f.currency)) faults.currency = t('settings.need_currency');
  if (!/^(0|1|0\.[0-9]{1,3})$/.test(f.batch_price)) faults.batch_price = t('settings.need_part');
  return faults;
}

function CloudForm({ settings, reload }) {
  const first = {
    currency: settings.currency,
    batch_price: settings.batch_price ?? '0.5',
    slow: settings.slow_request_ms ?? SLOW_MS,
  };
  const { form, field, submit, busy, error } = useForm(first, check, async (f) => {
    const after = {
      currency: f.currency,
      batch_price: f.batch_price,
      slow_request_ms: Math.round(f.slow ?? SLOW_MS),
    };
    const patch = changes({ batch_price: '0.5', slow_request_ms: SLOW_MS, ...settings }, after);
    if (Object.keys(patch).length > 0) await api.patch('/api/v1/settings', patch);
    setCurrency(f.currency);
    toast.ok(t('ui.saved'));
    reload();
  });
  return (
    <div ref={form}>
      <Form
        class="settings-form"
        onSubmit={submit}
        actions={
          <Button type="submit" kind="primary" busy={busy}>
            {t('ui.save')}
          </Button>
        }>
        <Section title={t('settings.accounting')}>
          <div class="form-row">
            <TextInput
              label={t('settings.currency')}
              hint={t('settings.currency_hint')}
              maxlength={3}
              {...field('currency')}
            />
            <TextInput
              label={t('settings.batch_price')}
              hint={t('settings.batch_price_hint')}
              inputmode="decimal"
              {...field('batch_price')}
            />
          </div>
        </Section>
        <Section title={t('settings.diagnosis')}>
          <div class="form-row">
            <NumberInput
              label={t('settings.slow')}
              unit={t('settings.ms')}
              hint={t('settings.slow_hint')}
              min={0}
              {...field('slow')}
            />
          </div>
        </Section>
        <ErrorNote error={error} />
      </Form>
    </div>
  );
}

function checkRelay(f) {
  const faults = {};
  if (f.host.trim() === '') faults.host = t('settings.need_host');
  if (!/^.*\S@\S.*$/.test(f.from)) faults.from = t('settings.need_from');
  return faults;
}

function RelayForm({ smtp, reload }) {
  const first = {
    host: smtp?.host ?? '',
    port: smtp?.port ?? 587,
    tls: smtp?.tls ?? 'starttls',
    from: smtp?.from ?? '',
    user: smtp?.user ?? '',
    password: '',
    ca: smtp?.ca ?? '',
  };
  const { form, field, submit, busy, error, set } = useForm(first, checkRelay, async (f) => {
    const body = {
      host: f.host.trim(),
      port: f.port ?? 587,
      tls: f.tls,
      from: f.from.trim(),
      user: f.user.trim() || null,
      ca: f.ca.trim() || null,
    };
    if (f.password !== '') body.password = f.password;
    await api.patch('/api/v1/settings', {
      smtp: smtp ? body : Object.fromEntries(Object.entries(body).filter(([, v]) => v !== null)),
    });
    set((now) => ({ ...now, password: '' }));
    toast.ok(t('ui.saved'));
    reload();
  });
  const remove = async () => {
    const action = () => api.patch('/api/v1/settings', { smtp: null });
    if (
      !(await confirmDelete({
        what: smtp.host,
        text: t('settings.relay_delete'),
        verb: t('settings.relay_remove'),
        action,
      }))
    )
      return;
    toast.ok(t('settings.relay_gone'));
    reload();
  };
  return (
    <Section title={t('settings.relay')} text={t('settings.relay_text')}>
      <div ref={form}>
        <Form
          class="settings-form"
          onSubmit={submit}
          actions={
            <>
              {smtp && <Button onClick={remove}>{t('settings.relay_remove')}</Button>}
              <Button type="submit" kind="primary" busy={busy}>
                {t('ui.save')}
              </Button>
            </>
          }>
          <div class="form-row">
            <TextInput label={t('settings.host')} {...field('host')} />
            <NumberInput label={t('settings.port')} min={1} max={65535} {...field('port')} />
            <Select
              label={t('settings.tls')}
              options={['starttls', 'tls', 'none'].map((value) => ({
                value,
                label: t(`settings.tls_${value}`),
              }))}
              {...field('tls')}
            />
          </div>
          <TextInput type="email" label={t('settings.from')} {...field('from')} />
          <div class="form-row">
            <TextInput label={t('settings.user')} optional {...field('user')} />
            <TextInput
              type="password"
              label={t('settings.relay_password')}
              optional
              autocomplete="new-password"
              hint={smtp ? t('settings.keep') : undefined}
              {...field('password')}
            />
          </div>
          <TextInput
            label={t('settings.ca')}
            optional
            hint={t('settings.ca_hint')}
            {...field('ca')}
          />
          <ErrorNote error={error} />
        </Form>
      </div>
    </Section>
  );
}

function useSettings() {
  const { data, error, reload } = useApi('/api/v1/settings');
  const rest = error ? <ErrorNote error={error} retry={reload} /> : <Loading rows={4} />;
  return { settings: data, reload, rest };
}

export function Cloud() {
  const { settings, reload, rest } = useSettings();
  return settings ? <CloudForm settings={settings} reload={reload} /> : rest;
}

export function Mail() {
  const { settings, reload, rest } = useSettings();
  if (!settings) return rest;
  return (
    <>
      <RelayForm key={settings.smtp ? 'there' : 'none'} smtp={settings.smtp} reload={reload} />
      <Section
        title={t('settings.channels')}
        text={t('settings.channels_text')}
        bare
        actions={<Button href="/alerts/channels">{t('settings.to_channels')}</Button>}
      />
    </>
  );
}
