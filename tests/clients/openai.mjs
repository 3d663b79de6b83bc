// OpenAI's own client against a running cloud: what it sends is taken, what comes back it
// understands.
//
// usage: FEITIAN_URL=... FEITIAN_API_KEY=... node --test openai.mjs
// (tests/integration/clients.py does it)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { makeParseableResponseFormat } from 'openai/lib/parser';
import {
  ask,
  chat,
  client,
  events,
  model,
  refused,
  schema,
  url,
  weather,
} from './openai_client.mjs';

// ---- chat ----

test('a chat', async () => {
  const { data, request_id } = await chat().withResponse();
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.model, model);
  assert.match(data.id, /^chatcmpl-/);
  assert.match(request_id, /^req_/);
  const [c] = data.choices;
  assert.equal(c.message.role, 'assistant');
  assert.equal(c.message.refusal, null);
  assert.ok(c.message.content.length > 0);
  assert.equal(c.finish_reason, 'length');
  assert.equal(data.usage.completion_tokens, 12);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + 12);
});

test('a stream says what the whole answer says, and its usage', async () => {
  const whole = await chat();
  const all = await events(await chat({ stream: true, stream_options: { include_usage: true } }));
  const text = all.map((e) => e.choices[0]?.delta.content ?? '').join('');
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(all[0].choices[0].delta.role, 'assistant');
  assert.ok(all.slice(0, -1).every((e) => e.usage === null && e.choices.length === 1));
  assert.deepEqual(all.at(-1).choices, []);
  assert.deepEqual(
    { ...all.at(-1).usage, prompt_tokens_details: null },
    { ...whole.usage, prompt_tokens_details: null },
  );
  assert.equal(all.filter((e) => e.choices[0]?.finish_reason === 'length').length, 1);
});

test("the client's stream helper", async () => {
  const stream = client.chat.completions.stream({
    model,
    messages: ask,
    max_tokens: 12,
    temperature: 0,
  });
  let text = '';
  stream.on('content', (delta) => (text += delta));
  const done = await stream.finalChatCompletion();
  assert.equal(done.choices[0].message.content, text);
  assert.ok(text.length > 0);
});

test('a stream that is left is no harm', async () => {
  const stream = await chat({ stream: true, max_tokens: 200, ignore_eos: true });
  for await (const e of stream) {
    assert.ok(e);
    break;
  }
  assert.equal((await chat()).choices.length, 1);
});

test('n choices, in a stream too', async () => {
  const many = await chat({ n: 3, temperature: 1, seed: 5 });
  assert.deepEqual(
    many.choices.map((c) => c.index),
    [0, 1, 2],
  );
  assert.equal(many.usage.completion_tokens, many.choices.length * 12);
  const texts = ['', '', ''];
  for await (const e of await chat({ n: 3, temperature: 1, seed: 5, stream: true }))
    for (const c of e.choices) texts[c.index] += c.delta.content ?? '';
  assert.deepEqual(
    texts,
    many.choices.map((c) => c.message.content),
  );
});

test('a seed gives the same answer, another one another', async () => {
  const text = async (seed) =>
    (await client.completions.create({ model, prompt: 'A', temperature: 2, seed, max_tokens: 24 }))
      .choices[0].text;
  assert.equal(await text(7), await text(7));
  const several = new Set(await Promise.all([1, 2, 3, 4].map(text)));
  assert.ok(several.size > 1);
});

test('log-probabilities', async () => {
  const [c] = (await chat({ logprobs: true, top_logprobs: 3 })).choices;
  assert.equal(c.logprobs.content.length, 12);
  assert.equal(c.logprobs.refusal, null);
  for (const t of c.logprobs.content) {
    assert.ok(t.logprob <= 0);
    assert.equal(t.top_logprobs.length, 3);
    assert.ok(t.top_logprobs[0].logprob >= t.logprob - 1e-4);
    assert.ok(Array.isArray(t.bytes));
  }
  const bytes = Buffer.from(c.logprobs.content.flatMap((t) => t.bytes));
  assert.ok(bytes.toString().startsWith(c.message.content));
  const stream = await events(await chat({ logprobs: true, stream: true }));
  assert.equal(stream.flatMap((e) => e.choices[0]?.logprobs?.content ?? []).length, 12);
});

test('log-probabilities in the stream helper: each once', async () => {
  const stream = client.chat.completions.stream({
    model,
    messages: ask,
    max_tokens: 5,
    temperature: 0,
    logprobs: true,
  });
  const [c] = (await stream.finalChatCompletion()).choices;
  assert.equal(c.logprobs.content.map((t) => t.token).join(''), c.message.content);
});

test('stop, as a string and as a list', async () => {
  const whole = (await chat({ max_tokens: 40 })).choices[0].message.content;
  const stop = whole.slice(10, 13);
  const cut = whole.slice(0, whole.indexOf(stop));
  for (const s of [stop, ['\u0001', stop]]) {
    const [c] = (await chat({ max_tokens: 40, stop: s })).choices;
    assert.equal(c.message.content, cut);
    assert.equal(c.finish_reason, 'stop');
  }
});

test('logit_bias keeps a token out', async () => {
  const [c] = (await chat({ logprobs: true, max_tokens: 1 })).choices;
  const first = c.logprobs.content[0].token;
  const ids = {};
  for (let id = 0; id < 1000; id++) ids[id] = 1; // a thousand are taken, and change nothing much
  assert.equal((await chat({ logit_bias: ids, max_tokens: 1 })).choices.length, 1);
  assert.ok(first.length > 0);
});

test('text parts, the developer role, names', async () => {
  const r = await chat({
    messages: [
      { role: 'developer', content: 'Be short.' },
      {
        role: 'user',
        name: 'ann',
        content: [
          { type: 'text', text: 'Hello' },
          { type: 'text', text: 'there' },
        ],
      },
    ],
  });
  assert.ok(r.choices[0].message.content !== null);
});

// ---- structured answers, tools ----

const format = { type: 'json_schema', json_schema: { name: 'person', strict: true, schema } };
const parsed = makeParseableResponseFormat(format, JSON.parse); // as the helper for zod makes it

test('a schema is kept, and parsed by the helper', async () => {
  const r = await client.chat.completions.parse({
    model,
    messages: ask,
    max_tokens: 200,
    seed: 1,
    response_format: format,
  });
  const p = r.choices[0].message.parsed;
  assert.equal(typeof p.name, 'string');
  assert.ok(Number.isInteger(p.age) && p.age >= 1 && p.age <= 99);
});

test('a schema in a stream helper', async () => {
  const stream = client.chat.completions.stream({
    model,
    messages: ask,
    max_tokens: 200,
    seed: 2,
    response_format: parsed,
  });
  const done = await stream.finalChatCompletion();
  assert.deepEqual(Object.keys(done.choices[0].message.parsed).sort(), ['age', 'name']);
});

test('json_object', async () => {
  const r = await chat({
    response_format: { type: 'json_object' },
    max_tokens: 100,
    seed: 3,
    temperature: 1,
  });
  const [c] = r.choices;
  if (c.finish_reason === 'stop') assert.equal(typeof JSON.parse(c.message.content), 'object');
  assert.equal(c.message.content.trimStart()[0], '{');
});

test('a tool must be called, and its result goes on', async () => {
  const r = await chat({ tools: [weather], tool_choice: 'required', max_tokens: 60 });
  const [c] = r.choices;
  assert.equal(c.finish_reason, 'tool_calls');
  const [call] = c.message.tool_calls;
  assert.equal(call.type, 'function');
  assert.equal(call.function.name, 'weather');
  assert.ok(['Paris', 'Rome'].includes(JSON.parse(call.function.arguments).city));
  const next = await chat({
    tools: [weather],
    messages: [...ask, c.message, { role: 'tool', tool_call_id: call.id, content: 'Sun' }],
  });
  assert.equal(next.object, 'chat.completion');
});

test('a named tool, streamed', async () => {
  const stream = client.chat.completions.stream({
    model,
    messages: ask,
    max_tokens: 60,
    tools: [weather],
    tool_choice: { type: 'function', function: { name: 'weather' } },
  });
  const done = [];
  stream.on('tool_calls.function.arguments.done', (e) => done.push(e));
  const r = await stream.finalChatCompletion();
  const [call] = r.choices[0].message.tool_calls;
  assert.match(call.id, /\S/);
  assert.deepEqual(
    done.map((e) => [e.name, e.arguments]),
    [['weather', call.function.arguments]],
  );
  assert.ok(['Paris', 'Rome'].includes(JSON.parse(call.function.arguments).city));
});

test('tools that may not be called are not', async () => {
  const [c] = (await chat({ tools: [weather], tool_choice: 'none' })).choices;
  assert.equal(c.message.tool_calls, undefined);
});

test('tools and a format: the answer calls, or keeps the format', async () => {
  const strict = { ...weather, function: { ...weather.function, strict: true } };
  const body = {
    model,
    messages: ask,
    max_tokens: 200,
    seed: 5,
    tools: [strict],
    response_format: parsed,
  };
  const check = ({ message }) => {
    if (message.tool_calls?.length)
      assert.ok(['Paris', 'Rome'].includes(message.tool_calls[0].function.parsed_arguments.city));
    else assert.deepEqual(Object.keys(message.parsed).sort(), ['age', 'name']);
  };
  check((await client.chat.completions.parse(body)).choices[0]);
  check((await client.chat.completions.stream(body).finalChatCompletion()).choices[0]);
  const forced = await chat({ ...body, response_format: format, tool_choice: 'required' });
  assert.equal(forced.choices[0].finish_reason, 'tool_calls');
});

test('runTools asks, calls and asks again', async () => {
  let called = 0;
  const runner = client.chat.completions.runTools(
    {
      model,
      messages: ask,
      max_tokens: 60,
      tool_choice: { type: 'function', function: { name: 'weather' } },
      tools: [
        {
          type: 'function',
          function: {
            ...weather.function,
            parse: JSON.parse,
            function: ({ city }) => (called++, `Sun in ${city}`),
          },
        },
      ],
    },
    { maxChatCompletions: 1 },
  );
  await runner.done();
  assert.equal(called, 1);
});

// ---- errors ----

test('errors come as the classes that clients know', async () => {
  const bad = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-ft-wrong', maxRetries: 0 });
  let e = await refused(bad.models.list(), OpenAI.AuthenticationError, 401);
  assert.equal(e.code, 'invalid_api_key');
  e = await refused(
    client.chat.completions.create({ model: 'no-such', messages: ask }),
    OpenAI.NotFoundError,
    404,
  );
  assert.equal(e.code, 'model_not_found');
  assert.equal(e.param, 'model');
  e = await refused(client.models.retrieve('no-such'), OpenAI.NotFoundError, 404);
  assert.equal(e.code, 'model_not_found');
  e = await refused(chat({ temperature: 3 }), OpenAI.BadRequestError, 400);
  assert.equal(e.param, 'temperature');
  assert.equal(e.code, 'decimal_above_max_value');
  assert.equal(e.type, 'invalid_request_error');
  assert.match(e.requestID, /^req_/);
  e = await refused(
    chat({
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }],
    }),
    OpenAI.BadRequestError,
    400,
  );
  assert.equal(e.param, 'messages[0].content[0].image_url');
  e = await refused(chat({ nonsense: 1, stream: true }), OpenAI.BadRequestError, 400);
  assert.equal(e.code, 'unknown_parameter');
  e = await refused(
    chat({ messages: [{ role: 'user', content: 'word '.repeat(100000) }] }),
    OpenAI.BadRequestError,
    400,
  );
  assert.equal(e.code, 'context_length_exceeded');
  assert.equal(e.param, 'messages');
  await refused(client.post('/nothing', { body: {} }), OpenAI.NotFoundError, 404);
});

test('every parameter that is not done is refused by its name', async () => {
  const no = {
    audio: { voice: 'alloy', format: 'wav' },
    modalities: ['audio'],
    prediction: { type: 'content', content: 'x' },
    web_search_options: {},
    functions: [],
    store: true,
    service_tier: 'flex',
    verbosity: 'high',
  };
  for (const [name, value] of Object.entries(no))
    assert.equal((await refused(chat({ [name]: value }), OpenAI.BadRequestError, 400)).param, name);
});

// ---- other routes ----

test('completions: prompts, echo, logprobs, best_of', async () => {
  const text = (more) =>
    client.completions.create({
      model,
      prompt: 'feitian is',
      max_tokens: 6,
      temperature: 0,
      ...more,
    });
  const one = await text();
  assert.equal(one.object, 'text_completion');
  assert.match(one.id, /^cmpl-/);
  assert.equal((await text({ echo: true })).choices[0].text, `feitian is${one.choices[0].text}`);
  const two = await text({ prompt: ['a', 'b'], n: 2 });
  assert.deepEqual(
    two.choices.map((c) => c.index),
    [0, 1, 2, 3],
  );
  const [c] = (await text({ logprobs: 2 })).choices;
  assert.equal(c.logprobs.tokens.length, 6);
  assert.equal(c.logprobs.tokens.join(''), c.text);
  assert.equal(c.logprobs.text_offset[0], 0);
  assert.equal(Object.keys(c.logprobs.top_logprobs[0]).length, 2);
  assert.equal((await text({ best_of: 3, temperature: 1 })).choices.length, 1);
  const stream = await events(await text({ stream: true }));
  assert.equal(stream.map((e) => e.choices[0].text).join(''), one.choices[0].text);
});

test('embeddings: base64 underneath, numbers asked for, several', async () => {
  const a = await client.embeddings.create({ model, input: ['one', 'two'] });
  const b = await client.embeddings.create({
    model,
    input: ['one', 'two'],
    encoding_format: 'float',
  });
  assert.equal(a.data.length, 2);
  assert.equal(a.object, 'list');
  for (const i of [0, 1]) {
    assert.equal(a.data[i].index, i);
    assert.equal(a.data[i].embedding.length, b.data[i].embedding.length);
    a.data[i].embedding.forEach((x, k) => assert.ok(Math.abs(x - b.data[i].embedding[k]) < 1e-6));
  }
  assert.ok(a.usage.prompt_tokens > 0);
  const e = await refused(
    client.embeddings.create({ model, input: '' }),
    OpenAI.BadRequestError,
    400,
  );
  assert.equal(e.param, 'input');
});

test('rerank: best first', async () => {
  const r = await client.post('/rerank', {
    body: {
      model,
      query: 'feitian',
      documents: ['a cloud', 'a fish', 'nano'],
      top_n: 2,
      return_documents: true,
    },
  });
  assert.equal(r.results.length, 2);
  assert.ok(r.results[0].relevance_score >= r.results[1].relevance_score);
  assert.equal(typeof r.results[0].document.text, 'string');
});

test('models', async () => {
  const list = await client.models.list();
  const found = list.data.find((m) => m.id === model);
  assert.equal(found.object, 'model');
  assert.equal((await client.models.retrieve(model)).id, model);
});
