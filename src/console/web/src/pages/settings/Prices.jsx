// What tokens cost, by patterns of models' names.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { usePaged } from '../../lib/hooks.js';
import { getCurrency, money, t } from '../../lib/i18n.js';
import { isPrice } from '../../lib/typed.js';
import {
  Button,
  confirmDelete,
  Dialog,
  Empty,
  ErrorNote,
  Form,
  menuColumn,
  Section,
  Table,
  TextInput,
  toast,
} from '../../ui/index.js';
import { changes, useForm } from './form.js';

function check(f) {
  const faults = {};
  if (f.model.trim() === '') faults.model = t('settings.need_model');
  for (const name of ['input', 'output'])
    if (!isPrice(f[name])) faults[name] = t('settings.need_price');
  if (f.cached.trim() !== '' && !isPrice(f.cached)) faults.cached = t('settings.need_price');
  return faults;
}

function PriceDialog({ price, onClose, onDone }) {
  const first = {
    model: price?.model ?? '',
    input: price?.input ?? '',
    cached: price?.cached_input ?? '',
    output: price?.output ?? '',
  };
  const { form, field, submit, busy, error } = useForm(first, check, async (f) => {
    const body = {
      model: f.model.trim(),
      input: f.input.trim(),
      output: f.output.trim(),
      cached_input: f.cached.trim() || null,
    };
    if (price)
      await api.patch(`/api/v1/prices/${encodeURIComponent(price.id)}`, changes(price, body));
    else await api.post('/api/v1/prices', body);
    toast.ok(t('ui.saved'));
    onDone();
  });
  const labelled = (key) => `${t(`settings.${key}`)} (${getCurrency()})`;
  return (
    <Dialog
      title={price ? t('settings.edit_price', { name: price.model }) : t('settings.new_price')}
      onClose={onClose}>
      <div ref={form}>
        <Form
          onSubmit={submit}
          actions={
            <>
              <Button onClick={onClose}>{t('ui.cancel')}</Button>
              <Button type="submit" kind="primary" busy={busy}>
                {t(price ? 'ui.save' : 'ui.create')}
              </Button>
            </>
          }>
          <TextInput
            label={t('settings.model')}
            hint={t('settings.model_hint')}
            autofocus
            {...field('model')}
          />
          <TextInput label={labelled('input')} inputmode="decimal" {...field('input')} />
          <TextInput
            label={labelled('cached')}
            inputmode="decimal"
            optional
            hint={t('settings.cached_hint')}
            {...field('cached')}
          />
          <TextInput label={labelled('output')} inputmode="decimal" {...field('output')} />
          <ErrorNote error={error} />
        </Form>
      </div>
    </Dialog>
  );
}

export function Prices() {
  const { rows, error, busy, more, next, reload } = usePaged('/api/v1/prices?limit=100');
  const [form, setForm] = useState(null);
  const remove = async (price) => {
    const action = () => api.del(`/api/v1/prices/${encodeURIComponent(price.id)}`);
    if (!(await confirmDelete({ what: price.model, text: t('settings.price_delete'), action })))
      return;
    toast.ok(t('settings.price_gone'));
    reload();
  };
  const columns = [
    {
      key: 'model',
      title: t('settings.model'),
      sort: (p) => p.model,
      render: (p) => <code>{p.model}</code>,
    },
    {
      key: 'input',
      title: t('settings.input'),
      align: 'end',
      sort: (p) => Number(p.input),
      render: (p) => money(p.input, { digits: 3 }),
    },
    {
      key: 'cached',
      title: t('settings.cached'),
      align: 'end',
      render: (p) => money(p.cached_input ?? p.input, { digits: 3 }),
    },
    {
      key: 'output',
      title: t('settings.output'),
      align: 'end',
      sort: (p) => Number(p.output),
      render: (p) => money(p.output, { digits: 3 }),
    },
    menuColumn(
      (p) => `${t('ui.more')}: ${p.model}`,
      (p) => [
        { label: t('ui.edit'), icon: 'edit', onClick: () => setForm(p) },
        { label: t('ui.delete'), icon: 'trash', danger: true, onClick: () => remove(p) },
      ],
    ),
  ];
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setForm({})}>
      {t('settings.new_price')}
    </Button>
  );
  return (
    <Section title={t('settings.tab_prices')} text={t('settings.prices_text')} actions={add} flush>
      <ErrorNote error={error} retry={reload} />
      {!error && (
        <Table
          label={t('settings.tab_prices')}
          columns={columns}
          rows={rows}
          onRow={setForm}
          sort={{ key: 'model' }}
          more={more && { onMore: next, busy }}
          empty={
            <Empty
              icon="usage"
              title={t('settings.no_prices')}
              text={t('settings.no_prices_text')}
              action={add}
            />
          }
        />
      )}
      {form && (
        <PriceDialog
          price={form.id ? form : null}
          onClose={() => setForm(null)}
          onDone={() => {
            setForm(null);
            reload();
          }}
        />
      )}
    </Section>
  );
}
