// Browsers that are signed in: one's own; admins see the project's.
import { useCallback } from 'preact/hooks';
import { everyPage } from '../../lib/all.js';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { loadSession } from '../../lib/session.js';
import {
  Badge,
  Button,
  confirmDelete,
  ErrorNote,
  Section,
  Table,
  Time,
  toast,
} from '../../ui/index.js';

// "Mozilla/5.0 (X11; Linux x86_64) ... Chrome/123" in fewer words.
function programOf(agent) {
  const name = /(Edg|OPR|Firefox|Chrome|Safari|curl)\/(\d+)/.exec(agent);
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|Linux)/.exec(agent);
  if (!name) return agent.slice(0, 40) || t('keys.session.unknown');
  const browser = { Edg: 'Edge', OPR: 'Opera' }[name[1]] ?? name[1];
  const on = system ? `, ${system[1].replace(' OS X', 'OS')}` : '';
  return `${browser} ${name[2]}${on}`;
}

export function Sessions() {
  const ask = useCallback(async (signal) => {
    const [sessions, keys, members] = await Promise.all(
      ['sessions', 'keys', 'members'].map((kind) => everyPage(`/api/v1/${kind}`, signal)),
    );
    const key = new Map(keys.map((k) => [k.id, k.name]));
    const member = new Map(members.map((m) => [m.id, m.name]));
    return sessions.map((s) => ({ ...s, who: member.get(s.member) ?? key.get(s.key) ?? s.key }));
  }, []);
  const { data, error, reload } = useApi(ask);
  const end = async (s) => {
    const done = await confirmDelete({
      what: s.who,
      title: t('keys.session.end.title'),
      text: t('keys.session.end.text'),
      verb: t('keys.session.end'),
      action: () => api.del(`/api/v1/sessions/${encodeURIComponent(s.id)}`),
    });
    if (!done) return;
    toast.ok(t('keys.session.ended'));
    if (s.current) loadSession();
    else reload();
  };
  const columns = [
    {
      key: 'who',
      title: t('keys.session.who'),
      sort: (s) => s.who,
      render: (s) => (
        <span>
          <span class="strong">{s.who}</span>{' '}
          {s.current && <Badge tone="info">{t('keys.session.current')}</Badge>}
        </span>
      ),
    },
    { key: 'by', title: t('keys.session.by'), render: (s) => t(`keys.session.by.${s.by}`) },
    {
      key: 'from',
      title: t('keys.session.from'),
      render: (s) => (
        <span title={s.agent}>
          {programOf(s.agent)} <span class="muted">{s.address}</span>
        </span>
      ),
    },
    {
      key: 'begun',
      title: t('keys.session.begun'),
      sort: (s) => s.created,
      render: (s) => <Time at={s.created} />,
    },
    {
      key: 'used',
      title: t('keys.session.used'),
      sort: (s) => s.used,
      render: (s) => <Time at={s.used} />,
    },
    {
      key: 'end',
      title: '',
      align: 'end',
      class: 'cell-tight',
      render: (s) => (
        <Button small aria-label={t('keys.session.end_of', { name: s.who })} onClick={() => end(s)}>
          {t('keys.session.end')}
        </Button>
      ),
    },
  ];
  return (
    <>
      <p class="muted">{t('keys.session.about')}</p>
      <ErrorNote error={error} retry={reload} />
      {(data || !error) && (
        <Section flush>
          <Table
            label={t('keys.session.label')}
            columns={columns}
            rows={data}
            sort={{ key: 'used', desc: true }}
          />
        </Section>
      )}
    </>
  );
}
