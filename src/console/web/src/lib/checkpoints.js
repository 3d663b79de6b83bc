// Checkpoints of trainings: each has a name that answers, and hardly anybody wants it in a list.
import { useState } from 'preact/hooks';
import { number, t } from './i18n.js';

// As the cloud names them (src/control/tune/row.c). A training's result has a name of its own.
export const isCheckpoint = (name) => name.startsWith('ft:') && name.includes(':ckpt-step-');

// A list of what has a name, without them until they are asked for: { rows, all, more }; all: they
// are shown; more: a table's, which shows and hides them.
export function useFolded(list, folds = (x) => isCheckpoint(x.name)) {
  const [all, setAll] = useState(false);
  const rows = list?.filter((x) => !folds(x)) ?? null;
  const n = list ? list.length - rows.length : 0;
  const title = all ? t('ui.checkpoints_hide') : t('ui.checkpoints_show', { n: number(n) });
  return {
    rows: all ? list : rows,
    all,
    more: n > 0 ? { title, onMore: () => setAll(!all) } : undefined,
  };
}
