// Branches, tags and commits.
import { useCallback, useState } from 'preact/hooks';
import { useAction, useApi } from '../../lib/hooks.js';
import { number, t } from '../../lib/i18n.js';
import { setQuery } from '../../lib/router.js';
import {
  Button,
  confirmDelete,
  Dialog,
  ErrorNote,
  Form,
  Menu,
  Note,
  Section,
  Table,
  TextInput,
  Time,
  toast,
} from '../../ui/index.js';
import { addBranch, addTag, commitsOf, deleteRef } from './hub.js';
import { inSeconds } from './words.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/;

// what: 'tag' or 'branch'
function NameDialog({ kind, repo, what, rev, onDone, onClose }) {
  const [name, setName] = useState('');
  const [error, setError] = useState(null);
  const [make, busy] = useAction(async () => {
    setError(null);
    try {
      await (what === 'tag' ? addTag(kind, repo, rev, name) : addBranch(kind, repo, rev, name));
      toast.ok(t('models.rev.made', { name }));
      onDone();
      onClose();
    } catch (e) {
      setError(e);
    }
  });
  const shown = /^[0-9a-f]{40}$/.test(rev) ? rev.slice(0, 7) : rev;
  return (
    <Dialog title={t(`models.rev.${what}.title`, { rev: shown })} onClose={onClose}>
      <Form
        onSubmit={() => NAME.test(name) && make()}
        actions={
          <>
            <Button onClick={onClose}>{t('models.cancel')}</Button>
            <Button type="submit" kind="primary" busy={busy} disabled={!NAME.test(name)}>
              {t('models.rev.make')}
            </Button>
          </>
        }>
        <TextInput
          label={t('models.rev.name')}
          value={name}
          onChange={setName}
          autofocus
          hint={what === 'tag' ? t('models.rev.tag.hint') : undefined}
        />
        <ErrorNote error={error} />
      </Form>
    </Dialog>
  );
}

const look = (rev) =>
  setQuery({ rev: rev === 'main' ? null : rev, tab: 'files', path: null }, { replace: false });

function Refs({ kind, repo, what, list, writes, reload }) {
  const remove = async (name) => {
    const done = await confirmDelete({
      what: name,
      text: t('models.rev.delete.text'),
      action: () => deleteRef(kind, repo, what, name),
    });
    if (!done) return;
    toast.ok(t('models.rev.deleted', { name }));
    reload();
  };
  const columns = [
    { key: 'name', title: t('models.rev.name') },
    {
      key: 'at',
      title: t('models.rev.commit'),
      render: (r) => <code>{r.targetCommit.slice(0, 7)}</code>,
    },
    {
      key: 'acts',
      title: '',
      align: 'end',
      render: (r) =>
        writes && r.name !== 'main' ? (
          <Button
            small
            kind="quiet"
            icon="trash"
            label={t('models.rev.delete', { name: r.name })}
            onClick={() => remove(r.name)}
          />
        ) : null,
    },
  ];
  return (
    <Table
      columns={columns}
      rows={list}
      rowKey={(r) => r.name}
      onRow={(r) => look(r.name)}
      label={t(what === 'tag' ? 'models.rev.tags' : 'models.rev.branches')}
      empty={<p class="muted md-pad">{t('models.rev.none')}</p>}
    />
  );
}

export function Revisions({ kind, repo, rev, info, refs, writes, reload }) {
  const ask = useCallback(
    (signal) => commitsOf(kind, repo, info.sha, { signal }),
    [kind, repo, info.sha],
  );
  const commits = useApi(ask);
  const [naming, setNaming] = useState(null); // {what, rev}
  const columns = [
    { key: 'title', title: t('models.rev.what'), class: 'md-clip', render: (c) => c.title },
    { key: 'id', title: t('models.rev.commit'), render: (c) => <code>{c.id.slice(0, 7)}</code> },
    { key: 'by', title: t('models.rev.by'), render: (c) => c.authors?.[0]?.user ?? '–' },
    {
      key: 'when',
      title: t('models.files.when'),
      align: 'end',
      render: (c) => <Time at={inSeconds(c.date)} />,
    },
    {
      key: 'acts',
      title: '',
      align: 'end',
      render: (c) => (
        <Menu
          label={`${t('models.settings')}: ${c.id.slice(0, 7)}`}
          items={[
            { label: t('models.rev.show'), icon: 'folder', onClick: () => look(c.id) },
            writes && {
              label: t('models.rev.tag.here'),
              icon: 'plus',
              onClick: () => setNaming({ what: 'tag', rev: c.id }),
            },
          ]}
        />
      ),
    },
  ];
  const add = (what) =>
    writes && (
      <Button small icon="plus" onClick={() => setNaming({ what, rev })}>
        {t(`models.rev.${what}`)}
      </Button>
    );
  const props = { kind, repo, writes, reload };
  return (
    <div class="md-revisions">
      <Section title={t('models.rev.branches')} flush actions={add('branch')}>
        <Refs {...props} what="branch" list={refs?.branches ?? null} />
      </Section>
      <Section title={t('models.rev.tags')} flush actions={add('tag')}>
        <Refs {...props} what="tag" list={refs?.tags ?? null} />
      </Section>
      <Section
        title={t('models.rev.commits', { rev: /^[0-9a-f]{40}$/.test(rev) ? rev.slice(0, 7) : rev })}
        flush>
        {commits.error ? (
          <ErrorNote error={commits.error} retry={commits.reload} />
        ) : (
          <Table
            columns={columns}
            rows={commits.data?.list ?? null}
            onRow={(c) => look(c.id)}
            label={t('models.tab.revisions')}
          />
        )}
        {commits.data?.more && (
          <Note>{t('models.list.more', { n: number(commits.data.list.length) })}</Note>
        )}
      </Section>
      {naming && (
        <NameDialog
          kind={kind}
          repo={repo}
          {...naming}
          onDone={reload}
          onClose={() => setNaming(null)}
        />
      )}
    </div>
  );
}
