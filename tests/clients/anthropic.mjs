// Anthropic's own client against a running cloud, as openai.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';

const url = process.env.FEITIAN_URL;
const client = new Anthropic({ baseURL: url, apiKey: process.env.FEITIAN_API_KEY, maxRetries: 0 });
const model = 'nano';
const messages = [{ role: 'user', content: 'What is feitian?' }];
const create = (more) =>
  client.messages.create({ model, max_tokens: 12, temperature: 0, messages, ...more });
const weather = {
  name: 'weather',
  description: 'The weather of a city',
  input_schema: {
    type: 'object',
    properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
};

async function refused(promise, kind, status, type) {
  try {
    await promise;
  } catch (e) {
    assert.ok(e instanceof kind, `${e.constructor.name}: ${e.message}`);
    assert.equal(e.status, status);
    assert.equal(e.error.type, 'error');
    assert.equal(e.error.error.type, type);
    return e.error.error.message;
  }
  assert.fail(`not refused; ${kind.name} was expected`);
}

test('a message', async () => {
  const m = await create();
  assert.match(m.id, /^msg_/);
  assert.equal(m.type, 'message');
  assert.equal(m.role, 'assistant');
  assert.equal(m.content[0].type, 'text');
  assert.equal(m.stop_reason, 'max_tokens');
  assert.equal(m.usage.output_tokens, 12);
  assert.ok(m._request_id);
});

test('a stream says what the message says', async () => {
  const whole = await create();
  const stream = client.messages.stream({ model, max_tokens: 12, temperature: 0, messages });
  const types = [];
  stream.on('streamEvent', (e) => types.push(e.type));
  const done = await stream.finalMessage();
  assert.equal(done.content[0].text, whole.content[0].text);
  assert.equal(done.stop_reason, 'max_tokens');
  assert.equal(done.usage.output_tokens, 12);
  assert.ok(done.usage.input_tokens + done.usage.cache_read_input_tokens > 0);
  assert.equal(types[0], 'message_start');
  assert.equal(types.at(-1), 'message_stop');
  assert.equal(types.at(-2), 'message_delta');
  assert.equal(types.filter((t) => t === 'content_block_start').length, 1);
});

test('system, blocks, stop sequences', async () => {
  const whole = (await create({ max_tokens: 40 })).content[0].text;
  const stop = whole.slice(10, 13);
  const m = await create({ max_tokens: 40, stop_sequences: ['\u0001', stop] });
  assert.equal(m.stop_reason, 'stop_sequence');
  assert.equal(m.stop_sequence, stop);
  assert.equal(m.content[0].text, whole.slice(0, whole.indexOf(stop)));
  const blocks = await create({
    system: [{ type: 'text', text: 'Be short.', cache_control: { type: 'ephemeral' } }],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }],
    metadata: { user_id: 'u' },
  });
  assert.equal(blocks.type, 'message');
});

test('tools: any, one, and their results', async () => {
  const m = await create({ tools: [weather], tool_choice: { type: 'any' }, max_tokens: 60 });
  assert.equal(m.stop_reason, 'tool_use');
  const use = m.content.find((b) => b.type === 'tool_use');
  assert.equal(use.name, 'weather');
  assert.ok(['Paris', 'Rome'].includes(use.input.city));
  const next = await create({
    tools: [weather],
    messages: [
      ...messages,
      { role: 'assistant', content: m.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'Sun' }] },
    ],
  });
  assert.equal(next.type, 'message');
  const stream = client.messages.stream({
    model,
    max_tokens: 60,
    messages,
    tools: [weather],
    tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true },
  });
  let json = '';
  stream.on('inputJson', (delta) => (json += delta));
  const done = await stream.finalMessage();
  assert.deepEqual(JSON.parse(json), done.content.find((b) => b.type === 'tool_use').input);
});

test('the tool runner, which asks for a thread first', async () => {
  const asked = [];
  const runner = client.beta.messages.toolRunner({
    model,
    max_tokens: 80,
    messages,
    max_iterations: 2,
    tool_choice: { type: 'any' },
    tools: [
      { ...weather, run: async ({ city }) => asked.push(city) && 'Sun', parse: (input) => input },
    ],
  });
  const stops = [];
  for await (const m of runner) stops.push(m.stop_reason);
  assert.deepEqual(stops, ['tool_use', 'tool_use']);
  assert.ok(asked.length >= 1 && asked.every((c) => ['Paris', 'Rome'].includes(c)));
});

test('the system speaks between turns', async () => {
  const m = await create({ messages: [...messages, { role: 'system', content: 'Be short.' }] });
  assert.equal(m.usage.output_tokens_details.thinking_tokens, 0);
  assert.equal(m.stop_reason, 'max_tokens');
});

test('structured output', async () => {
  const schema = {
    type: 'object',
    properties: { ok: { type: 'boolean' } },
    required: ['ok'],
    additionalProperties: false,
  };
  const m = await create({
    max_tokens: 60,
    output_config: { format: { type: 'json_schema', schema } },
  });
  assert.equal(typeof JSON.parse(m.content[0].text).ok, 'boolean');
  const either = await create({
    max_tokens: 60,
    output_config: { format: { type: 'json_schema', schema } },
    tools: [{ ...weather, strict: true }],
  });
  for (const b of either.content) {
    if (b.type === 'text') assert.equal(typeof JSON.parse(b.text).ok, 'boolean');
    else assert.ok(['Paris', 'Rome'].includes(b.input.city));
  }
  assert.ok(either.content.length > 0);
});

test('tokens are counted as they are charged', async () => {
  const n = await client.messages.countTokens({ model, messages });
  const m = await create();
  assert.equal(n.input_tokens, m.usage.input_tokens + m.usage.cache_read_input_tokens);
});

test('errors come as the classes that clients know', async () => {
  const bad = new Anthropic({ baseURL: url, apiKey: 'wrong', maxRetries: 0 });
  await refused(
    bad.messages.create({ model, max_tokens: 1, messages }),
    Anthropic.AuthenticationError,
    401,
    'authentication_error',
  );
  await refused(create({ model: 'no-such' }), Anthropic.NotFoundError, 404, 'not_found_error');
  assert.match(
    await refused(
      create({ temperature: 2 }),
      Anthropic.BadRequestError,
      400,
      'invalid_request_error',
    ),
    /temperature/,
  );
  assert.match(
    await refused(
      create({ max_tokens: undefined }),
      Anthropic.BadRequestError,
      400,
      'invalid_request_error',
    ),
    /max_tokens/,
  );
  const image = [
    {
      role: 'user',
      content: [
        { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } },
      ],
    },
  ];
  assert.match(
    await refused(
      create({ messages: image }),
      Anthropic.BadRequestError,
      400,
      'invalid_request_error',
    ),
    /messages\[0\]\.content\[0\]\.image/,
  );
  assert.match(
    await refused(
      client.messages.stream({ model, max_tokens: 5, messages, nonsense: 1 }).finalMessage(),
      Anthropic.BadRequestError,
      400,
      'invalid_request_error',
    ),
    /nonsense/,
  );
});
