// The cloud's HTTP API, as whoever is signed in: the browser sends the session's cookie by itself.
//
//   await api.get('/api/v1/keys?limit=50')          JSON, or ApiError
//   await api.post(path, body), put, patch, del     body: JSON; or a FormData, a Blob
//   await api.s3('PUT', '/bucket/name', { body })   a Response; XML stays the caller's to read
//   await api.stream(path, body, onEvent, signal)   server-sent events, each parsed
//   api.upload(method, path, body, { s3, headers, onProgress, signal })   Promise, with progress
import { hasText, t } from './i18n.js';
import { inWords } from './refusals.js';

export class ApiError extends Error {
  // status 0: nobody answered. code, param: as the API says them. message: in the reader's language
  // where the code is known; original: the API's own words, where they say more than that.
  constructor({ status, code = null, param = null, message: said, id = null, retryAfter = null }) {
    const { message, original } = inWords({ status, code, param, message: said });
    super(message);
    this.name = 'ApiError';
    Object.assign(this, { status, code, param, id, retryAfter, original });
  }

  // What to do next, in the reader's language; '' if we know nothing better than the message.
  get hint() {
    if (this.code !== null && hasText(`hint.${this.code}`)) return t(`hint.${this.code}`);
    if (hasText(`hint.${this.status}`))
      return t(`hint.${this.status}`, { s: this.retryAfter ?? 1 });
    return this.status >= 500 ? t('hint.5xx') : '';
  }
}

let signedOut = () => {};
// session.js: what happens when a session is over.
export function onSignedOut(fn) {
  signedOut = fn;
}

function headersOf(body, more) {
  const headers = { 'X-Feitian-Console': '1', ...more };
  const raw =
    body === undefined ||
    body === null ||
    typeof body === 'string' ||
    body instanceof FormData ||
    body instanceof Blob ||
    body instanceof ArrayBuffer;
  if (!raw) headers['Content-Type'] = 'application/json';
  return { headers, body: raw ? body : JSON.stringify(body) };
}

function errorOf(status, text, header) {
  let said = {};
  try {
    const answer = JSON.parse(text);
    said = typeof answer.error === 'string' ? { message: answer.error } : (answer.error ?? {});
  } catch {
    const message = /<Message>([^<]*)</.exec(text)?.[1]; // S3's
    said = { message, code: /<Code>([^<]*)</.exec(text)?.[1] };
  }
  return new ApiError({
    status,
    code: said.code ?? null,
    param: said.param ?? null,
    message: said.message ?? t('error.status', { status }),
    id: header('x-request-id'),
    retryAfter: Number(header('retry-after')) || null,
  });
}

async function send(method, path, body, { headers: more, signal, quiet } = {}) {
  const { headers, body: sent } = headersOf(body, more);
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: sent, signal, credentials: 'same-origin' });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new ApiError({ status: 0, code: 'unreachable', message: t('error.unreachable') });
  }
  if (answer.ok) return answer;
  const error = errorOf(answer.status, await answer.text(), (n) => answer.headers.get(n));
  if (answer.status === 401 && !quiet) signedOut(error);
  throw error;
}

async function json(method, path, body, options) {
  const answer = await send(method, path, body, options);
  const text = await answer.text();
  return text === '' ? null : JSON.parse(text);
}

// Server-sent events: data lines of one event joined; "[DONE]" ends.
// onEvent(json, name). onOpen(answer): its headers are there. A
// connection that breaks is an error too: what came may be half of it.
async function stream(path, body, onEvent, signal, { headers, method = 'POST', onOpen } = {}) {
  const answer = await send(method, path, body, {
    signal,
    headers: { Accept: 'text/event-stream', ...headers },
  });
  onOpen?.(answer);
  const header = (n) => answer.headers.get(n);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      let piece;
      try {
        piece = await reader.read();
      } catch (e) {
        if (e.name === 'AbortError') throw e;
        throw new ApiError({
          status: 0,
          code: 'unreachable',
          message: t('error.unreachable'),
          id: header('x-request-id'),
        });
      }
      if (piece.done) return;
      rest += piece.value.replaceAll('\r', '');
      const events = rest.split('\n\n');
      rest = events.pop();
      for (const event of events) {
        const lines = event.split('\n');
        const data = lines
          .filter((l) => l.startsWith('data:'))
          .map((l) => l.slice(5).trimStart())
          .join('\n');
        const name =
          lines
            .find((l) => l.startsWith('event:'))
            ?.slice(6)
            .trim() ?? '';
        if (data === '[DONE]') return;
        if (data === '') continue;
        const parsed = JSON.parse(data);
        if (parsed.error) throw errorOf(parsed.error.status ?? 500, data, header);
        onEvent(parsed, name);
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // nobody reads what may still come
  }
}

// fetch() cannot say how much of a body has left; this can. Resolves to {status, text, header}.
function upload(method, path, body, { s3 = false, headers: more, onProgress, signal } = {}) {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest();
    const { headers, body: sent } = headersOf(body, {
      ...(s3 ? { 'X-Feitian-S3': '1' } : {}),
      ...more,
    });
    x.open(method, path);
    for (const [name, value] of Object.entries(headers)) x.setRequestHeader(name, value);
    if (onProgress) x.upload.onprogress = (e) => onProgress(e.loaded, e.total);
    x.onload = () => {
      const header = (name) => x.getResponseHeader(name);
      if (x.status >= 200 && x.status < 300) {
        resolve({ status: x.status, text: x.responseText, header });
        return;
      }
      const error = errorOf(x.status, x.responseText, header);
      if (x.status === 401) signedOut(error);
      reject(error);
    };
    x.onerror = () =>
      reject(new ApiError({ status: 0, code: 'unreachable', message: t('error.unreachable') }));
    x.onabort = () => reject(new DOMException('aborted', 'AbortError'));
    if (signal?.aborted) {
      x.onabort();
      return;
    }
    const stop = () => x.abort();
    signal?.addEventListener('abort', stop);
    x.onloadend = () => signal?.removeEventListener('abort', stop);
    x.send(sent);
  });
}

export const api = {
  get: (path, options) => json('GET', path, undefined, options),
  post: (path, body, options) => json('POST', path, body, options),
  put: (path, body, options) => json('PUT', path, body, options),
  patch: (path, body, options) => json('PATCH', path, body, options),
  del: (path, body, options) => json('DELETE', path, body, options),
  raw: send, // a Response, for what is no JSON: api.raw('GET', path)
  s3: (method, path, { body, headers, signal } = {}) =>
    send(method, path, body, { signal, headers: { 'X-Feitian-S3': '1', ...headers } }),
  stream,
  upload,
};
