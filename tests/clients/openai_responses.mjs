// OpenAI's own client: responses.
//
// usage: FEITIAN_URL=... FEITIAN_API_KEY=... node --test openai_responses.mjs
// (tests/integration/clients.py does it)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { client, model, refused, schema, weather } from './openai_client.mjs';

test('a response, shown, listed, deleted', async () => {
  const r = await client.responses.create({
    model,
    input: 'What is feitian?',
    max_output_tokens: 12,
    temperature: 0,
    metadata: { a: 'b' },
  });
  assert.match(r.id, /^resp_/);
  assert.equal(r.status, 'incomplete');
  assert.equal(r.incomplete_details.reason, 'max_output_tokens');
  assert.equal(r.usage.output_tokens, 12);
  assert.ok(r.output_text.length > 0);
  assert.deepEqual(r.metadata, { a: 'b' });
  const shown = await client.responses.retrieve(r.id);
  assert.deepEqual(shown.output, r.output);
  const items = await client.responses.inputItems.list(r.id);
  assert.equal(items.data[0].content[0].text, 'What is feitian?');
  await client.responses.delete(r.id);
  await refused(client.responses.retrieve(r.id), OpenAI.NotFoundError, 404);
});

test('a response goes on behind another', async () => {
  const one = await client.responses.create({
    model,
    input: 'Hello',
    max_output_tokens: 8,
    temperature: 0,
  });
  const two = await client.responses.create({
    model,
    input: 'And?',
    previous_response_id: one.id,
    max_output_tokens: 8,
    temperature: 0,
  });
  assert.equal(two.previous_response_id, one.id);
  assert.ok(two.usage.input_tokens > one.usage.input_tokens);
  const items = await client.responses.inputItems.list(two.id, { order: 'asc' });
  assert.deepEqual(
    items.data.map((i) => i.role),
    ['user', 'assistant', 'user'],
  );
  const apart = await client.responses.create({
    model,
    input: 'x',
    store: false,
    max_output_tokens: 4,
  });
  await refused(client.responses.retrieve(apart.id), OpenAI.NotFoundError, 404);
  const e = await refused(
    client.responses.create({ model, input: 'x', previous_response_id: apart.id }),
    OpenAI.BadRequestError,
    400,
  );
  assert.equal(e.code, 'previous_response_not_found');
});

test('a response in a stream helper', async () => {
  const stream = client.responses.stream({
    model,
    input: 'What is feitian?',
    max_output_tokens: 12,
    temperature: 0,
  });
  const types = [];
  for await (const e of stream) types.push(e.type);
  const done = await stream.finalResponse();
  assert.deepEqual(types.slice(0, 4), [
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
  ]);
  assert.equal(types.at(-1), 'response.incomplete');
  assert.equal(done.output_text.length > 0, true);
  assert.deepEqual((await client.responses.retrieve(done.id)).output[0].id, done.output[0].id);
});

test('responses: tools and formats', async () => {
  const tool = { type: 'function', ...weather.function, strict: true };
  const r = await client.responses.create({
    model,
    input: 'Rome?',
    tools: [tool],
    tool_choice: 'required',
    max_output_tokens: 60,
  });
  const call = r.output.find((o) => o.type === 'function_call');
  assert.ok(['Paris', 'Rome'].includes(JSON.parse(call.arguments).city));
  const next = await client.responses.create({
    model,
    previous_response_id: r.id,
    tools: [tool],
    max_output_tokens: 8,
    input: [{ type: 'function_call_output', call_id: call.call_id, output: 'Sun' }],
  });
  assert.equal(next.object, 'response');
  const p = await client.responses.parse({
    model,
    input: 'Who?',
    max_output_tokens: 200,
    text: { format: { type: 'json_schema', name: 'person', strict: true, schema } },
  });
  assert.deepEqual(Object.keys(p.output_parsed).sort(), ['age', 'name']);
  const either = await client.responses.parse({
    model,
    input: 'Who?',
    max_output_tokens: 200,
    tools: [tool],
    text: { format: { type: 'json_schema', name: 'person', strict: true, schema } },
  });
  if (either.output.some((o) => o.type === 'function_call')) assert.equal(either.output_text, '');
  else assert.deepEqual(Object.keys(either.output_parsed).sort(), ['age', 'name']);
  const stream = client.responses.stream({
    model,
    input: 'Rome?',
    tools: [tool],
    tool_choice: 'required',
    max_output_tokens: 60,
  });
  let args = '';
  stream.on('response.function_call_arguments.delta', (e) => (args += e.delta));
  const done = await stream.finalResponse();
  assert.equal(args, done.output.find((o) => o.type === 'function_call').arguments);
});
