// Keys and members: /keys?tab=members|sessions.
import { addText, t } from '../../lib/i18n.js';
import { setQuery, useRoute } from '../../lib/router.js';
import { Page, TabPanel, Tabs } from '../../ui/index.js';
import { Keys } from './keys.jsx';
import { Members } from './members.jsx';
import { Sessions } from './sessions.jsx';
import * as text from './text.js';

addText('keys', text);

const TABS = { keys: Keys, members: Members, sessions: Sessions };

export default function KeysAndMembers() {
  const { query } = useRoute();
  const tab = query.get('tab') in TABS ? query.get('tab') : 'keys';
  const Content = TABS[tab];
  return (
    <Page title={t('keys.title')} text={t('keys.about')}>
      <Tabs
        label={t('keys.tabs.label')}
        value={tab}
        onChange={(id) => setQuery({ tab: id === 'keys' ? null : id }, { replace: false })}
        tabs={Object.keys(TABS).map((id) => ({ id, title: t(`keys.tab.${id}`) }))}
      />
      <TabPanel id={tab}>
        <Content />
      </TabPanel>
    </Page>
  );
}
