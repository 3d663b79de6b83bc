// Dialogs: the browser's own <dialog>, which keeps the focus
// inside, ends by Escape and gives the focus back to where it was.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { t } from '../lib/i18n.js';
import { getRoute, useRoute } from '../lib/router.js';
import { useSession } from '../lib/session.js';
import { createStore } from '../lib/store.js';
import { Button } from './Button.jsx';
import { Form, TextInput } from './Form.jsx';
import { ErrorNote } from './Empty.jsx';
import { toast } from './Toast.jsx';

// Shown as long as it is drawn. onClose: somebody wants it gone; without it nobody is offered that.
// footer: buttons. side: at the edge, for details of a row.
export function Dialog({ title, onClose, children, footer, wide = false, side = false }) {
  const ref = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    return () => before?.isConnected && before.focus?.();
  }, []);
  const outside = (e) => {
    if (e.target === ref.current && e.detail > 0) onClose?.();
  };
  // browsers close it at the second Escape whatever `cancel` is told
  const held = (e) => !onClose && e.key === 'Escape' && e.preventDefault();
  return (
    <dialog
      ref={ref}
      class={`dialog ${wide ? 'dialog-wide' : ''} ${side ? 'dialog-side' : ''}`}
      aria-labelledby={id}
      onCancel={(e) => {
        e.preventDefault();
        onClose?.();
      }}
      onKeyDown={held}
      onMouseDown={outside}>
      <div class="dialog-frame">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          {onClose && <Button kind="quiet" icon="close" label={t('ui.close')} onClick={onClose} />}
        </header>
        <div class="dialog-body">{children}</div>
        {footer && <footer class="dialog-foot">{footer}</footer>}
      </div>
    </dialog>
  );
}

/* ---- questions ---- */

const question = createStore(null);
let questions = 0;

// Asks before something is gone; resolves to true once it was done. what: its
// name, in the title. text: what that means. typed: the name must be typed.
// action: async, what is done; its error is shown in the dialog, which stays; it
// is given tell(text), which says there how far it is. verb: the button's words. A
// question belongs to the place where it was asked: it goes with it, unanswered.
export function confirmDelete({ what, text, typed = false, action, title, verb }) {
  return new Promise((resolve) => {
    question.set({
      what,
      text,
      typed,
      action,
      title,
      verb,
      resolve,
      id: ++questions,
      visit: getRoute().visit,
    });
  });
}

function Question({ id, what, text, typed, action, title, verb, resolve }) {
  const [name, setName] = useState('');
  const [busy, setBusy] = useState(false);
  const [far, setFar] = useState('');
  const [error, setError] = useState(null);
  const now = useRef({ gone: false, running: false });
  useEffect(
    () => () => {
      now.current.gone = true;
      if (!now.current.running) resolve(false);
    },
    [],
  );
  const end = (done) => {
    resolve(done);
    if (question.get()?.id === id) question.set(null);
  };
  const go = async () => {
    if (busy || (typed && name !== what)) return;
    setBusy(true);
    setError(null);
    now.current.running = true;
    try {
      await action?.(setFar);
      end(true);
    } catch (e) {
      now.current.running = false;
      setError(e);
      setBusy(false);
      if (!now.current.gone) return;
      toast.error(e); // nobody sees the dialog any more
      resolve(false);
    }
  };
  return (
    <Dialog
      title={title ?? t('ui.delete_title', { what })}
      onClose={busy ? undefined : () => end(false)}>
      <Form
        onSubmit={go}
        actions={
          <>
            <Button onClick={() => end(false)} disabled={busy}>
              {t('ui.cancel')}
            </Button>
            <Button type="submit" kind="danger" busy={busy} disabled={typed && name !== what}>
              {verb ?? t('ui.delete')}
            </Button>
          </>
        }>
        {text && <p>{text}</p>}
        {typed && (
          <TextInput
            label={t('ui.type_name', { what })}
            value={name}
            onChange={setName}
            autofocus
          />
        )}
        {busy && far && (
          <p class="muted figures" role="status">
            {far}
          </p>
        )}
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

// Once, in app.jsx.
export function Questions() {
  const asked = question.use();
  const { visit } = useRoute();
  const { state } = useSession();
  const stays = asked !== null && asked.visit === visit && state === 'in';
  useEffect(() => {
    if (asked !== null && !stays) question.set(null);
  }, [asked, stays]);
  return stays && <Question key={asked.id} {...asked} />;
}
