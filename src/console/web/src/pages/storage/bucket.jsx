// One bucket: what is in it, who may read it, what happens to it by itself.
import { useCallback } from 'preact/hooks';
import { useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { navigate, setQuery, useRoute } from '../../lib/router.js';
import { Badge, Button, Empty, ErrorNote, Menu, Page, TabPanel, Tabs } from '../../ui/index.js';
import { mayWrite, removeBucket } from './buckets.jsx';
import { Objects } from './objects.jsx';
import { Rights } from './rights.jsx';
import { Rules } from './rules.jsx';
import * as s3 from './s3.js';

const TABS = ['objects', 'rights', 'rules'];

export function Bucket({ bucket }) {
  const { query } = useRoute();
  const tab = TABS.includes(query.get('tab')) ? query.get('tab') : 'objects';
  const ask = useCallback(
    async () => ({ open: await s3.isPublic(bucket), versioning: await s3.getVersioning(bucket) }),
    [bucket],
  );
  const { data, error, reload } = useApi(ask);
  const back = { href: '/storage', title: t('storage.title') };
  if (error?.status === 404 || error?.status === 403) {
    return (
      <Page title={bucket} back={back}>
        <Empty
          icon="storage"
          title={t('storage.gone')}
          action={<Button onClick={() => navigate('/storage')}>{t('storage.title')}</Button>}
        />
      </Page>
    );
  }
  const more = mayWrite() && (
    <Menu
      kind=""
      small={false}
      label={t('storage.objects.actions', { name: bucket })}
      items={[
        {
          label: t('storage.delete'),
          icon: 'trash',
          danger: true,
          onClick: async () => {
            if (await removeBucket(bucket, () => {})) navigate('/storage');
          },
        },
      ]}
    />
  );
  return (
    <Page
      title={bucket}
      back={back}
      actions={more}
      tools={
        data?.open && (
          <Badge tone="warn" dot>
            {t('storage.rights.public')}
          </Badge>
        )
      }>
      <Tabs
        label={t('storage.tabs.label')}
        value={tab}
        onChange={(id) => setQuery({ tab: id === 'objects' ? null : id })}
        tabs={TABS.map((id) => ({ id, title: t(`storage.tab.${id}`) }))}
      />
      <ErrorNote error={error} retry={reload} />
      <TabPanel id={tab}>
        {tab === 'objects' && <Objects bucket={bucket} keeps={data?.versioning === 'Enabled'} />}
        {tab === 'rights' && data && <Rights bucket={bucket} open={data.open} changed={reload} />}
        {tab === 'rules' && data && (
          <Rules bucket={bucket} versioning={data.versioning} changed={reload} />
        )}
      </TabPanel>
    </Page>
  );
}
