// What just happened, in a corner, for a few seconds: toast.ok(text), toast.error(error or text).
import { useEffect, useRef } from 'preact/hooks';
import { t } from '../lib/i18n.js';
import { createStore } from '../lib/store.js';
import { Button } from './Button.jsx';
import { Original } from './Empty.jsx';
import { Icon } from './Icon.jsx';

const MAX = 4;
const OK_MS = 5000;
const ERROR_MS = 12000; // there is more to read
const shown = createStore([]);
let last = 0;

function drop(id) {
  shown.set(shown.get().filter((one) => one.id !== id));
}

function show(tone, text, { hint = '', original = '' } = {}) {
  const id = ++last;
  shown.set([...shown.get().slice(1 - MAX), { id, tone, text, hint, original }]);
  setTimeout(() => drop(id), tone === 'ok' ? OK_MS : ERROR_MS);
}

export const toast = {
  ok: (text) => show('ok', text),
  error: (error) => {
    if (error?.name === 'AbortError') return;
    if (typeof error === 'string') show('bad', error);
    else show('bad', error.message, error);
  },
};

// Once, in app.jsx. A popover, because dialogs lie above everything else.
export function Toasts() {
  const list = shown.use();
  const ref = useRef(null);
  useEffect(() => {
    const el = ref.current;
    if (el.matches(':popover-open')) el.hidePopover();
    if (list.length > 0) el.showPopover();
  }, [list]);
  return (
    <div ref={ref} class="toasts" popover="manual" role="status" aria-live="polite">
      {list.map((one) => (
        <div key={one.id} class={`toast toast-${one.tone}`}>
          <Icon name={one.tone} size={18} />
          <div class="note-words">
            <p>{one.text}</p>
            {one.hint && <p class="muted small">{one.hint}</p>}
            <Original text={one.original} />
          </div>
          <Button
            kind="quiet"
            small
            icon="close"
            label={t('ui.close')}
            onClick={() => drop(one.id)}
          />
        </div>
      ))}
    </div>
  );
}
