// Who changed what, and when.
import { useEffect, useState } from 'preact/hooks';
import { whole } from '../../lib/all.js';
import { DAY } from '../../lib/calendar.js';
import { useApi, useDebounced, usePaged } from '../../lib/hooks.js';
import { addText, dateTime, hasText, t } from '../../lib/i18n.js';
import { setQuery, useRoute } from '../../lib/router.js';
import { can } from '../../lib/session.js';
import {
  Button,
  CopyValue,
  Dialog,
  Empty,
  ErrorNote,
  Facts,
  Page,
  Section,
  Select,
  Table,
  TextInput,
} from '../../ui/index.js';
import * as text from './text.js';

addText('audit', text);

const KINDS = [
  'project',
  'member',
  'key',
  'session',
  'price',
  'setting',
  'model',
  'endpoint',
  'batch',
  'fine_tuning_job',
  'alert',
  'channel',
];
const FILTERS = ['kind', 'target', 'actor', 'from', 'to'];

const kindName = (kind) => (hasText(`audit.kind_${kind}`) ? t(`audit.kind_${kind}`) : kind);

// "endpoint.create": what was done, in words; others as they are.
function inWords({ action, kind }) {
  const verb = action.split('.').pop();
  return hasText(`audit.do_${verb}`) ? t(`audit.do_${verb}`, { kind: kindName(kind) }) : action;
}

function whoOf({ actor }, names) {
  if (actor.role === 'system') return t('audit.system');
  return names[actor.member] ?? names[actor.key] ?? actor.member ?? actor.key ?? actor.role;
}

function shown(value) {
  if (value === undefined) return '–';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function Changes({ before, after }) {
  const fields = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].filter(
    (name) => shown(before?.[name]) !== shown(after?.[name]),
  );
  if (fields.length === 0) return <p class="muted">{t('audit.nothing')}</p>;
  const cell = (value) => <code class="audit-value">{shown(value)}</code>;
  const columns = [
    { key: 'name', title: t('audit.field') },
    before && { key: 'before', title: t('audit.before'), render: (f) => cell(before[f.name]) },
    after && { key: 'after', title: t('audit.after'), render: (f) => cell(after[f.name]) },
  ].filter(Boolean);
  return (
    <Table
      label={t('audit.changed')}
      columns={columns}
      rows={fields.map((name) => ({ id: name, name }))}
    />
  );
}

function Details({ event, names, onClose }) {
  return (
    <Dialog side title={inWords(event)} onClose={onClose}>
      <Facts
        rows={[
          [t('audit.when'), dateTime(event.at / 1000)],
          [t('audit.who'), whoOf(event, names)],
          event.actor.role !== 'system' && [t('audit.role'), t(`app.role_${event.actor.role}`)],
          event.actor.key && [t('audit.key'), <CopyValue text={event.actor.key} />],
          event.actor.member && [t('audit.member'), <CopyValue text={event.actor.member} />],
          [t('audit.on'), <CopyValue text={event.target} />],
          event.project && [t('audit.project'), event.project],
          event.request_id && [t('audit.request'), <CopyValue text={event.request_id} />],
        ]}
      />
      <h3>{t('audit.changed')}</h3>
      <Changes before={event.before} after={event.after} />
    </Dialog>
  );
}

// A day of the form's is the reader's, the API's is a moment.
const moment = (day, add) =>
  day ? Math.floor(new Date(`${day}T00:00`).getTime() / 1000) + add : null;

function pathOf(query) {
  const p = new URLSearchParams({ limit: '50' });
  for (const name of ['kind', 'target', 'actor']) if (query.get(name)) p.set(name, query.get(name));
  const from = moment(query.get('from'), 0);
  const to = moment(query.get('to'), DAY);
  if (from !== null) p.set('start_time', String(from));
  if (to !== null) p.set('end_time', String(to));
  return `/api/v1/audit?${p}`;
}

function Filters({ query, keys }) {
  const [target, setTarget] = useState(query.get('target') ?? '');
  const rested = useDebounced(target.trim());
  useEffect(() => setQuery({ target: rested }), [rested]);
  const set = (name) => (value) => setQuery({ [name]: value });
  const any = FILTERS.some((name) => query.get(name));
  const clear = () => {
    setTarget('');
    setQuery(Object.fromEntries(FILTERS.map((name) => [name, null])));
  };
  return (
    <div class="filters">
      <Select
        label={t('audit.kind')}
        value={query.get('kind')}
        onChange={set('kind')}
        empty={t('ui.all')}
        options={KINDS.map((value) => ({ value, label: kindName(value) }))}
      />
      <Select
        label={t('audit.actor')}
        value={query.get('actor')}
        onChange={set('actor')}
        empty={t('ui.all')}
        options={keys.map((key) => ({ value: key.id, label: key.name || key.id }))}
      />
      <TextInput label={t('audit.target')} type="search" value={target} onChange={setTarget} />
      <TextInput
        label={t('audit.from')}
        type="date"
        value={query.get('from')}
        onChange={set('from')}
      />
      <TextInput label={t('audit.to')} type="date" value={query.get('to')} onChange={set('to')} />
      {any && (
        <Button kind="quiet" icon="close" onClick={clear}>
          {t('audit.clear')}
        </Button>
      )}
    </div>
  );
}

export default function Audit() {
  const { query } = useRoute();
  const { rows, error, busy, more, next, reload } = usePaged(pathOf(query));
  const keys = useApi(whole('/api/v1/keys')).data ?? [];
  const members = useApi(whole('/api/v1/members')).data ?? [];
  const names = Object.fromEntries(
    [...keys, ...members].map((one) => [one.id, one.name || one.id]),
  );
  const [open, setOpen] = useState(null);
  const filtered = FILTERS.some((name) => query.get(name));
  const columns = [
    { key: 'what', title: t('audit.what'), render: inWords },
    { key: 'target', title: t('audit.on'), render: (e) => <code>{e.target}</code> },
    { key: 'who', title: t('audit.who'), render: (e) => whoOf(e, names) },
    can('operator') && {
      key: 'project',
      title: t('audit.project'),
      render: (e) => e.project ?? '–',
    },
    {
      key: 'at',
      title: t('audit.when'),
      class: 'cell-tight figures',
      render: (e) => dateTime(e.at / 1000),
    },
  ].filter(Boolean);
  return (
    <Page title={t('audit.title')} text={t('audit.text')}>
      <Filters query={query} keys={keys} />
      <ErrorNote error={error} retry={reload} />
      {!error && (
        <Section flush>
          <Table
            label={t('audit.title')}
            columns={columns}
            rows={rows}
            onRow={setOpen}
            more={more && { onMore: next, busy }}
            empty={
              <Empty
                icon="audit"
                title={t(filtered ? 'audit.none' : 'audit.empty')}
                text={filtered && t('audit.none_text')}
              />
            }
          />
        </Section>
      )}
      {open && <Details event={open} names={names} onClose={() => setOpen(null)} />}
    </Page>
  );
}
