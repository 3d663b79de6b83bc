// What is in the cloud, for the palette: fetched when something is first typed there, each kind by
// the list that its own page asks for, and only what the role may see. A list that does not answer
// is left out: its page says why.
import { everyPage } from '../lib/all.js';
import { api } from '../lib/api.js';
import { t } from '../lib/i18n.js';
import { navigate } from '../lib/router.js';
import { can } from '../lib/session.js';
import { listRepos } from '../pages/models/hub.js';
import { listBuckets } from '../pages/storage/s3.js';

const JOBS_MAX = 100; // the latest

const id = encodeURIComponent;
const latest = async (path, signal) =>
  (await api.get(`${path}?limit=${JOBS_MAX}`, { signal })).data;
// "default/My-Nano@82915567e8f9" is a revision of the hub's.
const ofHub = (name) => /^([\w.-]+\/[\w.-]+)@/.exec(name)?.[1];

// kind: its name among the texts; ask: what there is; name, path: of one; more: what else finds it;
// beside: what tells it from another of its name.
const KINDS = [
  {
    kind: 'model',
    icon: 'models',
    ask: (signal) => everyPage('/api/v1/models', signal),
    path: (m) => (ofHub(m.name) ? `/models/hub/${ofHub(m.name)}` : '/models'),
    more: (m) => m.arch ?? '',
  },
  {
    kind: 'repo',
    icon: 'models',
    may: () => can('hub.read'),
    ask: (signal) => listRepos('models', '', { signal }).then((found) => found.list),
    name: (r) => r.id,
    path: (r) => `/models/hub/${r.id}`,
  },
  {
    kind: 'dataset',
    icon: 'file',
    may: () => can('hub.read'),
    ask: (signal) => listRepos('datasets', '', { signal }).then((found) => found.list),
    name: (r) => r.id,
    path: (r) => `/models/datasets/${r.id}`,
  },
  {
    kind: 'endpoint',
    icon: 'endpoints',
    ask: (signal) => everyPage('/api/v1/endpoints', signal),
    path: (e) => `/endpoints/${id(e.id)}`,
    more: (e) => e.id,
  },
  {
    kind: 'key',
    icon: 'keys',
    ask: (signal) => everyPage('/api/v1/keys', signal),
    path: (k) => `/keys?open=${id(k.id)}`,
    more: (k) => `${k.id} ${k.prefix}`,
    beside: (k) => `${k.prefix}…`, // several may have one name
  },
  {
    kind: 'bucket',
    icon: 'storage',
    may: () => can('objects.read'),
    ask: (signal) => listBuckets(signal),
    path: (b) => `/storage/${b.name}`,
  },
  {
    kind: 'job',
    icon: 'tune',
    may: () => can('fine_tuning'),
    ask: (signal) => latest('/v1/fine_tuning/jobs', signal),
    name: (j) => j.user_provided_suffix ?? j.id,
    path: (j) => `/tuning/${j.id}`,
    more: (j) => `${j.id} ${j.fine_tuned_model ?? ''} ${j.model}`,
  },
  {
    kind: 'batch',
    icon: 'layers',
    may: () => can('batches'),
    ask: (signal) => latest('/v1/batches', signal),
    name: (b) => b.id,
    path: () => '/requests?tab=batches',
  },
  {
    kind: 'project',
    icon: 'folder',
    may: () => can('operator'),
    ask: (signal) => everyPage('/api/v1/projects', signal),
    path: (p) => `/settings/projects?open=${id(p.id)}`,
    more: (p) => p.id,
  },
  {
    kind: 'member',
    icon: 'user',
    ask: (signal) => everyPage('/api/v1/members', signal),
    path: () => '/keys?tab=members',
    more: (m) => m.login ?? '',
  },
];

// -> rows for the palette. onSome(rows): as the kinds answer, each time all that is there.
export async function things(onSome, signal) {
  const rows = [];
  const one = async ({ kind, icon, may, ask, path, ...of }) => {
    if (may && !may()) return;
    const { name = (x) => x.name, more = () => '', beside = () => '' } = of;
    const found = await ask(signal).catch(() => []);
    if (signal.aborted) return;
    rows.push(
      ...found.map((x, i) => ({
        id: `${kind}-${i}`,
        icon,
        title: name(x),
        text: [t(`app.thing_${kind}`), beside(x)].filter(Boolean).join(' · '),
        words: `${t(`app.thing_${kind}`)} ${more(x)}`,
        go: () => navigate(path(x)),
      })),
    );
    onSome([...rows]);
  };
  await Promise.all(KINDS.map(one));
}
