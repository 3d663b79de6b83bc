// Dialogs: the browser's own <dialog>, which keeps the focus inside, ends by Escape and gives the focus
// back to where it was.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { t } from '../lib/i18n.js';
import { createStore } from '../lib/store.js';
import { Button } from './Button.jsx';
import { Form, TextInput } from './Form.jsx';
import { ErrorNote } from './Empty.jsx';

// Shown as long as it is drawn. onClose: somebody wants it gone. footer: buttons. side: at the edge, for
// details of a row.
export function Dialog({ title, onClose, children, footer, wide = false, side = false }) {
  const ref = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    return () => before?.isConnected && before.focus?.();
  }, []);
  const outside = (e) => {
    if (e.target === ref.current && e.detail > 0) onClose();
  };
  return (
    <dialog ref={ref} class={`dialog ${wide ? 'dialog-wide' : ''} ${side ? 'dialog-side' : ''}`} aria-labelledby={id}
      onCancel={(e) => { e.preventDefault(); onClose(); }} onMouseDown={outside}>
      <div class="dialog-frame">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <Button kind="quiet" icon="close" label={t('ui.close')} onClick={onClose} />
        </header>
        <div class="dialog-body">{children}</div>
        {footer && <footer class="dialog-foot">{footer}</footer>}
      </div>
    </dialog>
  );
}

/* ---- questions ---- */

const question = createStore(null);

// Asks before something is gone; resolves to true once it was done. what: its name, in the title. text: what
// that means. typed: the name must be typed. action: async, what is done; its error is shown in the
// dialog, which stays. verb: the button's words.
export function confirmDelete({ what, text, typed = false, action, title, verb }) {
  return new Promise((resolve) => {
    question.set({ what, text, typed, action, title, verb, resolve });
  });
}

function Question({ what, text, typed, action, title, verb, resolve }) {
  const [name, setName] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const end = (done) => {
    question.set(null);
    resolve(done);
  };
  const go = async () => {
    if (busy || (typed && name !== what)) return;
    setBusy(true);
    setError(null);
    try {
      await action?.();
      end(true);
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title ?? t('ui.delete_title', { what })} onClose={() => !busy && end(false)}>
      <Form onSubmit={go} actions={(
        <>
          <Button onClick={() => end(false)} disabled={busy}>{t('ui.cancel')}</Button>
          <Button type="submit" kind="danger" busy={busy} disabled={typed && name !== what}>{verb ?? t('ui.delete')}</Button>
        </>
      )}>
        {text && <p>{text}</p>}
        {typed && <TextInput label={t('ui.type_name', { what })} value={name} onChange={setName} autofocus />}
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

// Once, in app.jsx.
export function Questions() {
  const asked = question.use();
  return asked && <Question key={asked.what} {...asked} />;
}
