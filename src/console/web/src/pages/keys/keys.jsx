// The keys that one may see; made, changed, revoked.
import { useCallback, useState } from 'preact/hooks';
import { everyPage } from '../../lib/all.js';
import { api } from '../../lib/api.js';
import { useApi, useAsked } from '../../lib/hooks.js';
import { date, money, number, t } from '../../lib/i18n.js';
import { navigate } from '../../lib/router.js';
import { can, useMe } from '../../lib/session.js';
import {
  Badge,
  Button,
  confirmDelete,
  Empty,
  ErrorNote,
  menuColumn,
  Section,
  Table,
  Time,
  toast,
} from '../../ui/index.js';
import { KeyForm, Made } from './key_form.jsx';

function Limits({ k }) {
  const limits = Object.entries(k.limits ?? {})
    .filter(([name, v]) => v !== null && ['rpm', 'tpm', 'concurrency'].includes(name))
    .map(([name, v]) => t(`keys.key.limit.${name}`, { n: number(v) }));
  const budget = ['day', 'month']
    .filter((name) => k.budget?.[name])
    .map((name) => t(`keys.key.budget.${name}`, { n: money(k.budget[name]) }));
  const all = [...limits, ...budget];
  return all.length > 0 ? (
    <span class="keys-limits">
      {all.map((one) => (
        <Badge key={one}>{one}</Badge>
      ))}
    </span>
  ) : null;
}

function Expires({ at }) {
  if (at === null) return <span class="muted">{t('keys.key.never')}</span>;
  return at <= Date.now() / 1000 ? <Badge tone="warn">{t('keys.key.over')}</Badge> : date(at);
}

// A developer's own are those of the own member; without one, none.
function mayChange(k, me) {
  if (!can('manage')) return false;
  if (can('admin')) return k.role !== 'operator' || me.role === 'operator';
  return can('developer') && me.member !== null && k.member === me.member.id;
}

function columnsOf({ me, names, change, revoke }) {
  const several = names.project.size > 1;
  return [
    {
      key: 'name',
      title: t('keys.key.name'),
      sort: (k) => k.name,
      render: (k) => (
        <span>
          <span class="strong">{k.name}</span>{' '}
          {k.id === me.key?.id && <Badge tone="info">{t('keys.key.this')}</Badge>}
          {k.kind === 'sign_in' && <Badge>{t('keys.key.sign_in')}</Badge>}
        </span>
      ),
    },
    {
      key: 'prefix',
      title: t('keys.key.prefix'),
      class: 'cell-wide cell-word',
      render: (k) =>
        k.kind === 'sign_in' ? <span class="muted">–</span> : <code>{k.prefix}…</code>,
    },
    {
      key: 'role',
      class: 'cell-word',
      title: t('keys.key.role'),
      sort: (k) => k.role,
      render: (k) => t(`keys.role.${k.role}`),
    },
    several && {
      key: 'project',
      title: t('keys.key.project'),
      sort: (k) => names.project.get(k.project) ?? k.project,
      render: (k) => names.project.get(k.project) ?? k.project,
    },
    {
      key: 'member',
      title: t('keys.key.member'),
      sort: (k) => names.member.get(k.member) ?? '',
      render: (k) => names.member.get(k.member) ?? null,
    },
    {
      key: 'models',
      title: t('keys.key.models'),
      render: (k) =>
        k.models.includes('*') ? (
          <span class="muted">{t('keys.key.models.all')}</span>
        ) : (
          k.models.join(', ')
        ),
    },
    { key: 'limits', title: t('keys.key.limits'), render: (k) => <Limits k={k} /> },
    {
      key: 'expires',
      title: t('keys.key.expires'),
      sort: (k) => k.expires ?? Infinity,
      render: (k) => <Expires at={k.expires} />,
    },
    {
      key: 'created',
      title: t('keys.key.created'),
      class: 'cell-wide',
      sort: (k) => k.created,
      render: (k) => <Time at={k.created} />,
    },
    menuColumn(
      (k) => t('keys.key.act', { name: k.name }),
      (k) => [
        {
          label: t('keys.key.usage'),
          icon: 'requests',
          onClick: () => navigate(`/requests?key=${encodeURIComponent(k.id)}`),
        },
        mayChange(k, me) && { label: t('ui.edit'), icon: 'edit', onClick: () => change(k) },
        mayChange(k, me) && {
          label: t('keys.key.revoke'),
          icon: 'trash',
          danger: true,
          onClick: () => revoke(k),
        },
      ],
    ),
  ].filter(Boolean);
}

export function Keys() {
  const me = useMe();
  const ask = useCallback(async (signal) => {
    const [keys, members, projects] = await Promise.all(
      ['keys', 'members', 'projects'].map((kind) => everyPage(`/api/v1/${kind}`, signal)),
    );
    return {
      keys,
      members,
      names: {
        member: new Map(members.map((m) => [m.id, m.name])),
        project: new Map(projects.map((p) => [p.id, p.name])),
      },
    };
  }, []);
  const { data, error, reload } = useApi(ask);
  const [open, setOpen] = useState(null); // { kept } of the form, or { made }
  const may = can('manage') && (can('admin') || (can('developer') && me.member !== null));
  useAsked('new', () => may && setOpen({ kept: null }));
  useAsked('open', (id) =>
    api
      .get(`/api/v1/keys/${encodeURIComponent(id)}`)
      .then((kept) => mayChange(kept, me) && setOpen({ kept }))
      .catch(toast.error),
  );
  const revoke = async (k) => {
    const done = await confirmDelete({
      what: k.name,
      title: t('keys.key.revoke.title', { name: k.name }),
      text: t('keys.key.revoke.text'),
      verb: t('keys.key.revoke'),
      typed: true,
      action: () => api.del(`/api/v1/keys/${encodeURIComponent(k.id)}`),
    });
    if (!done) return;
    toast.ok(t('keys.key.revoked', { name: k.name }));
    reload();
  };
  const create = may && (
    <Button kind="primary" icon="plus" onClick={() => setOpen({ kept: null })}>
      {t('keys.key.new')}
    </Button>
  );
  const columns =
    data && columnsOf({ me, names: data.names, revoke, change: (kept) => setOpen({ kept }) });
  return (
    <>
      {data?.keys.length > 0 && create && <div class="row keys-bar">{create}</div>}
      <ErrorNote error={error} retry={reload} />
      {(data || !error) && (
        <Section flush>
          <Table
            label={t('keys.key.label')}
            columns={columns ?? []}
            rows={data?.keys}
            sort={{ key: 'created', desc: true }}
            empty={
              <Empty
                icon="keys"
                title={t('keys.key.empty.title')}
                text={t('keys.key.empty.text')}
                action={create}
              />
            }
          />
        </Section>
      )}
      {open && 'kept' in open && data && (
        <KeyForm
          kept={open.kept}
          members={data.members}
          projects={data.names.project}
          onClose={() => setOpen(null)}
          done={(made) => {
            setOpen(made ? { made } : null);
            reload();
          }}
        />
      )}
      {open?.made && <Made made={open.made} onClose={() => setOpen(null)} />}
    </>
  );
}
