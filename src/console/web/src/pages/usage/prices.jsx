// What tokens cost; operators change it in the settings.
import { useCallback } from 'preact/hooks';
import { everyPage } from '../../lib/all.js';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { money, percent, t } from '../../lib/i18n.js';
import { can } from '../../lib/session.js';
import { Button, ErrorNote, Section, Table } from '../../ui/index.js';

const SUMS = ['input', 'cached_input', 'output'];
const WORDS = { input: 'input', cached_input: 'cached', output: 'output' };

export function Prices() {
  const ask = useCallback(async (signal) => {
    const [prices, settings] = await Promise.all([
      everyPage('/api/v1/prices', signal),
      api.get('/api/v1/settings', { signal }),
    ]);
    return { prices, batch: Number(settings.batch_price) };
  }, []);
  const { data, error, reload } = useApi(ask);
  const nameOf = (p) => (p.model === '*' ? t('usage.prices.any') : p.model);
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
      render: (p) => money(p[name] ?? p.input, { digits: 3 }),
    })),
  ];
  const about =
    data && data.batch !== 1
      ? t('usage.prices.about_batch', { part: percent(data.batch) })
      : t('usage.prices.about');
  return (
    <Section
      title={t('usage.prices.title')}
      text={about}
      flush
      actions={
        can('operator', 'manage') && (
          <Button small icon="edit" href="/settings/prices">
            {t('usage.prices.change')}
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
    </Section>
  );
}
