// Requests: /requests?status=...&model=..., /requests/ID, /requests?tab=batches.
import { addText, t } from '../../lib/i18n.js';
import { navigate, useRoute } from '../../lib/router.js';
import { Page, TabPanel, Tabs } from '../../ui/index.js';
import { Batches } from './batches.jsx';
import { Finder, List } from './list.jsx';
import { One } from './one.jsx';
import * as text from './text.js';

addText('requests', text);

export default function Requests() {
  const { rest, query } = useRoute();
  if (rest[0]) return <One key={rest[0]} id={rest[0]} />;
  const tab = query.get('tab') === 'batches' ? 'batches' : 'requests';
  return (
    <Page title={t('requests.title')} text={t('requests.about')} actions={<Finder />}>
      <Tabs
        label={t('requests.tabs.label')}
        value={tab}
        onChange={(id) => navigate(id === 'requests' ? '/requests' : `/requests?tab=${id}`)}
        tabs={['requests', 'batches'].map((id) => ({ id, title: t(`requests.tab.${id}`) }))}
      />
      <TabPanel id={tab}>{tab === 'requests' ? <List /> : <Batches />}</TabPanel>
    </Page>
  );
}
