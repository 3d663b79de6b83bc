// What happened in the cloud, the newest first: events of /api/v1/events.
import { hasText, t } from '../lib/i18n.js';
import { said } from '../lib/said.js';
import { hasPage } from '../pages.js';
import { Link } from '../lib/router.js';
import { Icon } from './Icon.jsx';
import { Time } from './Time.jsx';

const TONES = { info: 'info', warn: 'warn', error: 'bad' };

export function EventList({ events }) {
  return (
    <ol class="events">
      {events.map((event) => (
        <li key={event.id}>
          <Icon name={TONES[event.level] ?? 'info'} class={`tone-${TONES[event.level]}`} />
          <span class="events-text">
            {hasText(`event.${event.kind}`) && (
              <b>
                {t(`event.${event.kind}`)}
                {event.endpoint ? ` · ${event.endpoint}` : ''}{' '}
              </b>
            )}
            <span class="muted">{said(event.text)}</span>
            {event.count > 1 && <span class="muted"> ×{event.count}</span>}
            {event.request && hasPage('requests') && (
              <>
                {' '}
                <Link href={`/requests/${event.request}`}>{event.request}</Link>
              </>
            )}
          </span>
          <span class="muted small">
            <Time at={event.at / 1000} />
          </span>
        </li>
      ))}
    </ol>
  );
}
