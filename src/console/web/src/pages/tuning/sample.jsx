// Good lines of the data, drawn as the conversations that they are.
import { useState } from 'preact/hooks';
import { t } from '../../lib/i18n.js';
import { Badge, Button } from '../../ui/index.js';

function textOf(content) {
  return Array.isArray(content) ? content.map((p) => p.text).join('\n') : (content ?? '');
}

function Message({ message, tone }) {
  const assistant = message.role === 'assistant';
  const calls =
    message.tool_calls ?? (message.function_call ? [{ function: message.function_call }] : []);
  return (
    <li class={`tuning-turn tuning-turn-${message.role}`}>
      <p class="tuning-turn-who">
        <span>{t(`tuning.sample.${message.role}`)}</span>
        {tone && (
          <Badge tone={tone}>
            {t(tone === 'ok' ? 'tuning.sample.better' : 'tuning.sample.worse')}
          </Badge>
        )}
        {assistant &&
          !tone &&
          (message.weight === 0 ? (
            <Badge>{t('tuning.sample.not_learnt')}</Badge>
          ) : (
            <Badge tone="info">{t('tuning.sample.learnt')}</Badge>
          ))}
      </p>
      {textOf(message.content) !== '' && <p class="tuning-turn-text">{textOf(message.content)}</p>}
      {calls.map((call, i) => (
        <p key={i} class="tuning-turn-text">
          <span class="muted">{t('tuning.sample.calls', { name: call.function.name })}</span>{' '}
          <code>
            {typeof call.function.arguments === 'string'
              ? call.function.arguments
              : JSON.stringify(call.function.arguments)}
          </code>
        </p>
      ))}
    </li>
  );
}

function Conversation({ line }) {
  const given = line.messages ?? line.input.messages;
  return (
    <ol class="tuning-turns">
      {given.map((m, i) => (
        <Message key={i} message={line.messages ? m : { ...m, weight: 0 }} />
      ))}
      {line.preferred_output?.map((m, i) => (
        <Message key={`a${i}`} message={m} tone="ok" />
      ))}
      {line.non_preferred_output?.map((m, i) => (
        <Message key={`b${i}`} message={m} tone="bad" />
      ))}
    </ol>
  );
}

// shown: [{ line, body }] of check.js.
export function Sample({ shown }) {
  const [at, setAt] = useState(0);
  const i = Math.min(at, shown.length - 1);
  if (i < 0) return null;
  return (
    <div class="tuning-sample">
      <div class="tuning-sample-head">
        <h3>{t('tuning.sample.title')}</h3>
        <span class="muted figures" aria-live="polite">
          {t('tuning.sample.of', { line: shown[i].line })}
        </span>
        <Button
          small
          kind="quiet"
          icon="left"
          label={t('tuning.sample.prev')}
          disabled={i === 0}
          onClick={() => setAt(i - 1)}
        />
        <Button
          small
          kind="quiet"
          icon="right"
          label={t('tuning.sample.next')}
          disabled={i === shown.length - 1}
          onClick={() => setAt(i + 1)}
        />
      </div>
      <Conversation line={shown[i].body} />
    </div>
  );
}
