// What is on its way, and how far.
import { t } from '../lib/i18n.js';

// label: said to screen readers; without, it stands beside words that say it.
export function Spinner({ label }) {
  return (
    <span class="spinner" role={label ? 'status' : undefined}>
      {label && <span class="hidden">{label}</span>}
    </span>
  );
}

// In the place of what is still to come; keeps its room, so that nothing jumps.
export function Loading({ rows = 3 }) {
  return (
    <div class="loading" role="status">
      <span class="hidden">{t('ui.loading')}</span>
      {Array.from({ length: rows }, (_, i) => (
        <div key={i} class="loading-row" aria-hidden="true" />
      ))}
    </div>
  );
}

// value: 0..1, or null while nobody knows. label: what is going on; text: how far, in words.
export function Progress({ value = null, label, text }) {
  const known = typeof value === 'number' && Number.isFinite(value);
  return (
    <div class="progress">
      <div class="progress-words">
        <span>{label}</span>
        <span class="muted figures">{text}</span>
      </div>
      <progress
        max="1"
        value={known ? Math.min(1, Math.max(0, value)) : undefined}
        aria-label={label}
      />
    </div>
  );
}

// How much of a limit is used; the colour turns as it fills.
export function Meter({ value, max, label, text, warn = 0.8, bad = 0.95 }) {
  const part = max > 0 ? Math.min(1, value / max) : 0;
  const tone = part >= bad ? 'bad' : part >= warn ? 'warn' : 'ok';
  return (
    <div class={`meter meter-${tone}`}>
      <div class="progress-words">
        <span>{label}</span>
        <span class="muted figures">{text}</span>
      </div>
      <meter min="0" max="1" value={part} aria-label={label} aria-valuetext={text} />
    </div>
  );
}
