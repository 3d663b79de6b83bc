// Settings: one's own, of the project, of the cloud.
import { addText, t } from '../../lib/i18n.js';
import { navigate, useRoute } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import { Page, TabPanel, Tabs } from '../../ui/index.js';
import { Cloud, Mail } from './Cloud.jsx';
import { Prices } from './Prices.jsx';
import { OwnProject, Projects } from './Projects.jsx';
import * as text from './text.js';
import { You } from './You.jsx';

addText('settings', text);

function tabsOf() {
  const tabs = [{ id: 'you', content: You }];
  if (can('operator'))
    tabs.push(
      { id: 'projects', content: Projects },
      { id: 'prices', content: Prices },
      { id: 'cloud', content: Cloud },
      { id: 'mail', content: Mail },
    );
  else if (can('admin')) tabs.push({ id: 'project', content: OwnProject });
  return tabs;
}

export default function Settings() {
  const { rest } = useRoute();
  const tabs = tabsOf();
  const { id, content: Content } = tabs.find((tab) => tab.id === rest[0]) ?? tabs[0];
  return (
    <Page title={t('settings.title')}>
      {tabs.length > 1 && (
        <Tabs
          label={t('settings.title')}
          value={id}
          tabs={tabs.map((tab) => ({ id: tab.id, title: t(`settings.tab_${tab.id}`) }))}
          onChange={(next) => navigate(`/settings/${next}`, { replace: true })}
        />
      )}
      <TabPanel id={id}>
        <Content />
      </TabPanel>
    </Page>
  );
}
