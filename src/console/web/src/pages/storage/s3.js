// S3 as the browser speaks it: path style at the cloud's own address, the session's cookie instead
// of a signature (header X-Feitian-S3), XML read by DOMParser. Nothing here knows the page.
import { api, ApiError } from '../../lib/api.js';

// A key's slashes are its path; everything else that a URL would read otherwise is escaped. Parts
// "." and ".." would be folded away by the browser.
export function pathOf(bucket, key) {
  const parts = key === undefined ? [] : key.split('/');
  const one = (p) =>
    p === '.' || p === '..'
      ? p.replaceAll('.', '%2E')
      : encodeURIComponent(p).replace(
          /[!'()*]/g,
          (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
        );
  return `/${bucket}${key === undefined ? '' : `/${parts.map(one).join('/')}`}`;
}

// Of those, the browser folds %2E as well: such keys can be seen, not opened.
export function canOpen(key) {
  return !key.split('/').some((p) => p === '.' || p === '..');
}

function urlOf(bucket, key, query = {}) {
  const q = Object.entries(query)
    .filter(([, v]) => v !== undefined && v !== null)
    .map(([k, v]) =>
      v === '' ? encodeURIComponent(k) : `${encodeURIComponent(k)}=${encodeURIComponent(v)}`,
    )
    .join('&');
  return `${bucket === undefined ? '/' : pathOf(bucket, key)}${q ? `?${q}` : ''}`;
}

function xml(text) {
  const doc = new DOMParser().parseFromString(text, 'application/xml');
  if (doc.getElementsByTagName('parsererror').length) {
    throw new ApiError({ status: 500, code: 'MalformedXML', message: text.slice(0, 200) });
  }
  return doc.documentElement;
}

const children = (el, name) => [...el.children].filter((c) => c.localName === name);
const child = (el, name) => children(el, name)[0];
const text = (el, name) => child(el, name)?.textContent ?? '';
const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeXml = (s) => String(s).replace(/[&<>"]/g, (c) => ESCAPES[c]);

// What is sent: leaf() holds a text, node() other elements.
const leaf = (name, s) => `<${name}>${escapeXml(s)}</${name}>`;
const node = (name, ...inside) => `<${name}>${inside.flat().join('')}</${name}>`;

// Text of a listing, which was asked to be percent-encoded:
// XML cannot hold every character of a key.
function decoded(s) {
  try {
    return decodeURIComponent(s.replaceAll('+', '%20'));
  } catch {
    return s;
  }
}

const call = (method, bucket, key, { query, ...options } = {}) =>
  api.s3(method, urlOf(bucket, key, query), options);

const ask = async (...args) => xml(await (await call(...args)).text());

// What is missing is null.
async function orNull(promise, ...codes) {
  try {
    return await promise;
  } catch (error) {
    if (codes.includes(error.code)) return null;
    throw error;
  }
}

// ---- buckets ----

export async function listBuckets(signal) {
  const root = await ask('GET', undefined, undefined, { signal });
  return children(child(root, 'Buckets') ?? root, 'Bucket').map((b) => ({
    name: text(b, 'Name'),
    created: Date.parse(text(b, 'CreationDate')) / 1000,
  }));
}

export const createBucket = (name, { lock } = {}) =>
  call('PUT', name, undefined, {
    headers: lock ? { 'x-amz-bucket-object-lock-enabled': 'true' } : {},
  });
export const deleteBucket = (name) => call('DELETE', name);

// ---- listings ----

export async function list(
  bucket,
  { prefix = '', delimiter = '/', token, max = 500, signal } = {},
) {
  const root = await ask('GET', bucket, undefined, {
    signal,
    query: {
      'list-type': 2,
      prefix,
      delimiter: delimiter || undefined,
      'max-keys': max,
      'encoding-type': 'url',
      'continuation-token': token,
    },
  });
  return {
    folders: children(root, 'CommonPrefixes').map((p) => decoded(text(p, 'Prefix'))),
    objects: children(root, 'Contents').map((o) => ({
      key: decoded(text(o, 'Key')),
      bytes: Number(text(o, 'Size')),
      modified: Date.parse(text(o, 'LastModified')) / 1000,
      etag: text(o, 'ETag').replaceAll('"', ''),
    })),
    next: text(root, 'IsTruncated') === 'true' ? text(root, 'NextContinuationToken') : null,
  };
}

// Every key under a prefix, a page after the other.
export async function* everyKey(bucket, prefix, signal) {
  let token;
  do {
    const page = await list(bucket, { prefix, delimiter: '', token, max: 1000, signal });
    yield page.objects;
    token = page.next;
  } while (token);
}

export async function listVersions(
  bucket,
  { prefix = '', keyMarker, versionMarker, max = 1000, signal } = {},
) {
  const root = await ask('GET', bucket, undefined, {
    signal,
    query: {
      versions: '',
      prefix,
      'max-keys': max,
      'encoding-type': 'url',
      'key-marker': keyMarker,
      'version-id-marker': versionMarker,
    },
  });
  const versions = [...root.children]
    .filter((v) => v.localName === 'Version' || v.localName === 'DeleteMarker')
    .map((v) => ({
      key: decoded(text(v, 'Key')),
      version: text(v, 'VersionId'),
      latest: text(v, 'IsLatest') === 'true',
      marker: v.localName === 'DeleteMarker',
      bytes: Number(text(v, 'Size') || 0),
      modified: Date.parse(text(v, 'LastModified')) / 1000,
      etag: text(v, 'ETag').replaceAll('"', ''),
    }));
  const more = text(root, 'IsTruncated') === 'true';
  return {
    versions,
    next: more
      ? {
          keyMarker: decoded(text(root, 'NextKeyMarker')),
          versionMarker: text(root, 'NextVersionIdMarker'),
        }
      : null,
  };
}

// ---- objects ----

export async function head(bucket, key, version) {
  const h = (await call('HEAD', bucket, key, { query: { versionId: version } })).headers;
  const metadata = {};
  for (const [name, value] of h) {
    if (name.startsWith('x-amz-meta-')) metadata[name.slice(11)] = value;
  }
  return {
    bytes: Number(h.get('content-length')),
    type: h.get('content-type') ?? '',
    etag: (h.get('etag') ?? '').replaceAll('"', ''),
    modified: Date.parse(h.get('last-modified')) / 1000,
    version: h.get('x-amz-version-id'),
    cache: h.get('cache-control'),
    disposition: h.get('content-disposition'),
    encoding: h.get('content-encoding'),
    locked: h.get('x-amz-object-lock-mode'),
    lockedUntil: h.get('x-amz-object-lock-retain-until-date'),
    metadata,
  };
}

// The first `bytes` of an object: {bytes: Uint8Array, whole}.
export async function headBytes(bucket, key, bytes, { version, signal } = {}) {
  const answer = await call('GET', bucket, key, {
    signal,
    query: { versionId: version },
    headers: { Range: `bytes=0-${bytes - 1}` },
  }).catch((error) => {
    if (error.status === 416) return null; // nothing is in it
    throw error;
  });
  if (!answer) return { bytes: new Uint8Array(0), whole: true };
  const all = Number(/\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1] ?? NaN);
  const data = new Uint8Array(await answer.arrayBuffer());
  return { bytes: data, whole: Number.isNaN(all) || data.length >= all };
}

export const removeOne = (bucket, key, version) =>
  call('DELETE', bucket, key, { query: { versionId: version } });

const DELETE_MAX = 1000; // of one request, as S3 has it

// entries: [{key, version?}] -> faults [{key, code, message}]
export async function removeMany(bucket, entries, { onProgress, signal } = {}) {
  const faults = [];
  for (let at = 0; at < entries.length; at += DELETE_MAX) {
    const some = entries.slice(at, at + DELETE_MAX);
    const objects = some.map((e) =>
      node('Object', leaf('Key', e.key), e.version ? leaf('VersionId', e.version) : ''),
    );
    const body = node('Delete', leaf('Quiet', true), objects);
    const root = await ask('POST', bucket, undefined, { query: { delete: '' }, body, signal });
    faults.push(
      ...children(root, 'Error').map((e) => ({
        key: text(e, 'Key'),
        code: text(e, 'Code'),
        message: text(e, 'Message'),
      })),
    );
    onProgress?.(Math.min(entries.length, at + DELETE_MAX), entries.length);
  }
  return faults;
}

export const copy = (bucket, key, fromKey, version) =>
  call('PUT', bucket, key, {
    headers: {
      'x-amz-copy-source':
        pathOf(bucket, fromKey) + (version ? `?versionId=${encodeURIComponent(version)}` : ''),
    },
  });

// ---- tags ----

export async function getTags(bucket, key, version) {
  const root = await ask('GET', bucket, key, { query: { tagging: '', versionId: version } });
  const set = child(root, 'TagSet');
  return Object.fromEntries(
    (set ? children(set, 'Tag') : []).map((t) => [text(t, 'Key'), text(t, 'Value')]),
  );
}

export function putTags(bucket, key, tags, version) {
  const all = Object.entries(tags).map(([k, v]) => node('Tag', leaf('Key', k), leaf('Value', v)));
  return call('PUT', bucket, key, {
    query: { tagging: '', versionId: version },
    body: node('Tagging', node('TagSet', all)),
  });
}

// ---- what is said of a bucket ----

export const getPolicy = async (bucket) =>
  orNull(
    call('GET', bucket, undefined, { query: { policy: '' } }).then((a) => a.text()),
    'NoSuchBucketPolicy',
  );
export const putPolicy = (bucket, policy) =>
  call('PUT', bucket, undefined, { query: { policy: '' }, body: policy });
export const deletePolicy = (bucket) =>
  call('DELETE', bucket, undefined, { query: { policy: '' } });

export async function isPublic(bucket) {
  const root = await orNull(
    ask('GET', bucket, undefined, { query: { policyStatus: '' } }),
    'NoSuchBucketPolicy',
  );
  return root !== null && text(root, 'IsPublic').toLowerCase() === 'true';
}

// '' (never), 'Enabled', 'Suspended'
export async function getVersioning(bucket) {
  return text(await ask('GET', bucket, undefined, { query: { versioning: '' } }), 'Status');
}

export const putVersioning = (bucket, on) =>
  call('PUT', bucket, undefined, {
    query: { versioning: '' },
    body: node('VersioningConfiguration', leaf('Status', on ? 'Enabled' : 'Suspended')),
  });

// -> [{id, enabled, prefix, days, oldDays, uploadDays,
// other}]; other: says more than these pages do.
export async function getLifecycle(bucket) {
  const root = await orNull(
    ask('GET', bucket, undefined, { query: { lifecycle: '' } }),
    'NoSuchLifecycleConfiguration',
  );
  if (root === null) return { rules: [], text: '' };
  const days = (rule, part, name) => {
    const n = child(rule, part) && text(child(rule, part), name);
    return n ? Number(n) : null;
  };
  const known = new Set([
    'ID',
    'Status',
    'Filter',
    'Prefix',
    'Expiration',
    'NoncurrentVersionExpiration',
    'AbortIncompleteMultipartUpload',
  ]);
  const rules = children(root, 'Rule').map((r) => {
    const filter = child(r, 'Filter');
    const expiry = child(r, 'Expiration');
    const old = child(r, 'NoncurrentVersionExpiration');
    return {
      id: text(r, 'ID'),
      enabled: text(r, 'Status') === 'Enabled',
      prefix: filter ? text(filter, 'Prefix') : text(r, 'Prefix'),
      days: days(r, 'Expiration', 'Days'),
      oldDays: days(r, 'NoncurrentVersionExpiration', 'NoncurrentDays'),
      uploadDays: days(r, 'AbortIncompleteMultipartUpload', 'DaysAfterInitiation'),
      other:
        [...r.children].some((c) => !known.has(c.localName)) ||
        (filter ? [...filter.children].some((c) => c.localName !== 'Prefix') : false) ||
        (expiry ? [...expiry.children].some((c) => c.localName !== 'Days') : false) ||
        (old ? [...old.children].some((c) => c.localName !== 'NoncurrentDays') : false),
      xml: new XMLSerializer().serializeToString(r),
    };
  });
  return { rules };
}

function ruleXml(r) {
  if (r.other) return r.xml; // as it was: these pages do not touch it
  const after = (days, name, inner) => (days ? node(name, leaf(inner, Number(days))) : '');
  return node(
    'Rule',
    leaf('ID', r.id),
    node('Filter', leaf('Prefix', r.prefix)),
    leaf('Status', r.enabled ? 'Enabled' : 'Disabled'),
    after(r.days, 'Expiration', 'Days'),
    after(r.oldDays, 'NoncurrentVersionExpiration', 'NoncurrentDays'),
    after(r.uploadDays, 'AbortIncompleteMultipartUpload', 'DaysAfterInitiation'),
  );
}

export function putLifecycle(bucket, rules) {
  if (rules.length === 0) return call('DELETE', bucket, undefined, { query: { lifecycle: '' } });
  return call('PUT', bucket, undefined, {
    query: { lifecycle: '' },
    body: node('LifecycleConfiguration', rules.map(ruleXml)),
  });
}

// ---- uploads ----

// A body whose sending can be watched. -> its answer's headers: header(name)
export async function send(method, bucket, key, { query, ...options }) {
  return (
    await api.upload(method, urlOf(bucket, key, query), options.body, { s3: true, ...options })
  ).header;
}

export async function beginUpload(bucket, key, type) {
  const root = await ask('POST', bucket, key, {
    query: { uploads: '' },
    headers: { 'Content-Type': type },
  });
  return text(root, 'UploadId');
}

export const abortUpload = (bucket, key, uploadId) =>
  call('DELETE', bucket, key, { query: { uploadId } });

export async function completeUpload(bucket, key, uploadId, etags, signal) {
  const parts = etags.map((etag, i) => node('Part', leaf('PartNumber', i + 1), leaf('ETag', etag)));
  const body = node('CompleteMultipartUpload', parts);
  const root = await ask('POST', bucket, key, { query: { uploadId }, body, signal });
  // S3 says 200 before it is done: a failure is in the document.
  if (root.localName === 'Error') {
    throw new ApiError({ status: 500, code: text(root, 'Code'), message: text(root, 'Message') });
  }
}

// Uploads that were begun and neither completed nor aborted: they take space.
export async function listUploads(bucket, signal) {
  const root = await ask('GET', bucket, undefined, {
    query: { uploads: '', 'encoding-type': 'url' },
    signal,
  });
  return children(root, 'Upload').map((u) => ({
    key: decoded(text(u, 'Key')),
    id: text(u, 'UploadId'),
    begun: Date.parse(text(u, 'Initiated')) / 1000,
  }));
}

// A link with which anyone may do one thing with one object, until it expires.
export const presign = (body) => api.post('/api/v1/s3/presign', body);
