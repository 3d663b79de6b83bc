// How many replicas, and when the last goes to sleep.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAction } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { Button, Dialog, ErrorNote, Form, NumberInput, toast } from '../../ui/index.js';
import { pathOf } from './rights.js';

export const isWhole = (n, low, high) => Number.isInteger(n) && n >= low && n <= high;

export function ReplicaFields({ value, set }) {
  const wrong = value.max !== null && value.min !== null && value.max < value.min;
  return (
    <>
      <div class="ep-two">
        <NumberInput
          label={t('endpoints.scale.min')}
          hint={t('endpoints.scale.min.hint')}
          value={value.min}
          min={0}
          max={64}
          step={1}
          onChange={(min) => set({ min })}
        />
        <NumberInput
          label={t('endpoints.scale.max')}
          hint={t('endpoints.scale.max.hint')}
          value={value.max}
          min={1}
          max={64}
          step={1}
          onChange={(max) => set({ max })}
          error={wrong ? t('endpoints.scale.order') : undefined}
        />
      </div>
      <div class="ep-two">
        <NumberInput
          label={t('endpoints.scale.load')}
          hint={t('endpoints.scale.load.hint')}
          value={value.load}
          min={0.01}
          onChange={(load) => set({ load })}
        />
        <NumberInput
          label={t('endpoints.scale.idle')}
          hint={t('endpoints.scale.idle.hint')}
          value={value.idle}
          min={0}
          unit={t('endpoints.seconds')}
          disabled={value.min > 0}
          onChange={(idle) => set({ idle })}
        />
      </div>
    </>
  );
}

export const firstReplicas = (e) => ({
  min: e?.replicas.min ?? 0,
  max: e?.replicas.max ?? 1,
  load: e?.target_load ?? 8,
  idle: e?.idle_s ?? 300,
});

export const replicasReady = (v) =>
  isWhole(v.min, 0, 64) &&
  isWhole(v.max, 1, 64) &&
  v.max >= v.min &&
  v.load > 0 &&
  v.idle !== null &&
  v.idle >= 0;

export const replicasBody = (v) => ({
  replicas: { min: v.min, max: v.max },
  target_load: v.load,
  idle_s: v.idle,
});

export function ScaleDialog({ endpoint, onDone, onClose }) {
  const [value, setValue] = useState(() => firstReplicas(endpoint));
  const [error, setError] = useState(null);
  const ready = replicasReady(value);
  const [save, busy] = useAction(async () => {
    setError(null);
    try {
      await api.patch(pathOf(endpoint), replicasBody(value));
      toast.ok(t('endpoints.scale.done', { name: endpoint.name }));
      onDone();
      onClose();
    } catch (e) {
      setError(e);
    }
  });
  return (
    <Dialog title={t('endpoints.scale.title', { name: endpoint.name })} onClose={onClose}>
      <Form
        onSubmit={() => ready && save()}
        actions={
          <>
            <Button onClick={onClose}>{t('endpoints.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy} disabled={!ready}>
              {t('endpoints.save')}
            </Button>
          </>
        }>
        <ReplicaFields value={value} set={(some) => setValue({ ...value, ...some })} />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}
