// What happened to an endpoint: starts, deaths, failovers, changes. The newest first.
import { useCallback, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAction, useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { said } from '../../lib/said.js';
import { Link } from '../../lib/router.js';
import { Button, ErrorNote, Icon, Loading, Section, Time, toast } from '../../ui/index.js';

const PAGE = 30;
const POLL_MS = 5000;

const LEVELS = { info: 'info', warn: 'warn', warning: 'warn', error: 'bad' };

const inSeconds = (at) => (at > 1e11 ? at / 1000 : at);

function Entry({ e }) {
  const tone = LEVELS[e.level] ?? 'info';
  return (
    <li class={`ep-event ep-event-${tone}`}>
      <span class="ep-event-mark">
        <Icon name={tone} size={14} />
      </span>
      <div>
        <p>{said(e.text)}</p>
        <p class="muted small">
          <Time at={inSeconds(e.at)} />
          {e.count > 1 && <> · {t('endpoints.timeline.count', { n: e.count })}</>}
          {e.request && (
            <>
              {' '}
              · <Link href={`/requests/${e.request}`}>{t('endpoints.timeline.request')}</Link>
            </>
          )}
        </p>
      </div>
    </li>
  );
}

export function Timeline({ endpoint }) {
  const path = `/api/v1/events?endpoint=${encodeURIComponent(endpoint)}&limit=${PAGE}`;
  const { data, error, reload } = useApi(path, { poll: POLL_MS });
  const [older, setOlder] = useState({ list: [], more: null });
  const newest = data?.data ?? [];
  const seen = new Set(newest.map((e) => e.id));
  const list = [...newest, ...older.list.filter((e) => !seen.has(e.id))];
  const more = older.more ?? data?.has_more;
  const [fetchMore, busy] = useAction(
    useCallback(async () => {
      try {
        const next = await api.get(
          `${path}&before=${encodeURIComponent(list[list.length - 1].id)}`,
        );
        setOlder((o) => ({ list: [...o.list, ...next.data], more: next.has_more ?? false }));
      } catch (e) {
        toast.error(e);
      }
    }, [list, path]),
  );
  return (
    <Section title={t('endpoints.timeline')} text={t('endpoints.timeline.text')}>
      {error && !data && <ErrorNote error={error} retry={reload} />}
      {!error && !data && <Loading rows={3} />}
      {data && list.length === 0 && <p class="muted">{t('endpoints.timeline.none')}</p>}
      <ol class="ep-timeline">
        {list.map((e) => (
          <Entry key={e.id} e={e} />
        ))}
      </ol>
      {more && (
        <Button small busy={busy} onClick={fetchMore}>
          {t('endpoints.timeline.older')}
        </Button>
      )}
    </Section>
  );
}
