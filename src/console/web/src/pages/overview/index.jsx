// What one looks at first: is all well, how busy is it, what does it cost, what wants attention.
import { useApi } from '../../lib/hooks.js';
import { addText, bytes, duration, number, t } from '../../lib/i18n.js';
import { ErrorNote, Figures, Loading, Page } from '../../ui/index.js';
import * as text from './text.js';

addText('overview', text);

export default function Overview() {
  const status = useApi('/api/v1/status', { poll: 5000 });
  return (
    <Page title={t('overview.title')}>
      <ErrorNote error={status.error} retry={status.reload} />
      {!status.data && !status.error && <Loading />}
      {status.data && (
        <Figures items={[
          { label: 'uptime', value: duration(status.data.gateway.uptime_s) },
          { label: 'running', value: number(status.data.gateway.calls_running) },
          { label: 'stored', value: bytes(status.data.storage?.bytes) },
        ]} />
      )}
    </Page>
  );
}
