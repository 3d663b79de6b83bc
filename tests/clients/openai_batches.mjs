// OpenAI's own client: files, uploads and batches.
//
// usage: FEITIAN_URL=... FEITIAN_API_KEY=... node --test openai_batches.mjs
// (tests/integration/clients.py does it)
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import OpenAI, { toFile } from 'openai';

const url = process.env.FEITIAN_URL;
const client = new OpenAI({
  baseURL: `${url}/v1`,
  apiKey: process.env.FEITIAN_API_KEY,
  maxRetries: 0,
});
const model = 'nano';

const line = (i, body, to = '/v1/chat/completions') =>
  JSON.stringify({ custom_id: `c${i}`, method: 'POST', url: to, body: { model, ...body } });
const jsonl = (lines) => toFile(Buffer.from(`${lines.join('\n')}\n`), 'requests.jsonl');

async function refused(promise, kind, status) {
  try {
    await promise;
  } catch (e) {
    assert.ok(e instanceof kind, `${e.constructor.name}: ${e.message}`);
    assert.equal(e.status, status);
    return e;
  }
  assert.fail(`not refused; ${kind.name} was expected`);
}

async function ended(batch) {
  while (['validating', 'in_progress', 'finalizing', 'cancelling'].includes(batch.status)) {
    await new Promise((done) => setTimeout(done, 100));
    batch = await client.batches.retrieve(batch.id);
  }
  return batch;
}

async function read(file) {
  const text = await (await client.files.content(file)).text();
  return text
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));
}

test('a file: created, waited for, shown, listed, read, deleted', async () => {
  const file = await client.files.create({
    file: await toFile(Buffer.from('hello'), 'a.txt'),
    purpose: 'user_data',
    expires_after: { anchor: 'created_at', seconds: 3600 },
  });
  assert.match(file.id, /^file-/);
  assert.equal(file.bytes, 5);
  assert.equal(file.expires_at, file.created_at + 3600);
  assert.equal((await client.files.waitForProcessing(file.id)).status, 'processed');
  assert.deepEqual(await client.files.retrieve(file.id), file);
  assert.equal(await (await client.files.content(file.id)).text(), 'hello');
  await client.files.create({
    file: await toFile(Buffer.from('more'), 'b.txt'),
    purpose: 'user_data',
  });
  const names = [];
  for await (const f of client.files.list({ purpose: 'user_data', limit: 1 }))
    names.push(f.filename);
  assert.deepEqual(names.slice(0, 2), ['b.txt', 'a.txt']);
  assert.equal((await client.files.delete(file.id)).deleted, true);
  await refused(client.files.retrieve(file.id), OpenAI.NotFoundError, 404);
  await refused(client.files.content(file.id), OpenAI.NotFoundError, 404);
});

test('a file whose lines are no JSON is refused with the line', async () => {
  const e = await refused(
    client.files.create({ file: await jsonl(['{}', 'no']), purpose: 'fine-tune' }),
    OpenAI.BadRequestError,
    400,
  );
  assert.match(e.message, /line 2/);
  assert.equal(e.param, 'file');
});

test('an upload in parts', async () => {
  const data = Buffer.from(
    Array.from({ length: 3000 }, (_, i) => line(i, { messages: [] })).join('\n'),
  );
  const begun = await client.uploads.create({
    bytes: data.length,
    filename: 'u.jsonl',
    mime_type: 'application/jsonl',
    purpose: 'batch',
  });
  assert.equal(begun.status, 'pending');
  const cuts = [0, 100000, 200000, data.length];
  const parts = await Promise.all(
    cuts
      .slice(1)
      .map(async (end, i) =>
        client.uploads.parts.create(begun.id, {
          data: await toFile(data.subarray(cuts[i], end), 'part'),
        }),
      ),
  );
  const md5 = createHash('md5').update(data).digest('hex');
  const done = await client.uploads.complete(begun.id, { part_ids: parts.map((p) => p.id), md5 });
  assert.equal(done.status, 'completed');
  assert.equal(done.file.bytes, data.length);
  assert.equal(
    Buffer.compare(
      Buffer.from(await (await client.files.content(done.file.id)).arrayBuffer()),
      data,
    ),
    0,
  );
  const other = await client.uploads.create({
    bytes: 1,
    filename: 'x',
    mime_type: 'text/plain',
    purpose: 'user_data',
  });
  assert.equal((await client.uploads.cancel(other.id)).status, 'cancelled');
});

test('a batch', async () => {
  const lines = Array.from({ length: 8 }, (_, i) =>
    line(i, { messages: [{ role: 'user', content: `Say ${i}` }], max_tokens: 6 }),
  );
  lines.push(line(8, { messages: [{ role: 'user', content: 'x' }], temperature: 9 }));
  const file = await client.files.create({ file: await jsonl(lines), purpose: 'batch' });
  const begun = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata: { name: 'test' },
  });
  assert.match(begun.id, /^batch_/);
  const done = await ended(begun);
  assert.equal(done.status, 'completed');
  assert.deepEqual(done.request_counts, { total: 9, completed: 8, failed: 1 });
  assert.deepEqual(done.metadata, { name: 'test' });
  const out = await read(done.output_file_id);
  assert.deepEqual(
    out.map((o) => o.custom_id).sort(),
    Array.from({ length: 8 }, (_, i) => `c${i}`),
  );
  for (const o of out) {
    assert.equal(o.response.status_code, 200);
    assert.equal(o.response.body.object, 'chat.completion');
    assert.ok(o.response.body.usage.completion_tokens <= 6);
  }
  assert.equal(
    done.usage.output_tokens,
    out.reduce((n, o) => n + o.response.body.usage.completion_tokens, 0),
  );
  const [failed] = await read(done.error_file_id);
  assert.equal(failed.response.status_code, 400);
  assert.equal(failed.response.body.error.param, 'temperature');
  for await (const b of client.batches.list({ limit: 1 })) {
    assert.equal(b.id, done.id);
    break;
  }
});

test('batches of embeddings and of responses', async () => {
  for (const [to, body] of [
    ['/v1/embeddings', { input: 'x' }],
    ['/v1/responses', { input: 'x', max_output_tokens: 4 }],
  ]) {
    const file = await client.files.create({
      file: await jsonl([line(0, body, to)]),
      purpose: 'batch',
    });
    const done = await ended(
      await client.batches.create({
        input_file_id: file.id,
        endpoint: to,
        completion_window: '24h',
      }),
    );
    assert.deepEqual(done.request_counts, { total: 1, completed: 1, failed: 0 });
    assert.equal((await read(done.output_file_id))[0].response.status_code, 200);
  }
});

test('a batch that cannot be', async () => {
  const file = await client.files.create({
    file: await jsonl([line(0, {}), line(0, {})]),
    purpose: 'batch',
  });
  const failed = await ended(
    await client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    }),
  );
  assert.equal(failed.status, 'failed');
  assert.deepEqual(
    [failed.errors.data[0].line, failed.errors.data[0].code],
    [2, 'duplicate_custom_id'],
  );
  await refused(
    client.batches.create({
      input_file_id: 'file-none',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    }),
    OpenAI.BadRequestError,
    400,
  );
  await refused(client.batches.retrieve('batch_none'), OpenAI.NotFoundError, 404);
});

test('a batch is cancelled', async () => {
  const lines = Array.from({ length: 200 }, (_, i) =>
    line(i, { messages: [{ role: 'user', content: 'Tell me a long story.' }], max_tokens: 200 }),
  );
  const file = await client.files.create({ file: await jsonl(lines), purpose: 'batch' });
  const begun = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  const cancelling = await client.batches.cancel(begun.id);
  assert.equal(cancelling.status, 'cancelling');
  const done = await ended(cancelling);
  assert.equal(done.status, 'cancelled');
  assert.ok(done.cancelled_at >= done.cancelling_at);
});
