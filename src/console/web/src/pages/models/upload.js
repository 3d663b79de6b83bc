// Files into a repository of the hub: hashed here, sent in parts that are tried again, named by one
// commit at the end. So a broken upload changes nothing, and goes on where it was: content that
// arrived is not sent twice, and of a file in parts the parts that arrived are remembered by
// this tab.
import { sha256 } from '@noble/hashes/sha2.js';
import { again, each } from '../../lib/again.js';
import { api, ApiError } from '../../lib/api.js';
import { commit, lfsBatch, preupload } from './hub.js';

const WHOLE_BYTES = 128 << 20; // that are hashed at once where the browser does it
const SLICE = 1 << 20; // bytes that are hashed before the page may draw
const PARALLEL = 3; // parts on their way at a time
const SAMPLE_BYTES = 512;

const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
// Timers of pages that nobody looks at run once a second; messages do not wait.
function breath() {
  return new Promise((done) => {
    const c = new MessageChannel();
    c.port1.onmessage = () => done();
    c.port2.postMessage(0);
  });
}
const hashed = new WeakMap(); // files whose hash is known: going on does not read them again

async function hashAll(file, onBytes, signal) {
  // the browser's own is quicker, but takes all at once
  if (crypto.subtle && file.size <= WHOLE_BYTES) {
    const whole = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
    onBytes(file.size);
    return hex(new Uint8Array(whole));
  }
  const h = sha256.create();
  for (let at = 0; at < file.size; at += SLICE) {
    signal?.throwIfAborted();
    h.update(new Uint8Array(await file.slice(at, at + SLICE).arrayBuffer()));
    onBytes(Math.min(at + SLICE, file.size));
    await breath();
  }
  return hex(h.digest());
}

export async function hashFile(file, onBytes, signal) {
  if (!hashed.has(file)) hashed.set(file, await hashAll(file, onBytes, signal));
  onBytes(file.size);
  return hashed.get(file);
}

function base64(bytes) {
  let s = '';
  for (let i = 0; i < bytes.length; i += 8192)
    s += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(s);
}

const bytesOf = async (blob) => new Uint8Array(await blob.arrayBuffer());

// The path of a URL that the hub signed: it names the cloud as the hub sees it, and a proxy before
// it may be called otherwise.
function pathOf(href) {
  const u = new URL(href, location.origin);
  return u.pathname + u.search;
}

async function putAgain(path, blob, onBytes, signal) {
  const put = () => api.upload('PUT', path, blob, { onProgress: onBytes, signal });
  const done = await again(put, signal, () => onBytes(0));
  onBytes(blob.size);
  return done.header('etag') ?? '';
}

// ---- what arrived before ----

const keyOf = (repo, oid) => `feitian.upload ${repo} ${oid}`;

function recall(repo, oid) {
  try {
    const o = JSON.parse(sessionStorage.getItem(keyOf(repo, oid)));
    return o && o.until > Date.now() ? o : null;
  } catch {
    return null;
  }
}

function remember(repo, oid, o) {
  try {
    sessionStorage.setItem(keyOf(repo, oid), JSON.stringify(o));
  } catch {
    // without it, a reload begins this file anew
  }
}

// Parts from 1: {number, path, from, to}.
function partsOf(header, size) {
  const chunk = Number(header.chunk_size);
  return Object.keys(header)
    .filter((k) => /^\d+$/.test(k))
    .sort()
    .map((k, i) => ({
      number: Number(k),
      path: pathOf(header[k]),
      from: i * chunk,
      to: Math.min(size, (i + 1) * chunk),
    }));
}

async function sendParts(repo, f, action, known, onBytes, signal) {
  const state = known ?? {
    action,
    etags: {},
    until: Date.now() + (action.expires_in ?? 3600) * 1000,
  };
  const parts = partsOf(state.action.header, f.file.size);
  const gone = {};
  const tell = () => onBytes(Object.values(gone).reduce((a, b) => a + b, 0));
  const left = parts.filter((p) => {
    if (state.etags[p.number]) gone[p.number] = p.to - p.from;
    return !state.etags[p.number];
  });
  tell();
  await each(left, PARALLEL, async (p) => {
    const onPart = (b) => {
      gone[p.number] = b;
      tell();
    };
    state.etags[p.number] = await putAgain(p.path, f.file.slice(p.from, p.to), onPart, signal);
    remember(repo, f.oid, state);
  });
  await api.post(
    pathOf(state.action.href),
    {
      oid: f.oid,
      parts: parts.map((p) => ({ partNumber: p.number, etag: state.etags[p.number] })),
    },
    { signal },
  );
  sessionStorage.removeItem(keyOf(repo, f.oid));
}

async function sendLarge(kind, repo, f, onBytes, signal) {
  const known = recall(repo, f.oid);
  if (known) {
    try {
      return await sendParts(repo, f, known.action, known, onBytes, signal);
    } catch (e) {
      if (e.name === 'AbortError' || e.status === 0) throw e;
      sessionStorage.removeItem(keyOf(repo, f.oid)); // the upload is gone there: begin anew
    }
  }
  const batch = await lfsBatch(kind, repo, f.oid, f.file.size, { signal });
  const o = batch.objects[0];
  if (o.error) throw new ApiError({ status: o.error.code, message: o.error.message });
  const action = o.actions?.upload;
  if (!action) return onBytes(f.file.size); // the cloud has this content already
  if (action.header?.chunk_size) return sendParts(repo, f, action, null, onBytes, signal);
  await putAgain(pathOf(action.href), f.file, onBytes, signal);
}

// ---- all of it ----

// files: [{path, file}]; onFile(index, {phase: 'hash' | 'send' | 'done', bytes, oid}) as they go.
// -> the commit's id.
export async function upload({ kind, repo, branch, files, summary, parent }, onFile, signal) {
  const ask = [];
  for (const f of files) {
    const sample = base64(await bytesOf(f.file.slice(0, SAMPLE_BYTES)));
    ask.push({ path: f.path, size: f.file.size, sample });
  }
  const how = await preupload(kind, repo, branch, ask, { signal });
  const mode = new Map(how.files.map((f) => [f.path, f.uploadMode]));
  const ops = [];
  for (const [i, f] of files.entries()) {
    signal?.throwIfAborted();
    if (mode.get(f.path) !== 'lfs') {
      const content = base64(await bytesOf(f.file));
      ops.push({ key: 'file', value: { path: f.path, content, encoding: 'base64' } });
      onFile(i, { phase: 'done', bytes: f.file.size });
      continue;
    }
    onFile(i, { phase: 'hash', bytes: 0 });
    const oid = await hashFile(f.file, (bytes) => onFile(i, { phase: 'hash', bytes }), signal);
    onFile(i, { phase: 'send', bytes: 0, oid });
    await sendLarge(
      kind,
      repo,
      { ...f, oid },
      (bytes) => onFile(i, { phase: 'send', bytes, oid }),
      signal,
    );
    ops.push({ key: 'lfsFile', value: { path: f.path, algo: 'sha256', oid, size: f.file.size } });
    onFile(i, { phase: 'done', bytes: f.file.size, oid });
  }
  const done = await commit(kind, repo, branch, summary, ops, { parent, signal });
  return done.commitOid;
}
