// What tokens cost; operators change it.
import { useCallback, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAction, useApi } from '../../lib/hooks.js';
import { getCurrency, money, percent, t } from '../../lib/i18n.js';
import { can } from '../../lib/session.js';
import {
  Button,
  confirmDelete,
  Dialog,
  ErrorNote,
  Form,
  Menu,
  Section,
  Table,
  TextInput,
  toast,
} from '../../ui/index.js';

const SUM = /^[0-9]{1,7}(\.[0-9]{1,3})?$/;
const SUMS = ['input', 'cached_input', 'output'];
const WORDS = { input: 'input', cached_input: 'cached', output: 'output' };

function Edit({ price, onClose, done }) {
  const [p, setP] = useState({
    model: price.model ?? '',
    input: price.input ?? '',
    cached_input: price.cached_input ?? '',
    output: price.output ?? '',
  });
  const [tried, setTried] = useState(false);
  const [error, setError] = useState(null);
  const bad = (name) => !SUM.test(p[name]) && !(name === 'cached_input' && p[name] === '');
  const [save, busy] = useAction(async () => {
    setTried(true);
    if (p.model === '' || SUMS.some(bad)) return;
    setError(null);
    const body = { ...p, cached_input: p.cached_input || null };
    try {
      if (price.id) await api.patch(`/api/v1/prices/${encodeURIComponent(price.id)}`, body);
      else await api.post('/api/v1/prices', body);
      toast.ok(t('usage.prices.saved'));
      done();
      onClose();
    } catch (e) {
      setError(e);
    }
  });
  const set = (name) => (v) => setP({ ...p, [name]: v.trim() });
  return (
    <Dialog title={t('usage.prices.dialog')} onClose={onClose}>
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
        <TextInput
          label={t('usage.prices.model')}
          hint={t('usage.prices.model.hint')}
          value={p.model}
          onChange={set('model')}
          error={tried && p.model === '' ? t('usage.prices.bad_model') : undefined}
        />
        {SUMS.map((name) => (
          <TextInput
            key={name}
            label={`${t(`usage.prices.${WORDS[name]}`)} (${getCurrency()})`}
            optional={name === 'cached_input'}
            inputmode="decimal"
            value={p[name]}
            onChange={set(name)}
            error={tried && bad(name) ? t('usage.prices.bad') : undefined}
          />
        ))}
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

export function Prices() {
  const ask = useCallback(async (signal) => {
    const [prices, settings] = await Promise.all([
      api.get('/api/v1/prices?limit=1000', { signal }),
      api.get('/api/v1/settings', { signal }),
    ]);
    return { prices: prices.data, batch: Number(settings.batch_price) };
  }, []);
  const { data, error, reload } = useApi(ask);
  const [editing, setEditing] = useState(null);
  const may = can('operator', 'manage');
  const nameOf = (p) => (p.model === '*' ? t('usage.prices.any') : p.model);
  const remove = async (p) => {
    const gone = await confirmDelete({
      what: t('usage.prices.what', { model: nameOf(p) }),
      action: () => api.del(`/api/v1/prices/${encodeURIComponent(p.id)}`),
    });
    if (gone) reload();
  };
  const columns = [
    {
      key: 'model',
      title: t('usage.prices.model'),
      sort: (p) => p.model,
      render: (p) => <span class="strong">{nameOf(p)}</span>,
    },
    ...SUMS.map((name) => ({
      key: name,
      title: t(`usage.prices.${WORDS[name]}`),
      align: 'end',
      render: (p) =>
        p[name] === null ? money(p.input, { digits: 3 }) : money(p[name], { digits: 3 }),
    })),
    may && {
      key: 'menu',
      title: '',
      align: 'end',
      class: 'cell-tight',
      render: (p) => (
        <Menu
          label={t('usage.prices.actions', { model: nameOf(p) })}
          items={[
            { label: t('ui.edit'), icon: 'edit', onClick: () => setEditing(p) },
            { label: t('ui.delete'), icon: 'trash', danger: true, onClick: () => remove(p) },
          ]}
        />
      ),
    },
  ].filter(Boolean);
  const about =
    t('usage.prices.about') +
    (data && data.batch !== 1 ? ` ${t('usage.prices.batch', { part: percent(data.batch) })}` : '');
  return (
    <Section
      title={t('usage.prices.title')}
      text={about}
      flush
      actions={
        may && (
          <Button small icon="plus" onClick={() => setEditing({})}>
            {t('usage.prices.add')}
          </Button>
        )
      }>
      <ErrorNote error={error} retry={reload} />
      {!error && (
        <Table
          label={t('usage.prices.title')}
          columns={columns}
          rows={data?.prices}
          empty={<p class="muted pad">{t('usage.prices.none')}</p>}
        />
      )}
      {editing && <Edit price={editing} onClose={() => setEditing(null)} done={reload} />}
    </Section>
  );
}
