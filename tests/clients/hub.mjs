// Hugging Face's own client against the cloud's hub, unchanged but for its address.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import * as hub from '@huggingface/hub';

const hubUrl = process.env.FEITIAN_URL;
const accessToken = `hf_${process.env.FEITIAN_API_KEY}`; // it takes no others
const at = { hubUrl, accessToken };
const repo = { type: 'model', name: 'default/npm' };
const bytes = crypto.randomBytes(3_000_000);

async function all(list) {
  const found = [];
  for await (const one of list) found.push(one);
  return found;
}

async function text(params) {
  return (await hub.downloadFile({ repo, ...at, ...params })).text();
}

test('who am I', async () => {
  const me = await hub.whoAmI(at);
  assert.equal(me.name, 'default');
  assert.deepEqual(
    me.orgs.map((o) => o.name),
    ['default'],
  );
});

test('a repository is made once', async () => {
  const made = await hub.createRepo({ repo, ...at });
  assert.equal(made.repoUrl, `${hubUrl}/default/npm`);
  await assert.rejects(hub.createRepo({ repo, ...at }), (e) => e.statusCode === 409);
  assert.equal(await hub.repoExists({ repo, ...at }), true);
  assert.equal(await hub.repoExists({ repo: 'default/none', ...at }), false);
});

test('files are uploaded, small ones in the commit, large ones beside it', async () => {
  const done = await hub.uploadFiles({
    repo,
    ...at,
    commitTitle: 'first',
    files: [
      { path: 'README.md', content: new Blob(['---\nlicense: mit\ntags: [npm]\n---\n# Hi\n']) },
      { path: 'data/weights.bin', content: new Blob([bytes]) },
      { path: 'data/a b ä.txt', content: new Blob(['spaces']) },
    ],
  });
  assert.match(done.commit.oid, /^[0-9a-f]{40}$/);
  const files = await all(hub.listFiles({ repo, recursive: true, expand: true, ...at }));
  assert.deepEqual(
    files.map((f) => [f.type, f.path]),
    [
      ['file', 'README.md'],
      ['directory', 'data'],
      ['file', 'data/a b ä.txt'],
      ['file', 'data/weights.bin'],
    ],
  );
  const sha256 = crypto.createHash('sha256').update(bytes).digest('hex');
  assert.equal(files[3].lfs.oid, sha256);
  assert.equal(files[3].lastCommit.title, 'first');
});

test('what was uploaded comes back, whole and in ranges', async () => {
  const file = await hub.downloadFile({ repo, path: 'data/weights.bin', ...at });
  assert.equal(Buffer.compare(Buffer.from(await file.arrayBuffer()), bytes), 0);
  const part = await (
    await hub.downloadFile({ repo, path: 'data/weights.bin', ...at })
  )
    .slice(1000, 2000)
    .arrayBuffer();
  assert.equal(Buffer.compare(Buffer.from(part), bytes.subarray(1000, 2000)), 0);
  assert.equal(await text({ path: 'data/a b ä.txt' }), 'spaces');
  const info = await hub.fileDownloadInfo({ repo, path: 'data/weights.bin', ...at });
  assert.equal(info.size, bytes.length);
  assert.equal(await hub.fileDownloadInfo({ repo, path: 'none', ...at }), null);
  assert.equal(await hub.fileExists({ repo, path: 'README.md', ...at }), true);
});

test('a snapshot is the folder again', async () => {
  const cacheDir = fs.mkdtempSync(path.join(os.tmpdir(), 'hub-'));
  const folder = await hub.snapshotDownload({ repo, cacheDir, ...at });
  assert.equal(Buffer.compare(fs.readFileSync(path.join(folder, 'data/weights.bin')), bytes), 0);
  fs.rmSync(cacheDir, { recursive: true });
});

test('branches, commits and what they hold', async () => {
  await hub.createBranch({ repo, branch: 'dev', ...at });
  await assert.rejects(
    hub.createBranch({ repo, branch: 'dev', ...at }),
    (e) => e.statusCode === 409,
  );
  await hub.commit({
    repo,
    ...at,
    branch: 'dev',
    title: 'second',
    operations: [
      { operation: 'delete', path: 'data/weights.bin' },
      { operation: 'addOrUpdate', path: 'new.txt', content: new Blob(['new']) },
    ],
  });
  assert.equal(await text({ path: 'new.txt', revision: 'dev' }), 'new');
  assert.equal(
    await hub.fileExists({ repo, path: 'data/weights.bin', revision: 'dev', ...at }),
    false,
  );
  assert.equal(await hub.fileExists({ repo, path: 'data/weights.bin', ...at }), true);
  const commits = await all(hub.listCommits({ repo, revision: 'dev', batchSize: 1, ...at }));
  assert.deepEqual(
    commits.map((c) => c.title),
    ['second', 'first', 'initial commit'],
  );
  assert.equal(await hub.countCommits({ repo, revision: 'dev', ...at }), 3);
  await assert.rejects(
    hub.commit({
      repo,
      ...at,
      branch: 'dev',
      title: 'late',
      parentCommit: commits[1].oid,
      operations: [{ operation: 'addOrUpdate', path: 'x', content: new Blob(['x']) }],
    }),
    (e) => e.statusCode === 412,
  );
  await hub.deleteBranch({ repo, branch: 'dev', ...at });
  await assert.rejects(
    all(hub.listFiles({ repo, revision: 'dev', ...at })),
    (e) => e.statusCode === 404,
  );
});

test('paths, cards and search', async () => {
  const [one] = await hub.pathsInfo({ repo, paths: ['README.md', 'none'], expand: true, ...at });
  assert.equal(one.path, 'README.md');
  const info = await hub.modelInfo({
    name: repo.name,
    additionalFields: ['tags', 'cardData', 'sha'],
    ...at,
  });
  assert.equal(info.cardData.license, 'mit');
  assert.ok(info.tags.includes('license:mit'));
  const found = await all(
    hub.listModels({ search: { query: 'NPM', owner: 'default', tags: ['npm'] }, ...at }),
  );
  assert.deepEqual(
    found.map((m) => m.name),
    ['default/npm'],
  );
  assert.deepEqual(await all(hub.listModels({ search: { query: 'nowhere' }, ...at })), []);
});

test('a repository is made with its licence and files', async () => {
  const made = { type: 'model', name: 'default/npm-made' };
  await hub.createRepo({
    repo: made,
    ...at,
    license: 'apache-2.0',
    files: [{ path: 'a/first.txt', content: new Blob(['first']) }],
  });
  const file = await hub.downloadFile({ repo: made, path: 'a/first.txt', ...at });
  assert.equal(await file.text(), 'first');
  const info = await hub.modelInfo({ name: made.name, additionalFields: ['cardData'], ...at });
  assert.equal(info.cardData.license, 'apache-2.0');
  await hub.createBranch({ repo: made, branch: 'bare', empty: true, ...at });
  assert.deepEqual(await all(hub.listFiles({ repo: made, revision: 'bare', ...at })), []);
  await hub.deleteRepo({ repo: made, ...at });
});

test('a large file raw is its pointer', async () => {
  const raw = await hub.downloadFile({ repo, path: 'data/weights.bin', raw: true, ...at });
  assert.match(await raw.text(), /^version https:\/\/git-lfs.*\noid sha256:[0-9a-f]{64}\nsize /);
});

test('what is not kept here is an empty list', async () => {
  assert.deepEqual(await all(hub.listSpaces(at)), []);
  assert.deepEqual(await all(hub.listCollections(at)), []);
});

test('datasets alike', async () => {
  const data = { type: 'dataset', name: 'default/rows' };
  await hub.createRepo({ repo: data, private: true, ...at });
  await hub.uploadFile({
    repo: data,
    ...at,
    file: { path: 'a.jsonl', content: new Blob(['{"a":1}\n']) },
  });
  const file = await hub.downloadFile({ repo: data, path: 'a.jsonl', ...at });
  assert.equal(await file.text(), '{"a":1}\n');
  const found = await all(hub.listDatasets({ search: { query: 'rows' }, ...at }));
  assert.deepEqual(
    found.map((d) => [d.name, d.private]),
    [['default/rows', true]],
  );
  await hub.deleteRepo({ repo: data, ...at });
  assert.equal(await hub.repoExists({ repo: data, ...at }), false);
});

test('without a key there is nothing', async () => {
  await assert.rejects(hub.modelInfo({ name: repo.name, hubUrl }), (e) => e.statusCode === 401);
});

test('files are deleted, and the repository', async () => {
  await hub.deleteFile({ repo, path: 'README.md', ...at });
  assert.equal(await hub.fileExists({ repo, path: 'README.md', ...at }), false);
  await hub.deleteRepo({ repo, ...at });
  assert.equal(await hub.repoExists({ repo, ...at }), false);
});
