// An endpoint made or changed: what answers, how many replicas, how much a call may read.
import { useMemo, useState } from 'preact/hooks';
import { whole } from '../../lib/all.js';
import { api } from '../../lib/api.js';
import { useAction, useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { can, useMe } from '../../lib/session.js';
import {
  Button,
  Checkbox,
  Choice,
  Dialog,
  ErrorNote,
  Form,
  NumberInput,
  Select,
  TextInput,
  toast,
} from '../../ui/index.js';
import { toSend } from './live.js';
import { pathOf } from './rights.js';
import {
  firstReplicas,
  isWhole,
  ReplicaFields,
  replicasBody,
  replicasReady,
} from './ScaleDialog.jsx';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,95}$/;
const URL_FORM = /^https?:\/\/[^ ]+$/;
const TARGETS_MAX = 16;

const newTarget = (weight) => ({ kind: 'model', model: '', adapter: '', url: '', key: '', weight });

function fromTarget(x) {
  return {
    kind: x.url ? 'url' : x.script ? 'script' : 'model',
    model: x.model ?? '',
    adapter: x.adapter ?? '',
    url: x.url ?? '',
    key: '',
    has_key: x.has_key,
    weight: x.weight,
    in_flight_max: x.in_flight_max ?? null,
    script: x.script,
  };
}

function toTarget(x) {
  if (x.kind === 'script') return { script: x.script, weight: x.weight };
  if (x.kind === 'url')
    return {
      url: x.url.trim(),
      weight: x.weight,
      ...(x.model.trim() ? { model: x.model.trim() } : {}),
      ...(x.key ? { key: x.key } : {}),
      ...(x.in_flight_max ? { in_flight_max: x.in_flight_max } : {}),
    };
  return { model: x.model.trim(), weight: x.weight, ...(x.adapter ? { adapter: x.adapter } : {}) };
}

const targetReady = (x) =>
  x.weight !== null &&
  x.weight >= 0 &&
  (x.kind === 'script' || (x.kind === 'url' ? URL_FORM.test(x.url.trim()) : x.model.trim() !== ''));

function ModelTarget({ x, set, models }) {
  const adapters = models
    .filter((m) => m.adapter_of && m.adapter_of === x.model)
    .map((m) => m.name);
  return (
    <>
      <TextInput
        label={t('endpoints.target.name')}
        hint={t('endpoints.target.name.hint')}
        value={x.model}
        list="endpoints-models"
        onChange={(model) => set({ model, adapter: '' })}
      />
      {(adapters.length > 0 || x.adapter) && (
        <Select
          label={t('endpoints.target.adapter')}
          value={x.adapter}
          onChange={(adapter) => set({ adapter })}
          empty={t('endpoints.target.adapter.none')}
          options={adapters.includes(x.adapter) || !x.adapter ? adapters : [x.adapter, ...adapters]}
        />
      )}
    </>
  );
}

function UrlTarget({ x, set }) {
  const wrong = x.url.trim() !== '' && !URL_FORM.test(x.url.trim());
  return (
    <>
      <TextInput
        type="url"
        label={t('endpoints.target.address')}
        hint={t('endpoints.target.address.hint')}
        value={x.url}
        error={wrong ? t('endpoints.target.address.hint') : undefined}
        onChange={(url) => set({ url })}
      />
      <div class="ep-two">
        <TextInput
          label={t('endpoints.target.there')}
          optional
          value={x.model}
          onChange={(model) => set({ model })}
        />
        <TextInput
          type="password"
          label={t('endpoints.target.key')}
          optional
          value={x.key}
          onChange={(key) => set({ key })}
          hint={t(x.has_key ? 'endpoints.target.key.kept' : 'endpoints.target.key.hint')}
          autocomplete="new-password"
        />
      </div>
      <NumberInput
        label={t('endpoints.target.max')}
        optional
        value={x.in_flight_max}
        min={1}
        step={1}
        onChange={(in_flight_max) => set({ in_flight_max })}
      />
    </>
  );
}

function Target({ x, n, of, set, onRemove, models }) {
  return (
    <fieldset class="ep-target">
      <legend class={of === 1 ? 'hidden' : ''}>{t('endpoints.target', { n })}</legend>
      {can('operator') && x.kind !== 'script' && (
        <Choice
          label={t('endpoints.target.kind')}
          hideLabel
          value={x.kind}
          onChange={(kind) => set({ kind })}
          options={[
            { value: 'model', label: t('endpoints.target.model') },
            { value: 'url', label: t('endpoints.target.url') },
          ]}
        />
      )}
      {x.kind === 'model' && <ModelTarget x={x} set={set} models={models} />}
      {x.kind === 'url' && <UrlTarget x={x} set={set} />}
      {of > 1 && (
        <div class="ep-weight">
          <NumberInput
            label={t('endpoints.target.weight')}
            value={x.weight}
            min={0}
            onChange={(weight) => set({ weight })}
          />
          <Button
            small
            kind="quiet"
            icon="trash"
            label={t('endpoints.target.remove', { n })}
            onClick={onRemove}
          />
        </div>
      )}
    </fieldset>
  );
}

function Targets({ targets, setTargets, models, repos }) {
  const set = (i, some) => setTargets(targets.map((x, k) => (k === i ? { ...x, ...some } : x)));
  return (
    <section class="ep-targets">
      <h3>{t('endpoints.targets')}</h3>
      <datalist id="endpoints-models">
        {models
          .filter((m) => !m.adapter_of)
          .map((m) => (
            <option key={m.id} value={m.name} />
          ))}
        {repos.map((r) => (
          <option key={r.id} value={r.id} />
        ))}
      </datalist>
      {targets.map((x, i) => (
        <Target
          key={i}
          x={x}
          n={i + 1}
          of={targets.length}
          models={models}
          set={(some) => set(i, some)}
          onRemove={() => setTargets(targets.filter((_, k) => k !== i))}
        />
      ))}
      {targets.length < TARGETS_MAX && (
        <div>
          <Button
            small
            icon="plus"
            onClick={() => setTargets([...targets, newTarget(targets.length === 1 ? 0 : 1)])}>
            {t('endpoints.target.add')}
          </Button>
          {targets.length === 1 && <p class="field-hint muted">{t('endpoints.target.add.hint')}</p>}
        </div>
      )}
    </section>
  );
}

export function EditDialog({ endpoint, onDone, onClose }) {
  const me = useMe();
  const registered = useApi(whole('/api/v1/models'));
  const hub = useApi('/api/models?limit=100');
  const models = useMemo(() => registered.data ?? [], [registered.data]);
  const repos = (hub.data ?? []).filter((r) => r.inspected?.source);
  const [name, setName] = useState('');
  const [common, setCommon] = useState(can('operator'));
  const [targets, setTargets] = useState(() => endpoint?.targets.map(fromTarget) ?? [newTarget(1)]);
  const [scale, setScale] = useState(() => firstReplicas(endpoint));
  const [context, setContext] = useState(endpoint?.n_ctx ?? null);
  const [error, setError] = useState(null);
  const local = targets.some((x) => x.kind !== 'url');
  const ready =
    (endpoint || NAME.test(name)) &&
    targets.every(targetReady) &&
    replicasReady(scale) &&
    (context === null || isWhole(context, 1, 16777216));
  const [save, busy] = useAction(async () => {
    setError(null);
    const body = { targets: toSend(targets.map(toTarget)), ...replicasBody(scale), n_ctx: context };
    try {
      const made = endpoint
        ? await api.patch(pathOf(endpoint), body)
        : await api.post('/api/v1/endpoints', {
            name,
            project: common ? null : me.project.id,
            ...body,
          });
      toast.ok(t(endpoint ? 'endpoints.saved' : 'endpoints.made', { name: made.name }));
      onClose();
      onDone(made);
    } catch (e) {
      setError(e);
    }
  });
  const title = endpoint
    ? t('endpoints.edit.title', { name: endpoint.name })
    : t('endpoints.create.title');
  return (
    <Dialog title={title} wide onClose={onClose}>
      <Form
        onSubmit={() => ready && save()}
        actions={
          <>
            <Button onClick={onClose}>{t('endpoints.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy} disabled={!ready}>
              {t(endpoint ? 'endpoints.save' : 'endpoints.make')}
            </Button>
          </>
        }>
        {!endpoint && (
          <TextInput
            label={t('endpoints.name')}
            hint={t('endpoints.name.hint')}
            value={name}
            onChange={setName}
            autofocus
            error={name !== '' && !NAME.test(name) ? t('endpoints.name.wrong') : undefined}
          />
        )}
        {!endpoint && can('operator') && (
          <Checkbox
            label={t('endpoints.for.all')}
            hint={t('endpoints.for.all.hint')}
            value={common}
            onChange={setCommon}
          />
        )}
        <Targets targets={targets} setTargets={setTargets} models={models} repos={repos} />
        {local && (
          <section class="ep-targets">
            <h3>{t('endpoints.replicas')}</h3>
            <ReplicaFields value={scale} set={(some) => setScale({ ...scale, ...some })} />
            <NumberInput
              label={t('endpoints.context')}
              hint={t('endpoints.context.hint')}
              optional
              value={context}
              min={1}
              step={1}
              onChange={setContext}
            />
          </section>
        )}
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}
