// A new repository, in one's own project; operators: in any.
import { useState } from 'preact/hooks';
import { whole } from '../../lib/all.js';
import { useAction, useApi } from '../../lib/hooks.js';
import { t } from '../../lib/i18n.js';
import { navigate } from '../../lib/router.js';
import { can, useMe } from '../../lib/session.js';
import {
  Button,
  Checkbox,
  Choice,
  Dialog,
  ErrorNote,
  Form,
  Select,
  TextInput,
} from '../../ui/index.js';
import { createRepo } from './hub.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/;

export function NewDialog({ kind: first, onClose }) {
  const me = useMe();
  const projects = useApi(can('operator') ? whole('/api/v1/projects') : null);
  const [kind, setKind] = useState(first);
  const [org, setOrg] = useState(me.project.id);
  const [name, setName] = useState('');
  const [isPrivate, setPrivate] = useState(true); // others see it when somebody says so
  const [error, setError] = useState(null);
  const [make, busy] = useAction(async () => {
    setError(null);
    try {
      await createRepo(kind, org, name, isPrivate);
      navigate(`/models/${kind === 'models' ? 'hub' : 'datasets'}/${org}/${name}?tab=files`);
    } catch (e) {
      setError(e);
    }
  });
  const orgs = projects.data?.map((p) => ({ value: p.id, label: p.id }));
  return (
    <Dialog title={t('models.new.title')} onClose={onClose}>
      <Form
        onSubmit={() => NAME.test(name) && make()}
        actions={
          <>
            <Button onClick={onClose}>{t('models.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy} disabled={!NAME.test(name)}>
              {t('models.new.make')}
            </Button>
          </>
        }>
        <Choice
          label={t('models.new.kind')}
          value={kind}
          onChange={setKind}
          options={['models', 'datasets'].map((v) => ({
            value: v,
            label: t(`models.new.kind.${v}`),
          }))}
        />
        {orgs && orgs.length > 1 && (
          <Select label={t('models.new.org')} value={org} onChange={setOrg} options={orgs} />
        )}
        <TextInput
          label={t('models.new.name')}
          hint={t('models.new.name.hint')}
          value={name}
          onChange={setName}
          autofocus
          maxLength={96}
          error={name !== '' && !NAME.test(name) ? t('models.new.name.hint') : undefined}
        />
        <Checkbox
          label={t('models.new.private')}
          hint={t('models.new.private.hint')}
          value={isPrivate}
          onChange={setPrivate}
        />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}
