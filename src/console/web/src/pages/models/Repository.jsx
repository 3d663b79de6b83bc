// A repository: its card, its files at a revision, its revisions, and what can be done with it.
import { useCallback, useMemo, useState } from 'preact/hooks';
import { useApi } from '../../lib/hooks.js';
import { bytes, number, t } from '../../lib/i18n.js';
import { navigate, setQuery, useRoute } from '../../lib/router.js';
import { can, useMe } from '../../lib/session.js';
import {
  Badge,
  Button,
  confirmDelete,
  Empty,
  ErrorNote,
  Facts,
  Loading,
  Menu,
  Page,
  Section,
  Select,
  TabPanel,
  Tabs,
  Time,
  toast,
} from '../../ui/index.js';
import { Card } from './Card.jsx';
import { Files } from './Files.jsx';
import { deleteRepo, infoOf, refsOf, setPrivate } from './hub.js';
import { Revisions } from './Revisions.jsx';
import { ServeDialog } from './ServeDialog.jsx';
import { UploadDialog } from './UploadDialog.jsx';
import { Use } from './Use.jsx';
import { formatsOf, inSeconds, licenceOf, paramsOf, plainTags } from './words.js';

const HASH = /^[0-9a-f]{40}$/;

function About({ info }) {
  const said = info.inspected ?? {};
  const context = said.shape?.context_length;
  const tags = plainTags(info.tags);
  const types = Object.keys(said.types ?? {}).filter(
    (x) => said.types[x].parameters > said.parameters / 100,
  );
  return (
    <Section title={t('models.facts')}>
      <Facts
        rows={[
          said.parameters && [t('models.fact.params'), paramsOf(said.parameters)],
          said.architecture && [t('models.fact.arch'), said.architecture],
          [
            t('models.fact.format'),
            [formatsOf(info.tags), types.join(', ')].filter(Boolean).join(' · ') || '–',
          ],
          context && [t('models.fact.context'), t('models.context.tokens', { n: number(context) })],
          said.shape?.layers && [t('models.fact.layers'), number(said.shape.layers)],
          said.chat_template !== undefined && [
            t('models.fact.template'),
            t(said.chat_template ? 'models.fact.yes' : 'models.fact.no'),
          ],
          [t('models.fact.licence'), licenceOf(info) ?? '–'],
          [t('models.fact.size'), bytes(info.usedStorage)],
          [
            t('models.fact.downloads'),
            t('models.fact.downloads.value', {
              month: number(info.downloads),
              all: number(info.downloadsAllTime),
            }),
          ],
          [t('models.fact.changed'), <Time at={inSeconds(info.lastModified)} />],
          [t('models.fact.made'), <Time at={inSeconds(info.createdAt)} />],
          tags.length > 0 && [
            t('models.fact.tags'),
            <span class="md-tags">
              {tags.map((x) => (
                <Badge key={x}>{x}</Badge>
              ))}
            </span>,
          ],
        ]}
      />
    </Section>
  );
}

function Missing({ error, kind }) {
  if (error.status !== 404) return <ErrorNote error={error} />;
  return (
    <Empty
      icon="box"
      title={t('models.missing.title')}
      text={t('models.missing.text')}
      action={<Button href={`/models?tab=${kind}`}>{t('models.missing.back')}</Button>}
    />
  );
}

// Branches and tags to choose from, and the commit that one looks at if it has no name.
function revisionsOf(refs, rev) {
  const list = [
    ...(refs?.branches ?? []).map((r) => ({ value: r.name, label: r.name })),
    ...(refs?.tags ?? []).map((r) => ({ value: r.name, label: r.name })),
  ];
  if (!list.some((x) => x.value === rev))
    list.unshift({
      value: rev,
      label: HASH.test(rev) ? t('models.revision.commit', { id: rev.slice(0, 7) }) : rev,
    });
  return list;
}

function useRepository(kind, repo, rev) {
  const ask = useCallback((signal) => infoOf(kind, repo, rev, { signal }), [kind, repo, rev]);
  const askRefs = useCallback((signal) => refsOf(kind, repo, { signal }), [kind, repo]);
  const info = useApi(ask);
  const refs = useApi(askRefs);
  return {
    info,
    refs,
    reload: () => {
      info.reload();
      refs.reload();
    },
  };
}

export function Repository({ kind, repo }) {
  const { query } = useRoute();
  const me = useMe();
  const rev = query.get('rev') ?? 'main';
  const { info, refs, reload } = useRepository(kind, repo, rev);
  const [dialog, setDialog] = useState(null);
  const [files, setFiles] = useState([]); // that were dropped on the page
  const org = repo.split('/')[0];
  const writes = can('developer', 'hub.write') && (can('operator') || me.project.id === org);
  const branch = (refs.data?.branches ?? []).some((b) => b.name === rev);
  const revisions = useMemo(() => revisionsOf(refs.data, rev), [refs.data, rev]);
  const ggufs = (info.data?.siblings ?? [])
    .map((s) => s.rfilename)
    .filter((f) => f.endsWith('.gguf') && !/-0000[2-9]-of-/.test(f));
  const isModel = kind === 'models' && Boolean(info.data?.inspected?.source);
  const tabs = ['card', 'files', 'revisions'].map((id) => ({ id, title: t(`models.tab.${id}`) }));
  const tab =
    query.get('tab') ??
    (info.data && !info.data.siblings.some((s) => s.rfilename === 'README.md') ? 'files' : 'card');
  const back = { href: `/models?tab=${kind}`, title: t(`models.tab.${kind}`) };
  if (info.error && !info.data)
    return (
      <Page title={repo} back={back}>
        <Missing error={info.error} kind={kind} />
      </Page>
    );
  if (!info.data)
    return (
      <Page title={repo} back={back}>
        <Loading rows={6} />
      </Page>
    );

  const upload = (some = []) => {
    setFiles(some);
    setDialog('upload');
  };
  const privacy = async () => {
    try {
      await setPrivate(kind, repo, !info.data.private);
      toast.ok(
        t('models.make.done', { what: t(info.data.private ? 'models.public' : 'models.private') }),
      );
      reload();
    } catch (e) {
      toast.error(e);
    }
  };
  const remove = async () => {
    const done = await confirmDelete({
      what: repo,
      typed: true,
      text: t('models.delete.text'),
      verb: t('models.delete'),
      action: () => deleteRepo(kind, repo),
    });
    if (!done) return;
    toast.ok(t('models.delete.done', { name: repo }));
    navigate(`/models?tab=${kind}`);
  };
  const props = {
    kind,
    repo,
    rev,
    info: info.data,
    refs: refs.data,
    writes,
    branch,
    reload,
    upload,
  };
  return (
    <Page
      title={repo}
      back={back}
      tools={<Badge>{t(info.data.private ? 'models.private' : 'models.public')}</Badge>}
      actions={
        <>
          <Select
            hideLabel
            label={t('models.revision')}
            value={rev}
            options={revisions}
            onChange={(v) => setQuery({ rev: v === 'main' ? null : v, path: null })}
          />
          {writes && branch && (
            <Button icon="upload" onClick={() => upload()}>
              {t('models.upload')}
            </Button>
          )}
          {isModel && can('admin') && (
            <Button kind="primary" icon="rocket" onClick={() => setDialog('serve')}>
              {t('models.serve')}
            </Button>
          )}
          {writes && (
            <Menu
              label={t('models.settings')}
              small={false}
              items={[
                {
                  label: t(info.data.private ? 'models.make.public' : 'models.make.private'),
                  icon: 'eye',
                  onClick: privacy,
                },
                null,
                { label: t('models.delete'), icon: 'trash', danger: true, onClick: remove },
              ]}
            />
          )}
        </>
      }>
      <div class="md-repo">
        <div class="md-repo-main">
          <Tabs
            tabs={tabs}
            value={tab}
            onChange={(id) => setQuery({ tab: id, path: null })}
            label={repo}
          />
          <TabPanel id={tab}>
            {tab === 'card' && <Card {...props} />}
            {tab === 'files' && <Files {...props} />}
            {tab === 'revisions' && <Revisions {...props} />}
          </TabPanel>
        </div>
        <div class="md-repo-side">
          <About info={info.data} />
          <Use kind={kind} repo={repo} rev={rev} />
        </div>
      </div>
      {dialog === 'upload' && (
        <UploadDialog
          kind={kind}
          repo={repo}
          branch={rev}
          folder={query.get('path') ?? ''}
          first={files}
          onDone={reload}
          onClose={() => setDialog(null)}
        />
      )}
      {dialog === 'serve' && (
        <ServeDialog
          model={repo}
          name={repo.split('/')[1].toLowerCase()}
          revisions={revisions}
          revision={rev}
          files={ggufs}
          onClose={() => setDialog(null)}
        />
      )}
    </Page>
  );
}
