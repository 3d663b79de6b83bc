// All that happened, by kind, as far back as it is kept.
import { usePaged } from '../../lib/hooks.js';
import { hasText, t } from '../../lib/i18n.js';
import { setQuery, useRoute } from '../../lib/router.js';
import { Button, Empty, ErrorNote, Loading, Section, Select } from '../../ui/index.js';
import { EventList } from '../../ui/EventList.jsx';

const KINDS = [
  'gateway_started',
  'worker_started',
  'worker_ready',
  'worker_stopped',
  'worker_died',
  'model_loaded',
  'model_refused',
  'scaled',
  'failover',
  'request_given_up',
  'endpoint_created',
  'endpoint_changed',
  'endpoint_removed',
  'alert_firing',
  'alert_resolved',
  'alert_no_data',
];

export function Events() {
  const kind = useRoute().query.get('kind') ?? '';
  const path = `/api/v1/events?limit=50${kind === '' ? '' : `&kind=${encodeURIComponent(kind)}`}`;
  const { rows, error, busy, more, next, reload } = usePaged(path, { param: 'before' });
  const options = KINDS.map((value) => ({
    value,
    label: hasText(`event.${value}`) ? t(`event.${value}`) : value,
  }));
  return (
    <>
      <div class="filters">
        <Select
          label={t('nodes.event_kind')}
          value={kind}
          onChange={(v) => setQuery({ kind: v })}
          options={options}
          empty={t('ui.all')}
        />
        <Button icon="refresh" busy={busy} onClick={reload}>
          {t('ui.refresh')}
        </Button>
      </div>
      <ErrorNote error={error} retry={reload} />
      {!error && (
        <Section flush>
          {rows === null && <Loading rows={6} />}
          {rows?.length === 0 && (
            <Empty icon="activity" title={t('nodes.no_events')} text={t('nodes.no_events_text')} />
          )}
          {rows?.length > 0 && <EventList events={rows} />}
          {more && (
            <div class="table-more">
              <Button small busy={busy} onClick={next}>
                {t('ui.more_rows')}
              </Button>
            </div>
          )}
        </Section>
      )}
    </>
  );
}
