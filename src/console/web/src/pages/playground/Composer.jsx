// Where one writes: Enter sends, Shift+Enter begins a
// line; while an answer comes, the button stops it.
import { useLayoutEffect, useRef } from 'preact/hooks';
import { t } from '../../lib/i18n.js';
import { Button } from '../../ui/index.js';

const HEIGHT_MAX = 240;

export function Composer({ text, onText, onSend, onStop, running, hint, disabled }) {
  const ref = useRef();
  useLayoutEffect(() => {
    const el = ref.current;
    el.style.height = 'auto';
    el.style.height = `${Math.min(el.scrollHeight + 2, HEIGHT_MAX)}px`;
  }, [text]);
  const ready = !running && !disabled && text.trim() !== '';
  const send = (e) => {
    e.preventDefault();
    if (ready) onSend();
  };
  const onKeyDown = (e) => {
    if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) send(e);
    if (e.key === 'Escape' && running) onStop();
  };
  return (
    <form class="pg-composer" onSubmit={send}>
      <div class="pg-write">
        <textarea
          ref={ref}
          rows={1}
          value={text}
          aria-label={t('playground.say.label')}
          id="playground-say"
          placeholder={t('playground.say.ph')}
          aria-describedby="playground-say-hint"
          onInput={(e) => onText(e.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {running ? (
          <Button icon="stop" onClick={onStop}>
            {t('playground.say.stop')}
          </Button>
        ) : (
          <Button kind="primary" icon="send" type="submit" disabled={!ready}>
            {t('playground.say.send')}
          </Button>
        )}
      </div>
      <p id="playground-say-hint" class={hint ? 'pg-hint pg-hint-warn' : 'pg-hint'}>
        {hint || t('playground.say.hint')}
      </p>
    </form>
  );
}
