// Alerts: rules, where they are told, and when they fired.
import { useCallback } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { addText, t } from '../../lib/i18n.js';
import { navigate, useRoute } from '../../lib/router.js';
import { Empty, ErrorNote, Loading, Page, Section, TabPanel, Tabs } from '../../ui/index.js';
import { EventList } from '../../ui/EventList.jsx';
import { Channels } from './Channels.jsx';
import { Rules } from './Rules.jsx';
import * as text from './text.js';

addText('alerts', text);

const TABS = ['rules', 'channels', 'history'];
const POLL_MS = 10000;
const HISTORY = 200; // of each kind

async function fired(signal) {
  const kinds = ['alert_firing', 'alert_resolved', 'alert_no_data'];
  const lists = await Promise.all(
    kinds.map((kind) => api.get(`/api/v1/events?kind=${kind}&limit=${HISTORY}`, { signal })),
  );
  return lists.flatMap((list) => list.data).sort((a, b) => b.at - a.at);
}

function History() {
  const { data, error, reload } = useApi(useCallback(fired, []), { poll: POLL_MS });
  return (
    <>
      <ErrorNote error={error} retry={reload} />
      {!error && (
        <Section title={t('alerts.tab_history')} flush>
          {!data && <Loading rows={5} />}
          {data?.length === 0 && (
            <Empty
              icon="alerts"
              title={t('alerts.no_history')}
              text={t('alerts.no_history_text')}
            />
          )}
          {data?.length > 0 && <EventList events={data} />}
        </Section>
      )}
    </>
  );
}

export default function Alerts() {
  const { rest } = useRoute();
  const tab = TABS.includes(rest[0]) ? rest[0] : 'rules';
  const channels = useApi('/api/v1/channels', { poll: POLL_MS });
  return (
    <Page title={t('alerts.title')} text={t('alerts.text')}>
      <Tabs
        label={t('alerts.title')}
        value={tab}
        tabs={TABS.map((id) => ({ id, title: t(`alerts.tab_${id}`) }))}
        onChange={(id) => navigate(id === 'rules' ? '/alerts' : `/alerts/${id}`, { replace: true })}
      />
      <TabPanel id={tab}>
        {tab === 'rules' && <Rules channels={channels.data?.data ?? []} />}
        {tab === 'channels' && <Channels state={channels} />}
        {tab === 'history' && <History />}
      </TabPanel>
    </Page>
  );
}
