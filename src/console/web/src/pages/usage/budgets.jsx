// What may be spent, and how much of it is gone: of projects (the operator's matter) and of keys.
import { useCallback, useState } from 'preact/hooks';
import { everyPage } from '../../lib/all.js';
import { api } from '../../lib/api.js';
import { dayStart, monthStart } from '../../lib/calendar.js';
import { useAction, useApi } from '../../lib/hooks.js';
import { getCurrency, money, t } from '../../lib/i18n.js';
import { can } from '../../lib/session.js';
import { isSum, wordsOf } from '../../lib/typed.js';
import {
  Button,
  Dialog,
  ErrorNote,
  Form,
  Loading,
  Meter,
  Section,
  Select,
  TextInput,
  toast,
} from '../../ui/index.js';

async function spent(group, signal) {
  const now = Math.floor(Date.now() / 1000);
  const ask = async (from) => {
    const { data } = await api.get(
      `/api/v1/usage?group_by=${group}&limit=10000&start_time=${from}&end_time=${now + 60}`,
      { signal },
    );
    return new Map(data.map((r) => [r[group], r.cost_nanos / 1e9]));
  };
  const [day, month] = await Promise.all([ask(dayStart(now)), ask(monthStart(now))]);
  return (id) => ({ day: day.get(id) ?? 0, month: month.get(id) ?? 0 });
}

async function everything(signal) {
  const [projects, keys, ofProject, ofKey] = await Promise.all([
    everyPage('/api/v1/projects', signal),
    everyPage('/api/v1/keys', signal),
    spent('project', signal),
    spent('key', signal),
  ]);
  return {
    keys,
    owners: [
      ...projects.map((p) => ({ ...p, kind: 'project', spent: ofProject(p.id) })),
      ...keys.filter((k) => k.budget).map((k) => ({ ...k, kind: 'key', spent: ofKey(k.id) })),
    ],
  };
}

function Gauge({ name, used, max }) {
  if (!max)
    return (
      <p class="usage-plain">
        <span>{name}</span>
        <span class="muted figures">{t('usage.budgets.no_limit', { used: money(used) })}</span>
      </p>
    );
  return (
    <Meter
      label={name}
      value={used}
      max={Number(max)}
      text={t('usage.budgets.of', { used: money(used), max: money(max) })}
    />
  );
}

// warn: "80, 95" as parts; null: it is none of that.
function partsOf(text) {
  const parts = wordsOf(text).map((w) => Number(w.replace('%', '')) / 100);
  return parts.length <= 8 && parts.every((p) => p > 0 && p < 1) ? parts : null;
}

function Edit({ owner, keys, onClose, done }) {
  const [id, setId] = useState(owner?.id ?? '');
  const of = owner ?? keys.find((k) => k.id === id);
  const [day, setDay] = useState(owner?.budget?.day ?? '');
  const [month, setMonth] = useState(owner?.budget?.month ?? '');
  const [warn, setWarn] = useState(
    (owner?.budget?.warn ?? []).map((p) => Math.round(p * 100)).join(', '),
  );
  const [tried, setTried] = useState(false);
  const [error, setError] = useState(null);
  const bad = (v) => v.trim() !== '' && !isSum(v);
  const parts = partsOf(warn);
  const [save, busy] = useAction(async () => {
    setTried(true);
    if (!of || bad(day) || bad(month) || parts === null) return;
    setError(null);
    const budget =
      day.trim() || month.trim()
        ? { day: day.trim() || null, month: month.trim() || null, warn: parts }
        : null;
    try {
      await api.patch(
        `/api/v1/${owner?.kind === 'project' ? 'projects' : 'keys'}/${encodeURIComponent(of.id)}`,
        { budget },
      );
      toast.ok(t('usage.budgets.saved'));
      done();
      onClose();
    } catch (e) {
      setError(e);
    }
  });
  const fault = (v) => (tried && bad(v) ? t('usage.budgets.bad') : undefined);
  return (
    <Dialog
      title={owner ? t('usage.budgets.dialog', { name: owner.name }) : t('usage.budgets.add_key')}
      onClose={onClose}>
      <Form
        onSubmit={save}
        actions={
          <>
            <Button onClick={onClose}>{t('ui.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy} disabled={!of}>
              {t('ui.save')}
            </Button>
          </>
        }>
        {!owner && (
          <Select
            label={t('usage.budgets.key')}
            value={id}
            onChange={setId}
            empty="–"
            options={keys
              .filter((k) => !k.budget)
              .map((k) => ({ value: k.id, label: `${k.name} (${k.prefix}…)` }))}
          />
        )}
        <TextInput
          label={`${t('usage.budgets.day.label')} (${getCurrency()})`}
          hint={t('usage.budgets.hint')}
          optional
          inputmode="decimal"
          value={day}
          onChange={setDay}
          error={fault(day)}
        />
        <TextInput
          label={`${t('usage.budgets.month.label')} (${getCurrency()})`}
          optional
          inputmode="decimal"
          value={month}
          onChange={setMonth}
          error={fault(month)}
        />
        <TextInput
          label={t('usage.budgets.warn')}
          hint={t('usage.budgets.warn.hint')}
          optional
          value={warn}
          onChange={setWarn}
          error={tried && parts === null ? t('usage.budgets.warn.bad') : undefined}
        />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

export function Budgets() {
  const ask = useCallback((signal) => everything(signal), []);
  const { data, error, reload } = useApi(ask, { poll: 30000 });
  const [editing, setEditing] = useState(null); // { owner }, or {} for a key's
  const mayEdit = (owner) =>
    owner.kind === 'project' ? can('operator', 'manage') : can('admin', 'manage');
  return (
    <Section
      title={t('usage.budgets.title')}
      text={t('usage.budgets.about')}
      actions={
        can('admin', 'manage') && (
          <Button small icon="plus" onClick={() => setEditing({})}>
            {t('usage.budgets.add_key')}
          </Button>
        )
      }>
      <ErrorNote error={error} retry={reload} />
      {!data && !error && <Loading />}
      {data && (
        <div class="usage-budgets">
          {data.owners.map((o) => (
            <article key={`${o.kind} ${o.id}`} class="usage-budget">
              <header class="usage-budget-head">
                <h3>{t(`usage.budgets.of_${o.kind}`, { name: o.name })}</h3>
                {mayEdit(o) && (
                  <Button
                    small
                    kind="quiet"
                    icon="edit"
                    label={t('usage.budgets.edit_of', { name: o.name })}
                    onClick={() => setEditing({ owner: o })}
                  />
                )}
              </header>
              <Gauge name={t('usage.budgets.day')} used={o.spent.day} max={o.budget?.day} />
              <Gauge name={t('usage.budgets.month')} used={o.spent.month} max={o.budget?.month} />
            </article>
          ))}
        </div>
      )}
      {editing && (
        <Edit
          owner={editing.owner}
          keys={data.keys}
          onClose={() => setEditing(null)}
          done={reload}
        />
      )}
    </Section>
  );
}
