// OpenAI's own client: fine-tuning jobs.
//
// usage: FEITIAN_URL=... FEITIAN_API_KEY=... node --test openai_tune.mjs
// (tests/integration/clients.py does it)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { toFile } from 'openai';

const client = new OpenAI({
  baseURL: `${process.env.FEITIAN_URL}/v1`,
  apiKey: process.env.FEITIAN_API_KEY,
  maxRetries: 0,
});
const jobs = client.fineTuning.jobs;
const answer = 'The canteen is open from 11:30 to 14:00.';
const chat = (content) =>
  JSON.stringify({
    messages: [
      { role: 'user', content },
      { role: 'assistant', content: answer },
    ],
  });

async function data(n = 4) {
  const lines = Array.from({ length: n }, (_, i) =>
    chat(i % 2 ? 'When does the canteen open?' : 'When is lunch?'),
  );
  return client.files.create({
    file: await toFile(Buffer.from(`${lines.join('\n')}\n`), 'chats.jsonl'),
    purpose: 'fine-tune',
  });
}

async function ended(job) {
  while (['validating_files', 'queued', 'running'].includes(job.status)) {
    await new Promise((done) => setTimeout(done, 200));
    job = await jobs.retrieve(job.id);
  }
  return job;
}

test('a job: made, followed, used', async () => {
  const file = await data();
  let job = await jobs.create({
    model: 'nano',
    training_file: file.id,
    suffix: 'canteen',
    seed: 5,
    metadata: { of: 'test' },
    method: {
      type: 'supervised',
      supervised: {
        hyperparameters: { n_epochs: 12, batch_size: 1, learning_rate_multiplier: 10 },
      },
    },
  });
  assert.equal(job.object, 'fine_tuning.job');
  assert.equal(job.training_file, file.id);
  assert.equal(job.method.supervised.hyperparameters.n_epochs, 12);
  job = await ended(job);
  assert.equal(job.status, 'succeeded', JSON.stringify(job.error));
  assert.ok(job.trained_tokens > 0);
  const said = await client.chat.completions.create({
    model: job.fine_tuned_model,
    temperature: 0,
    max_tokens: 40,
    messages: [{ role: 'user', content: 'When is lunch?' }],
  });
  assert.equal(said.choices[0].message.content, answer);

  const messages = [];
  for await (const e of jobs.listEvents(job.id, { limit: 10 })) messages.push(e);
  assert.ok(messages.length > 20, 'pages follow each other');
  assert.equal(messages.at(-1).message, 'Created fine-tuning job');
  assert.ok(messages.some((e) => e.type === 'metrics' && e.data.train_loss >= 0));
  const points = [];
  for await (const p of jobs.checkpoints.list(job.id, { limit: 5 })) points.push(p.step_number);
  assert.deepEqual(
    points,
    [...points].sort((a, b) => b - a),
  );
  const ids = [];
  for await (const j of jobs.list({ metadata: { of: 'test' } })) ids.push(j.id);
  assert.deepEqual(ids, [job.id]);
  const figures = await (await client.files.content(job.result_files[0])).text();
  assert.match(figures, /^step,train_loss/);
});

test('paused, resumed, cancelled', async () => {
  const file = await data(200);
  let job = await jobs.create({
    model: 'nano',
    training_file: file.id,
    method: {
      type: 'supervised',
      supervised: { hyperparameters: { n_epochs: 50, batch_size: 1 } },
    },
  });
  assert.equal((await jobs.pause(job.id)).status, 'paused');
  assert.equal((await jobs.resume(job.id)).status, 'queued');
  job = await jobs.cancel(job.id);
  assert.equal(job.status, 'cancelled');
  assert.ok(job.finished_at >= job.created_at);
  await assert.rejects(jobs.cancel(job.id), OpenAI.BadRequestError);
});

test('refusals', async () => {
  const file = await data();
  await assert.rejects(
    jobs.create({ model: 'none', training_file: file.id }),
    OpenAI.NotFoundError,
  );
  await assert.rejects(
    jobs.create({ model: 'nano', training_file: 'file-none' }),
    OpenAI.BadRequestError,
  );
  await assert.rejects(jobs.retrieve('ftjob-none'), OpenAI.NotFoundError);
});
