// The hub's routes, which are Hugging Face's. kind: 'models' or 'datasets'; repo: 'ORG/NAME'.
import { api } from '../../lib/api.js';

export const hubPath = (kind, repo) => (kind === 'datasets' ? `/datasets/${repo}` : `/${repo}`);

export const pathPart = (path) => path.split('/').map(encodeURIComponent).join('/');

export const fileUrl = (kind, repo, rev, path) =>
  `${hubPath(kind, repo)}/resolve/${encodeURIComponent(rev)}/${pathPart(path)}`;

const apiOf = (kind, repo, verb = '', rev = null) =>
  `/api/${kind}/${repo}${verb && `/${verb}`}${rev === null ? '' : `/${encodeURIComponent(rev)}`}`;

export async function text(path, options) {
  const answer = await api.raw('GET', path, undefined, options);
  return answer.text();
}

// All pages of a list, up to a bound: {list, more}.
export async function all(path, max, options) {
  const list = [];
  let next = path;
  while (next && list.length < max) {
    const answer = await api.raw('GET', next, undefined, options);
    list.push(...(await answer.json()));
    const link = /<([^>]+)>;\s*rel="next"/.exec(answer.headers.get('link') ?? '');
    const url = link && new URL(link[1], location.origin);
    next = url && url.pathname + url.search;
  }
  return { list, more: Boolean(next) };
}

export const listRepos = (kind, search, options) =>
  all(
    `/api/${kind}?limit=100&sort=lastModified${search && `&search=${encodeURIComponent(search)}`}`,
    300,
    options,
  );

export const infoOf = (kind, repo, rev, options) =>
  api.get(apiOf(kind, repo, 'revision', rev), options);

export const refsOf = (kind, repo, options) => api.get(apiOf(kind, repo, 'refs'), options);

export const treeOf = (kind, repo, rev, folder, options) =>
  all(
    `${apiOf(kind, repo, 'tree', rev)}${folder && `/${pathPart(folder)}`}?expand=true&limit=1000`,
    5000,
    options,
  );

export const commitsOf = (kind, repo, rev, options) =>
  all(`${apiOf(kind, repo, 'commits', rev)}?limit=100`, 300, options);

const typeOf = (kind) => kind.slice(0, -1);

export const createRepo = (kind, organization, name, isPrivate) =>
  api.post('/api/repos/create', { type: typeOf(kind), organization, name, private: isPrivate });

export const deleteRepo = (kind, repo) =>
  api.del('/api/repos/delete', { type: typeOf(kind), name: repo });

export const setPrivate = (kind, repo, isPrivate) =>
  api.put(apiOf(kind, repo, 'settings'), { private: isPrivate });

export const addTag = (kind, repo, rev, tag) => api.post(apiOf(kind, repo, 'tag', rev), { tag });

export const addBranch = (kind, repo, rev, name) =>
  api.post(apiOf(kind, repo, 'branch', name), { startingPoint: rev });

// what: 'tag' or 'branch'
export const deleteRef = (kind, repo, what, name) => api.del(apiOf(kind, repo, what, name));

// lines: [{key, value}] behind the header; parent: the commit that the branch must be at.
export const commit = (kind, repo, branch, summary, lines, { parent, signal } = {}) => {
  const header = { summary, description: '', ...(parent ? { parentCommit: parent } : {}) };
  const all = [{ key: 'header', value: header }, ...lines];
  return api.post(
    apiOf(kind, repo, 'commit', branch),
    all.map((l) => `${JSON.stringify(l)}\n`).join(''),
    { signal, headers: { 'Content-Type': 'application/x-ndjson' } },
  );
};

export const preupload = (kind, repo, branch, files, options) =>
  api.post(apiOf(kind, repo, 'preupload', branch), { files }, options);

export const lfsBatch = (kind, repo, oid, size, options) =>
  api.post(
    `${hubPath(kind, repo)}.git/info/lfs/objects/batch`,
    {
      operation: 'upload',
      transfers: ['multipart', 'basic'],
      hash_algo: 'sha256',
      objects: [{ oid, size }],
    },
    options,
  );
