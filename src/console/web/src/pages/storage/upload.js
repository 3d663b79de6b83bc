// The queue of uploads: some files at a time, large ones in parts, tries again what the network or
// a busy server broke, aborts cleanly. The page shows the entries; this file knows no page.
import { again, each } from '../../lib/again.js';
import * as s3 from './s3.js';

const FILES_AT_ONCE = 3;
const PARTS_AT_ONCE = 3;
const PARTS_MAX = 10000;
const PART_MIN = 8 * 2 ** 20;
export const MULTIPART_FROM = 16 * 2 ** 20;

// Parts of a file: as few as possible, of 8 MiB at least, and at most 10,000.
export function partBytes(size) {
  return Math.max(PART_MIN, Math.ceil(size / PARTS_MAX / 2 ** 20) * 2 ** 20);
}

async function whole(entry, onSent) {
  const { bucket, key, file, signal } = entry;
  await again(
    () =>
      s3.send('PUT', bucket, key, {
        body: file,
        signal,
        onProgress: onSent,
        headers: { 'Content-Type': entry.type },
      }),
    signal,
  );
}

// A part that fails for good stops the others: its own signal tells them.
async function inParts(entry, onSent) {
  const { bucket, key, file } = entry;
  const size = partBytes(file.size);
  const parts = Array.from({ length: Math.ceil(file.size / size) }, (_, i) => i);
  const sent = parts.map(() => 0);
  const etags = [];
  const stop = new AbortController();
  const signal = AbortSignal.any([entry.signal, stop.signal]);
  const uploadId = await again(() => s3.beginUpload(bucket, key, entry.type), entry.signal);
  try {
    await each(parts, PARTS_AT_ONCE, async (i) => {
      const body = file.slice(i * size, (i + 1) * size);
      const header = await again(
        () =>
          s3.send('PUT', bucket, key, {
            query: { partNumber: i + 1, uploadId },
            body,
            signal,
            onProgress: (n) => {
              sent[i] = n;
              onSent(sent.reduce((a, b) => a + b, 0));
            },
          }),
        signal,
      );
      etags[i] = header('ETag');
      sent[i] = body.size;
    });
    await again(() => s3.completeUpload(bucket, key, uploadId, etags, entry.signal), entry.signal);
  } catch (error) {
    stop.abort();
    // Its parts take space until it is aborted; what cannot be aborted now a lifecycle rule may.
    await s3.abortUpload(bucket, key, uploadId).catch(() => {});
    throw error;
  }
}

// Types by the name's end, where the browser knows none.
const TYPES = {
  jsonl: 'application/jsonl',
  md: 'text/markdown',
  csv: 'text/csv',
  log: 'text/plain',
  txt: 'text/plain',
  yaml: 'text/yaml',
  yml: 'text/yaml',
  parquet: 'application/vnd.apache.parquet',
};
export function typeOf(file) {
  return file.type || TYPES[file.name.split('.').pop().toLowerCase()] || 'application/octet-stream';
}

// states: waiting -> sending -> done | failed | aborted; failed -> waiting (retry)
export class Uploads {
  constructor(onChange) {
    this.entries = [];
    this.onChange = onChange;
    this.running = 0;
    this.n = 0;
  }

  // files: [{file, key}]
  add(bucket, files) {
    for (const { file, key } of files) {
      this.n += 1;
      this.entries.push({
        id: this.n,
        bucket,
        key,
        file,
        type: typeOf(file),
        size: file.size,
        sent: 0,
        state: 'waiting',
        error: null,
      });
    }
    this.pump();
  }

  pump() {
    for (const entry of this.entries) {
      if (this.running >= FILES_AT_ONCE) break;
      if (entry.state === 'waiting') this.run(entry);
    }
    this.onChange([...this.entries]);
  }

  async run(entry) {
    const abort = new AbortController();
    Object.assign(entry, { state: 'sending', sent: 0, error: null, abort, signal: abort.signal });
    this.running += 1;
    const onSent = (n) => {
      entry.sent = Math.min(n, entry.size);
      this.onChange([...this.entries]);
    };
    try {
      await (entry.size >= MULTIPART_FROM ? inParts(entry, onSent) : whole(entry, onSent));
      Object.assign(entry, { state: 'done', sent: entry.size });
    } catch (error) {
      Object.assign(
        entry,
        error.name === 'AbortError' ? { state: 'aborted' } : { state: 'failed', error },
      );
    }
    this.running -= 1;
    this.pump();
  }

  abort(entry) {
    if (entry.state === 'waiting') entry.state = 'aborted';
    else entry.abort?.abort();
    this.onChange([...this.entries]);
  }

  abortAll() {
    for (const e of this.entries) if (e.state === 'waiting' || e.state === 'sending') this.abort(e);
  }

  retry(entry) {
    entry.state = 'waiting';
    this.pump();
  }

  // What is over is no longer listed.
  clear() {
    this.entries = this.entries.filter((e) => e.state === 'waiting' || e.state === 'sending');
    this.onChange([...this.entries]);
  }
}
