// Projects: for an operator all of them, for an admin the own one, of which a few things are its.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAsked, usePaged } from '../../lib/hooks.js';
import { bytes, date, getCurrency, money, number, t } from '../../lib/i18n.js';
import { can, loadSession, useMe } from '../../lib/session.js';
import {
  Button,
  Checkbox,
  confirmDelete,
  Dialog,
  Empty,
  ErrorNote,
  Form,
  menuColumn,
  NumberInput,
  Section,
  Table,
  TextInput,
  toast,
} from '../../ui/index.js';
import { changes, useForm } from './form.js';

const GIB = 2 ** 30;
const LIMITS = ['rpm', 'tpm', 'concurrency', 'queue'];

function fieldsOf(p) {
  return {
    id: p?.id ?? '',
    name: p?.name ?? '',
    weight: p?.weight ?? 1,
    log_prompts: p?.log_prompts ?? false,
    rpm: p?.limits?.rpm ?? null,
    tpm: p?.limits?.tpm ?? null,
    concurrency: p?.limits?.concurrency ?? null,
    queue: p?.limits?.queue ?? null,
    storage:
      p?.limits?.storage_bytes === null || p?.limits?.storage_bytes === undefined
        ? null
        : p.limits.storage_bytes / GIB,
    day: p?.budget?.day ?? '',
    month: p?.budget?.month ?? '',
  };
}

const sum = (text) => (String(text).trim() === '' ? null : String(text).trim());

// As the API has it; null where there is nothing at all.
function limitsOf(f) {
  const limits = Object.fromEntries(LIMITS.map((name) => [name, f[name]]));
  limits.storage_bytes = f.storage === null ? null : Math.round(f.storage * GIB);
  return Object.values(limits).every((v) => v === null) ? null : limits;
}

function budgetOf(f, before) {
  const budget = { day: sum(f.day), month: sum(f.month) };
  if (budget.day === null && budget.month === null) return null;
  return before?.budget?.warn ? { ...budget, warn: before.budget.warn } : budget;
}

const whole = (limits) =>
  limits
    ? { rpm: null, tpm: null, concurrency: null, queue: null, storage_bytes: null, ...limits }
    : null;

function check(f) {
  return f.name.trim() === '' ? { name: t('settings.need_name') } : {};
}

async function save(f, project) {
  const operator = can('operator');
  const after = { name: f.name.trim(), log_prompts: f.log_prompts };
  if (operator)
    Object.assign(after, {
      weight: f.weight ?? 1,
      limits: limitsOf(f),
      budget: budgetOf(f, project),
    });
  if (!project) {
    const made = Object.fromEntries(
      Object.entries(after).filter(([name, v]) => v !== null && name !== 'log_prompts'),
    );
    const { id } = await api.post('/api/v1/projects', {
      ...made,
      ...(f.id.trim() ? { id: f.id.trim() } : {}),
    });
    if (f.log_prompts)
      await api.patch(`/api/v1/projects/${encodeURIComponent(id)}`, { log_prompts: true });
    return;
  }
  const before = {
    ...project,
    limits: whole(project.limits),
    log_prompts: project.log_prompts ?? false,
  };
  const patch = changes(before, after);
  if (Object.keys(patch).length > 0)
    await api.patch(`/api/v1/projects/${encodeURIComponent(project.id)}`, patch);
}

function Limits({ field }) {
  return (
    <>
      <fieldset class="stack">
        <legend class="strong">{t('settings.limits')}</legend>
        <p class="muted small">{t('settings.limits_hint')}</p>
        <div class="form-row">
          {LIMITS.map((name) => (
            <NumberInput key={name} label={t(`settings.${name}`)} min={0} {...field(name)} />
          ))}
          <NumberInput label={t('settings.storage')} unit="GiB" min={0} {...field('storage')} />
          <NumberInput
            label={t('settings.weight')}
            hint={t('settings.weight_hint')}
            min={0}
            {...field('weight')}
          />
        </div>
      </fieldset>
      <fieldset class="stack">
        <legend class="strong">{t('settings.budget')}</legend>
        <p class="muted small">{t('settings.budget_hint')}</p>
        <div class="form-row">
          <TextInput
            label={`${t('settings.day')} (${getCurrency()})`}
            inputmode="decimal"
            {...field('day')}
          />
          <TextInput
            label={`${t('settings.month')} (${getCurrency()})`}
            inputmode="decimal"
            {...field('month')}
          />
        </div>
      </fieldset>
    </>
  );
}

function Fields({ field, isNew }) {
  return (
    <>
      <div class="form-row">
        <TextInput label={t('settings.name')} maxlength={128} {...field('name')} />
        {isNew && (
          <TextInput
            label={t('settings.id')}
            optional
            hint={t('settings.id_hint')}
            {...field('id')}
          />
        )}
      </div>
      {can('operator') && <Limits field={field} />}
      <Checkbox
        label={t('settings.log_prompts')}
        hint={t('settings.log_prompts_hint')}
        {...field('log_prompts')}
      />
    </>
  );
}

function ProjectDialog({ project, onClose, onDone }) {
  const { form, field, submit, busy, error } = useForm(
    () => fieldsOf(project),
    check,
    async (f) => {
      await save(f, project);
      toast.ok(t(project ? 'ui.saved' : 'settings.project_made'));
      onDone();
    },
  );
  return (
    <Dialog
      wide
      title={
        project ? t('settings.edit_project', { name: project.name }) : t('settings.new_project')
      }
      onClose={onClose}>
      <div ref={form}>
        <Form
          onSubmit={submit}
          actions={
            <>
              <Button onClick={onClose}>{t('ui.cancel')}</Button>
              <Button type="submit" kind="primary" busy={busy}>
                {t(project ? 'ui.save' : 'ui.create')}
              </Button>
            </>
          }>
          <Fields field={field} isNew={!project} />
          <ErrorNote error={error} />
        </Form>
      </div>
    </Dialog>
  );
}

// Of an admin.
export function OwnProject() {
  const { project } = useMe();
  const { form, field, submit, busy, error } = useForm(
    () => fieldsOf(project),
    check,
    async (f) => {
      await save(f, project);
      toast.ok(t('ui.saved'));
      loadSession();
    },
  );
  return (
    <Section title={t('settings.project')}>
      <div ref={form}>
        <Form
          class="settings-form"
          onSubmit={submit}
          actions={
            <Button type="submit" kind="primary" busy={busy}>
              {t('ui.save')}
            </Button>
          }>
          <Fields field={field} isNew={false} />
          <ErrorNote error={error} />
        </Form>
      </div>
    </Section>
  );
}

function budgetText({ budget }) {
  const parts = [
    budget?.day && `${t('settings.day')} ${money(budget.day)}`,
    budget?.month && `${t('settings.month')} ${money(budget.month)}`,
  ];
  return parts.filter(Boolean).join(' · ') || <span class="muted">{t('settings.none')}</span>;
}

function limitText({ limits }) {
  const parts = LIMITS.filter(
    (name) => limits?.[name] !== null && limits?.[name] !== undefined,
  ).map((name) => `${t(`settings.${name}`)} ${number(limits[name], { compact: true })}`);
  if (limits?.storage_bytes) parts.push(bytes(limits.storage_bytes));
  return parts.join(' · ') || <span class="muted">{t('settings.none')}</span>;
}

export function Projects() {
  const { rows, error, busy, more, next, reload } = usePaged('/api/v1/projects?limit=100');
  const [form, setForm] = useState(null);
  useAsked('new', () => setForm({}));
  useAsked('open', (id) =>
    api
      .get(`/api/v1/projects/${encodeURIComponent(id)}`)
      .then(setForm)
      .catch(toast.error),
  );
  const done = () => {
    setForm(null);
    reload();
    loadSession(); // it may be the own one
  };
  const remove = async (project) => {
    const action = () => api.del(`/api/v1/projects/${encodeURIComponent(project.id)}?cascade=true`);
    if (
      !(await confirmDelete({
        what: project.id,
        typed: true,
        text: t('settings.project_delete'),
        action,
      }))
    )
      return;
    toast.ok(t('settings.project_gone'));
    reload();
  };
  const columns = [
    { key: 'name', title: t('settings.name'), sort: (p) => p.name },
    { key: 'id', title: t('settings.id'), render: (p) => <code>{p.id}</code> },
    { key: 'limits', title: t('settings.limits'), render: limitText },
    { key: 'budget', title: t('settings.budget'), render: budgetText },
    {
      key: 'created',
      class: 'cell-word',
      title: t('settings.created'),
      sort: (p) => p.created,
      render: (p) => date(p.created),
    },
    menuColumn(
      (p) => `${t('ui.more')}: ${p.name}`,
      (p) => [
        { label: t('ui.edit'), icon: 'edit', onClick: () => setForm(p) },
        { label: t('ui.delete'), icon: 'trash', danger: true, onClick: () => remove(p) },
      ],
    ),
  ];
  return (
    <Section
      title={t('settings.tab_projects')}
      text={t('settings.projects_text')}
      flush
      actions={
        <Button kind="primary" icon="plus" onClick={() => setForm({})}>
          {t('settings.new_project')}
        </Button>
      }>
      <ErrorNote error={error} retry={reload} />
      {!error && (
        <Table
          label={t('settings.tab_projects')}
          columns={columns}
          rows={rows}
          onRow={setForm}
          sort={{ key: 'name' }}
          more={more && { onMore: next, busy }}
          empty={<Empty icon="layers" title={t('settings.none')} />}
        />
      )}
      {form && (
        <ProjectDialog
          project={form.id ? form : null}
          onClose={() => setForm(null)}
          onDone={done}
        />
      )}
    </Section>
  );
}
