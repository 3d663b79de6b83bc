// One message of a conversation: what was said, and what can be done with it.
import { memo } from 'preact/compat';
import { useState } from 'preact/hooks';
import { duration, number, t } from '../../lib/i18n.js';
import { Link } from '../../lib/router.js';
import { Badge, Button, Code, Copy, Icon, Markdown, Original, TextArea } from '../../ui/index.js';
import { adviceFor, speedOf } from './run.js';
import { Tokens } from './Tokens.jsx';

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

function Stats({ m }) {
  const speed = speedOf(m);
  const cached = m.usage?.prompt_tokens_details?.cached_tokens;
  const parts = [];
  if (m.usage)
    parts.push(
      t('playground.stat.tokens', {
        in: number(m.usage.prompt_tokens),
        out: number(m.usage.completion_tokens),
      }),
    );
  if (cached) parts.push(t('playground.stat.cached', { n: number(cached) }));
  if (speed)
    parts.push(t('playground.stat.speed', { n: number(speed, { digits: speed < 100 ? 1 : 0 }) }));
  if (m.firstMs !== null) parts.push(t('playground.stat.first', { t: duration(m.firstMs / 1000) }));
  if (m.ms !== null) parts.push(t('playground.stat.all', { t: duration(m.ms / 1000) }));
  if (m.state === 'stopped') parts.push(t('playground.stat.stopped'));
  return (
    <p class="pg-stats">
      {parts.map((x, i) => (
        <span key={i}>{x}</span>
      ))}
      {m.request && (
        <Link href={`/requests/${m.request}`} title={m.request}>
          {t('playground.stat.request')}
        </Link>
      )}
    </p>
  );
}

function Failure({ m }) {
  const e = m.error;
  const title = m.content || m.calls.length ? 'playground.error.cut' : 'playground.error.title';
  return (
    <div class="pg-failure" role="alert">
      <Icon name="error" />
      <div>
        <p>
          <b>{t(title)}.</b> {e.message}
        </p>
        <Original text={e.original} />
        <p>{t(adviceFor(e))}</p>
      </div>
    </div>
  );
}

function Calls({ calls }) {
  return calls.map((c) => (
    <div class="pg-call" key={c.id}>
      <p class="pg-call-name">
        <Icon name="tool" /> {t('playground.calls.title', { name: c.name })}
      </p>
      <Code text={pretty(c.arguments) ?? c.arguments} />
    </div>
  ));
}

function Body({ m, view }) {
  const json = m.json ? pretty(m.content) : null;
  if (view === 'tokens' && m.tokens.length) return <Tokens tokens={m.tokens} />;
  if (json !== null) return <Code text={json} />;
  if (m.json && m.content)
    return (
      <pre class="pg-raw" tabIndex={0}>
        {m.content}
      </pre>
    );
  return m.content ? <Markdown text={m.content} breaks /> : null;
}

// What is to be said of an answer besides its text.
function Notes({ m }) {
  const over = m.state !== 'running';
  return (
    <>
      {over &&
        m.json &&
        m.content &&
        (pretty(m.content) !== null ? (
          <Badge tone="ok">{t('playground.json.ok')}</Badge>
        ) : (
          <p class="pg-note">
            {t(m.finish === 'length' ? 'playground.json.cut' : 'playground.json.no')}
          </p>
        ))}
      {over && m.finish === 'length' && !m.json && (
        <p class="pg-note">{t('playground.finish.length')}</p>
      )}
      {m.finish === 'content_filter' && (
        <p class="pg-note">{t('playground.finish.content_filter')}</p>
      )}
      {m.error && <Failure m={m} />}
    </>
  );
}

export const Answer = memo(({ m, busy, onRegenerate }) => {
  const [view, setView] = useState('text');
  const running = m.state === 'running';
  const empty = !m.content && !m.reasoning && !m.calls.length;
  return (
    <article class="pg-answer" aria-busy={running}>
      <h3 class="pg-who">{m.model}</h3>
      {m.reasoning && (
        <details class="pg-thought" open={running && !m.content}>
          <summary>
            {running && !m.content ? t('playground.reasoning.now') : t('playground.reasoning')}
          </summary>
          <Markdown text={m.reasoning} breaks />
        </details>
      )}
      {running && empty && (
        <p class="pg-waiting">
          <i class="pg-dot" /> {t('playground.waiting')}
        </p>
      )}
      <Body m={m} view={view} />
      <Calls calls={m.calls} />
      <Notes m={m} />
      {!running && (
        <footer class="pg-foot">
          <Stats m={m} />
          <div class="pg-acts">
            {m.tokens.length > 0 && (
              <Button
                small
                kind="quiet"
                aria-pressed={view === 'tokens'}
                onClick={() => setView(view === 'tokens' ? 'text' : 'tokens')}>
                {t('playground.view.tokens')}
              </Button>
            )}
            {m.content && <Copy text={m.content} label={t('playground.copy')} />}
            <Button small kind="quiet" disabled={busy} onClick={() => onRegenerate(m.id)}>
              {t('playground.regenerate')}
            </Button>
          </div>
        </footer>
      )}
    </article>
  );
});

export const Said = memo(({ m, busy, onResend }) => {
  const [text, setText] = useState(null);
  if (text !== null) {
    const send = (e) => {
      e.preventDefault();
      setText(null);
      onResend(m.turn, text);
    };
    return (
      <form class="pg-said pg-editing" onSubmit={send}>
        <TextArea
          label={t('playground.edit.label')}
          value={text}
          onChange={setText}
          rows={3}
          autofocus
        />
        <p class="pg-help">{t('playground.edit.note')}</p>
        <div class="pg-acts">
          <Button small type="submit" kind="primary" disabled={busy || !text.trim()}>
            {t('playground.resend')}
          </Button>
          <Button small kind="quiet" onClick={() => setText(null)}>
            {t('playground.cancel')}
          </Button>
        </div>
      </form>
    );
  }
  return (
    <article class="pg-said">
      <h3 class="hidden">{t('playground.user')}</h3>
      <p class="pg-words">{m.content}</p>
      <Button small kind="quiet" disabled={busy} onClick={() => setText(m.content)}>
        {t('playground.edit')}
      </Button>
    </article>
  );
});

export const ToolSaid = memo(({ m }) => (
  <article class="pg-toolsaid">
    <h3 class="pg-call-name">{t('playground.tool', { name: m.name })}</h3>
    <Code text={pretty(m.content) ?? m.content} />
  </article>
));
