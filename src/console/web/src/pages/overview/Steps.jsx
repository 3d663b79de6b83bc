// What to do with a cloud that nobody has used yet.
import { useState } from 'preact/hooks';
import { t } from '../../lib/i18n.js';
import { Link } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import { kept } from '../../lib/store.js';
import { hasPage } from '../../pages.js';
import { Button, Icon, Section } from '../../ui/index.js';

const STEPS = [
  { id: 'chat', icon: 'playground', page: 'playground', role: 'viewer' },
  { id: 'model', icon: 'models', page: 'models', role: 'operator' },
  { id: 'key', icon: 'keys', page: 'keys', role: 'developer' },
  { id: 'member', icon: 'users', page: 'keys', path: '/keys?tab=members', role: 'admin' },
];

export function Steps() {
  const [hidden, setHidden] = useState(kept.get('steps') === 'hidden');
  const steps = STEPS.filter((s) => hasPage(s.page) && can(s.role));
  if (hidden || steps.length === 0) return null;
  const hide = () => {
    kept.set('steps', 'hidden');
    setHidden(true);
  };
  return (
    <Section
      title={t('overview.steps')}
      text={t('overview.steps_text')}
      bare
      actions={
        <Button small kind="quiet" onClick={hide}>
          {t('overview.steps_hide')}
        </Button>
      }>
      <ol class="overview-steps">
        {steps.map((s) => (
          <li key={s.id}>
            <Link href={s.path ?? `/${s.page}`} class="overview-step">
              <Icon name={s.icon} size={20} />
              <span>
                <b>{t(`overview.step_${s.id}`)}</b>
                <span class="muted">{t(`overview.step_${s.id}_text`)}</span>
              </span>
            </Link>
          </li>
        ))}
      </ol>
    </Section>
  );
}
