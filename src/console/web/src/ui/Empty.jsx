// In the place of what is not there: nothing yet, an error, a note.
import { Button } from './Button.jsx';
import { Icon } from './Icon.jsx';
import { t } from '../lib/i18n.js';

// Nothing here yet, and what to do first. action: a Button or several.
export function Empty({ title, text, action, icon }) {
  return (
    <div class="empty">
      {icon && <Icon name={icon} size={28} />}
      <h3>{title}</h3>
      {text && <p class="muted">{text}</p>}
      {action && <div class="empty-action">{action}</div>}
    </div>
  );
}

// What the cloud itself said, in English, below what it means. text: '' or none where that is all.
export function Original({ text }) {
  return text ? (
    <p class="muted small" lang="en">
      {text}
    </p>
  ) : null;
}

// What went wrong, and what to do next. retry: a function.
export function ErrorNote({ error, retry }) {
  if (!error) return null;
  return (
    <div class="note note-bad" role="alert">
      <Icon name="error" size={18} />
      <div class="note-words">
        <p>{error.message}</p>
        {error.hint && <p class="muted">{error.hint}</p>}
        <Original text={error.original} />
        {error.id && (
          <p class="muted small">
            {t('error.id')} <code>{error.id}</code>
          </p>
        )}
      </div>
      {retry && (
        <Button small icon="refresh" onClick={retry}>
          {t('ui.retry')}
        </Button>
      )}
    </div>
  );
}

// Something worth knowing. tone: info, warn, bad, ok.
export function Note({ tone = 'info', title, children, action }) {
  return (
    <div class={`note note-${tone}`}>
      <Icon name={tone} size={18} />
      <div class="note-words">
        {title && <p class="strong">{title}</p>}
        {children}
      </div>
      {action}
    </div>
  );
}
