// What can be copied: values, and code in a frame of its own.
import { useEffect, useState } from 'preact/hooks';
import { t } from '../lib/i18n.js';
import { Button } from './Button.jsx';
import { Live } from './Page.jsx';
import { toast } from './Toast.jsx';

// Whether the text is in the clipboard now.
export async function toClipboard(text) {
  if (navigator.clipboard !== undefined && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // it was not allowed: the old way may be
    }
  }
  // over plain HTTP from elsewhere there is no clipboard either
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'hidden';
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  let copied = false;
  try {
    copied = document.execCommand('copy');
  } catch {
    // a browser without it
  }
  area.remove();
  return copied;
}

// label: what is copied ("Copy key"); children: shown on the button, else it is a square.
export function Copy({ text, label, children, small = true, kind = 'quiet' }) {
  const [done, setDone] = useState(0);
  useEffect(() => {
    const timer = done > 0 ? setTimeout(() => setDone(0), 2000) : 0;
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async () => {
    if (await toClipboard(typeof text === 'function' ? text() : text)) setDone(done + 1);
    else toast.error(t('ui.copy_failed'));
  };
  return (
    <>
      <Button
        small={small}
        kind={kind}
        icon={done ? 'check' : 'copy'}
        label={children ? undefined : (label ?? t('ui.copy'))}
        onClick={copy}>
        {children && (done ? t('ui.copied') : children)}
      </Button>
      <Live>{done ? t('ui.copied') : ''}</Live>
    </>
  );
}

// Something to copy: a command, a document. lines: shows at most so many, then it scrolls.
export function Code({ text, label, copy = true, wrap = false }) {
  return (
    <div class={wrap ? 'code code-wrap' : 'code'}>
      <pre tabIndex={0} role="region" aria-label={label ?? t('ui.code')}>
        <code>{text}</code>
      </pre>
      {copy && <Copy text={text} label={label ? `${t('ui.copy')}: ${label}` : undefined} />}
    </div>
  );
}

// A short value (an id, a name) that may be copied.
export function CopyValue({ text, label }) {
  return (
    <span class="copy-value">
      <code>{text}</code>
      <Copy text={text} label={label ?? `${t('ui.copy')} ${text}`} />
    </span>
  );
}
