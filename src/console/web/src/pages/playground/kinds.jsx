// Models that do not chat: what they are for, and how they are called.
import { t } from '../../lib/i18n.js';
import { Code, Empty } from '../../ui/index.js';
import { curlCode } from './code.js';

// tasks: as a registered model says them; unknown (other servers): it may chat.
export function whatItDoes(tasks) {
  if (!tasks || tasks.includes('chat')) return 'chat';
  if (tasks.includes('embeddings')) return 'embeddings';
  return tasks.includes('rerank') ? 'rerank' : 'other';
}

const CALLS = {
  embeddings: (model) => ['/v1/embeddings', { model, input: ['a text', 'another one'] }],
  rerank: (model) => ['/v1/rerank', { model, query: 'a question', documents: ['one', 'two'] }],
};

export function NotChat({ model, kind }) {
  const call = CALLS[kind]?.(model);
  return (
    <Empty
      icon="layers"
      title={t(`playground.kind.${kind}.title`, { model })}
      text={t(`playground.kind.${kind}.text`)}
      action={call && <Code text={curlCode(location.origin, call[1], call[0])} />}
    />
  );
}
