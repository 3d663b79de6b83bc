// The request that the next message would make, for other programs.
import { useState } from 'preact/hooks';
import { t } from '../../lib/i18n.js';
import { Code, Dialog, TabPanel, Tabs } from '../../ui/index.js';
import { Link } from '../../lib/router.js';
import { curlCode, jsCode, pythonCode } from './code.js';

const LANGUAGES = [
  { id: 'curl', title: 'curl', of: curlCode },
  { id: 'python', title: 'Python', of: pythonCode },
  { id: 'javascript', title: 'JavaScript', of: jsCode },
];

export function CodeDialog({ body, onClose }) {
  const [at, setAt] = useState('curl');
  const one = LANGUAGES.find((l) => l.id === at);
  return (
    <Dialog title={t('playground.code.title')} wide onClose={onClose}>
      <Tabs tabs={LANGUAGES} value={at} onChange={setAt} label={t('playground.code.title')} />
      <TabPanel id={at}>
        <Code text={one.of(location.origin, body)} label={one.title} />
      </TabPanel>
      <p class="muted small">
        {t('playground.code.key')} <Link href="/keys">{t('playground.code.get')}</Link>
      </p>
    </Dialog>
  );
}
