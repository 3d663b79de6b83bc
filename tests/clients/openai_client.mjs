// OpenAI's own client on the cloud that is tried, and what its tests share. The model is nano; its
// words do not matter here, the protocol does.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

export const url = process.env.FEITIAN_URL;
export const client = new OpenAI({
  baseURL: `${url}/v1`,
  apiKey: process.env.FEITIAN_API_KEY,
  maxRetries: 0,
});

export const model = 'nano';
export const ask = [{ role: 'user', content: 'What is feitian?' }];
export const chat = (more) =>
  client.chat.completions.create({ model, messages: ask, max_tokens: 12, temperature: 0, ...more });
export const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } },
      required: ['city'],
      additionalProperties: false,
    },
  },
};
export const schema = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 10 },
    age: { type: 'integer', minimum: 1, maximum: 99 },
  },
  required: ['name', 'age'],
  additionalProperties: false,
};

export async function events(stream) {
  const all = [];
  for await (const e of stream) all.push(e);
  return all;
}

// What is thrown, which must be of this class and status.
export async function refused(promise, kind, status) {
  try {
    await promise;
  } catch (e) {
    assert.ok(e instanceof kind, `${e.constructor.name}: ${e.message}`);
    assert.equal(e.status, status);
    return e;
  }
  assert.fail(`not refused; ${kind.name} was expected`);
}
