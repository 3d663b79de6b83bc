// How an endpoint stands, as a badge.
import { t } from '../../lib/i18n.js';
import { Badge } from '../../ui/index.js';
import { stateOf } from './live.js';

export function State({ live }) {
  const { state, tone } = stateOf(live);
  return (
    <Badge tone={tone} dot title={state === 'idle' ? t('endpoints.state.idle.text') : undefined}>
      {t(`endpoints.state.${state}`)}
    </Badge>
  );
}
