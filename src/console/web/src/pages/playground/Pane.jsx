// One model and its conversation.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../../lib/i18n.js';
import { Button, Empty, TextArea } from '../../ui/index.js';
import { Answer, Said, ToolSaid } from './Message.jsx';
import { openCalls } from './run.js';

function ToolForm({ calls, busy, onSend }) {
  const [said, setSaid] = useState({});
  const send = (e) => {
    e.preventDefault();
    onSend(calls.map((c) => ({ ...c, content: said[c.id] ?? '' })));
  };
  return (
    <form class="pg-tools-form" onSubmit={send}>
      {calls.map((c) => (
        <TextArea
          key={c.id}
          label={t('playground.calls.result', { name: c.name })}
          rows={2}
          mono
          value={said[c.id] ?? ''}
          placeholder={t('playground.calls.ph')}
          onChange={(v) => setSaid({ ...said, [c.id]: v })}
        />
      ))}
      <Button
        small
        kind="primary"
        type="submit"
        disabled={busy || calls.some((c) => !(said[c.id] ?? '').trim())}>
        {t('playground.calls.send')}
      </Button>
    </form>
  );
}

// Stays at the end while the answer grows, unless one has scrolled up to read.
function useEnd(messages) {
  const ref = useRef();
  const at = useRef(true);
  useEffect(() => {
    const box = ref.current;
    if (box && at.current) box.scrollTop = box.scrollHeight;
  }, [messages]);
  const onScroll = useCallback((e) => {
    const box = e.currentTarget;
    at.current = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  }, []);
  return { ref, onScroll };
}

function Start({ model, onExample }) {
  return (
    <Empty
      title={t('playground.empty.title', { model })}
      text={t('playground.empty.text')}
      action={
        <div class="pg-examples">
          {[1, 2, 3].map((n) => (
            <Button key={n} onClick={() => onExample(t(`playground.example.${n}`))}>
              {t(`playground.example.${n}`)}
            </Button>
          ))}
        </div>
      }
    />
  );
}

export function Pane({ pane, label, busy, onRegenerate, onResend, onTools, onExample, children }) {
  const end = useEnd(pane.messages);
  const calls = openCalls(pane.messages);
  return (
    <section class="pg-pane" aria-label={label}>
      <div class="pg-scroll" ref={end.ref} onScroll={end.onScroll} tabIndex={0}>
        {children ||
          (pane.messages.length === 0 && <Start model={pane.model} onExample={onExample} />)}
        {pane.messages.map((m) => {
          if (m.role === 'user') return <Said key={m.id} m={m} busy={busy} onResend={onResend} />;
          if (m.role === 'tool') return <ToolSaid key={m.id} m={m} />;
          return <Answer key={m.id} m={m} busy={busy} onRegenerate={onRegenerate} />;
        })}
        {calls.length > 0 && (
          <ToolForm key={calls[0].id} calls={calls} busy={busy} onSend={onTools} />
        )}
      </div>
    </section>
  );
}
