// A model, or a revision of a repository, becomes an endpoint.
import { useMemo, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useAction } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { navigate } from '../../lib/router.js';
import { can, useMe } from '../../lib/session.js';
import {
  Button,
  Checkbox,
  Dialog,
  ErrorNote,
  Form,
  NumberInput,
  Select,
  TextInput,
  toast,
} from '../../ui/index.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,95}$/;

// model: as a target names it; of a repository without @REV, and then revisions: [{value, label}]
// and files, GGUF files of which one is served.
export function ServeDialog({ model, name: first, revisions, revision, files = [], onClose }) {
  const me = useMe();
  const [name, setName] = useState(first);
  const [rev, setRev] = useState(revision);
  const [file, setFile] = useState('');
  const [min, setMin] = useState(0);
  const [max, setMax] = useState(1);
  const [common, setCommon] = useState(can('operator'));
  const [error, setError] = useState(null);
  const target = useMemo(
    () => (revisions ? `${model}@${rev}${file ? `:${file}` : ''}` : model),
    [model, revisions, rev, file],
  );
  const ready = NAME.test(name) && min >= 0 && max >= 1 && max >= min;
  const [make, busy] = useAction(async () => {
    setError(null);
    try {
      const made = await api.post('/api/v1/endpoints', {
        name,
        project: common ? null : me.project.id,
        targets: [{ model: target }],
        replicas: { min, max },
      });
      toast.ok(t('models.serve.done', { name }));
      navigate(`/endpoints/${encodeURIComponent(made.id)}`);
    } catch (e) {
      setError(e);
    }
  });
  return (
    <Dialog title={t('models.serve.title', { name: model })} onClose={onClose}>
      <Form
        onSubmit={() => ready && make()}
        actions={
          <>
            <Button onClick={onClose}>{t('models.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy} disabled={!ready}>
              {t('models.serve.go')}
            </Button>
          </>
        }>
        <TextInput
          label={t('models.serve.name')}
          hint={t('models.serve.name.hint')}
          value={name}
          onChange={setName}
          autofocus
        />
        {revisions && (
          <Select
            label={t('models.serve.revision')}
            hint={t('models.serve.revision.hint')}
            value={rev}
            onChange={setRev}
            options={revisions}
          />
        )}
        {files.length > 1 && (
          <Select
            label={t('models.serve.file')}
            value={file}
            onChange={setFile}
            options={files}
            empty={t('models.serve.file.auto')}
          />
        )}
        <div class="md-two">
          <NumberInput
            label={t('models.serve.min')}
            hint={t('models.serve.min.hint')}
            value={min}
            min={0}
            max={64}
            onChange={(n) => setMin(n ?? 0)}
          />
          <NumberInput
            label={t('models.serve.max')}
            value={max}
            min={1}
            max={64}
            onChange={(n) => setMax(n ?? 1)}
          />
        </div>
        {can('operator') && (
          <Checkbox
            label={t('models.serve.common')}
            hint={t('models.serve.common.hint')}
            value={common}
            onChange={setCommon}
          />
        )}
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}
