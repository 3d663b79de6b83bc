// The playground, with the model that ships, as people use it.
import { execFileSync } from 'node:child_process';
import { assert, eventually, said, start, test } from './harness.mjs';
import { curlCode, jsCode, pythonCode } from '../../src/console/web/src/pages/playground/code.js';
import {
  fromLink,
  readParams,
  readTools,
  toLink,
} from '../../src/console/web/src/pages/playground/params.js';
import {
  addEvent,
  bodyOf,
  newAnswer,
  openCalls,
  toShow,
} from '../../src/console/web/src/pages/playground/run.js';

const cloud = await start({ nano: true });
await cloud.api('POST', '/api/v1/endpoints', {
  name: 'second',
  targets: [{ model: 'nano' }],
  replicas: { min: 0, max: 1 },
});

const message = (page) => page.getByLabel('Message', { exact: true });

async function say(page, words) {
  await message(page).fill(words);
  await message(page).press('Enter');
}

const holds = (field, value) =>
  eventually(async () => assert.equal(await field.inputValue(), value));

// Answers that are over, in order.
async function answered(page, n) {
  await page.waitForFunction(
    (want) => document.querySelectorAll('.pg-answer[aria-busy="false"]').length === want,
    n,
  );
  return page.locator('.pg-answer');
}

// What others run must read as what was sent, whatever is in it.
const NASTY = {
  model: 'nano',
  messages: [{ role: 'user', content: 'it\'s "quoted" \\ $HOME `x`\n飞天 \u2028' }],
  temperature: 0.5,
  stop: ['\n'],
  stream: true,
  top_k: 3,
  'a-b': null,
  tools: [],
  response_format: { type: 'json_object' },
};

test('the code for other programs says what is sent, to the letter', () => {
  const args = execFileSync('bash', [
    '-c',
    `curl() { printf '%s' "\${@: -1}"; }\n${curlCode('http://x', NASTY)}`,
  ]);
  assert.deepEqual(JSON.parse(args), NASTY);
  const js = /completions\.create\((\{[\s\S]*\})\);/.exec(jsCode('http://x', NASTY))[1];
  assert.deepEqual(new Function(`return ${js}`)(), NASTY);
  const { 'a-b': _, top_k, ...known } = NASTY; // Python's names have no dash
  const call = pythonCode('http://x', { ...known, top_k })
    .replace(/^import.*|^from.*|^client.*/gm, '')
    .replace('client.chat.completions.create', 'dict')
    .split('\nfor event')[0];
  const said = execFileSync('python3', ['-c', `import json\n${call}\nprint(json.dumps(stream))`]);
  assert.deepEqual(JSON.parse(said), { ...known, extra_body: { top_k } });
});

test('the code has the last question, the next where one is written, or an example', () => {
  const asked = { role: 'user', content: 'Hi' };
  const had = [asked, { role: 'assistant', content: 'Hello', calls: [] }];
  const example = { role: 'user', content: 'Example' };
  assert.deepEqual(toShow(had, 'Example', false), [asked]);
  assert.deepEqual(toShow(had, 'Next', true), [...had, { role: 'user', content: 'Next' }]);
  assert.deepEqual(toShow([], 'Example', false), [example]);
});

test('what a link says is taken member by member; fields are checked', () => {
  const settings = {
    system: '飞天',
    params: { temperature: '0.5' },
    tools: '',
    toolChoice: 'auto',
    format: 'json',
    schema: '',
    probabilities: false,
  };
  assert.deepEqual(fromLink(toLink(['a', 'b'], settings)), { models: ['a', 'b'], settings });
  for (const bad of ['', '%%%', 'bm90IGpzb24', btoa('[]'), btoa('"x"'), btoa('null')]) {
    const got = fromLink(bad);
    assert.ok(got === null || got.models.length === 0, bad);
  }
  assert.equal(
    fromLink(btoa('{"format":"evil","params":{"temperature":{}},"m":[1,"ok"]}')).settings.format,
    'text',
  );
  assert.deepEqual(
    readParams({
      temperature: '2.1',
      top_p: 'x',
      max_tokens: '1.5',
      repetition_penalty: '0',
      stop: 'a\nb',
    }),
    {
      values: { stop: ['a', 'b'] },
      wrong: {
        temperature: 'range',
        top_p: 'number',
        max_tokens: 'integer',
        repetition_penalty: 'range',
      },
    },
  );
  assert.equal(
    readTools('[{"name": "a"}, {"type": "function", "function": {"name": "a"}}]').wrong.key,
    'tools.twice',
  );
  assert.deepEqual(readTools('{"name": "a"}').value, [
    { type: 'function', function: { name: 'a' } },
  ]);
});

test('pieces of tool calls become whole ones, and what failed is not sent again', () => {
  let a = newAnswer('m');
  const piece = (index, id, name, text) => ({
    choices: [
      {
        index: 0,
        delta: {
          tool_calls: [
            {
              index,
              ...(id ? { id } : {}),
              function: { ...(name ? { name } : {}), arguments: text },
            },
          ],
        },
      },
    ],
  });
  for (const ev of [
    piece(0, 'c1', 'now', '{"zo'),
    piece(1, 'c2', 'then', '{}'),
    piece(0, '', '', 'ne":1}'),
  ])
    a = addEvent(a, ev);
  a = { ...a, state: 'done' };
  assert.deepEqual(a.calls, [
    { id: 'c1', name: 'now', arguments: '{"zone":1}' },
    { id: 'c2', name: 'then', arguments: '{}' },
  ]);
  const said = [
    { role: 'user', content: 'x' },
    { ...newAnswer('m'), state: 'failed' },
    a,
    { role: 'tool', callId: 'c1', content: 'r' },
  ];
  assert.deepEqual(
    openCalls(said).map((c) => c.id),
    ['c2'],
  );
  assert.deepEqual(
    bodyOf('m', ' ', said, {}).messages.map((m) => m.role),
    ['user', 'assistant', 'tool'],
  );
});

test('a question is answered piece by piece, with what it took and its request', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  await page.getByRole('button', { name: 'What is feitian?' }).click();
  const answer = (await answered(page, 1)).first();
  await answer.filter({ hasText: /private AI cloud/ }).waitFor();
  await answer
    .locator('.pg-stats', { hasText: /\d+ in, \d+ out.*tokens\/s.*first token/ })
    .waitFor();
  const request = await answer
    .getByRole('link', { name: 'Request', exact: true })
    .getAttribute('href');
  assert.match(request, /^\/console\/requests\/req_\w+$/);
  await cloud.axe(page);
});

test('what was said can be edited, the answer regenerated, all of it cleared', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  await say(page, 'What is feitian?');
  await answered(page, 1);
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('The message, said otherwise').fill('Who can see my data?');
  await page.getByRole('button', { name: 'Send again' }).click();
  await page.locator('.pg-words', { hasText: /^Who can see my data\?$/ }).waitFor();
  await answered(page, 1);
  const first = await page.getByRole('link', { name: 'Request', exact: true }).getAttribute('href');
  await page.getByRole('button', { name: 'Regenerate' }).click();
  await page.waitForFunction((was) => {
    const link = document.querySelector('.pg-stats a');
    return link && link.getAttribute('href') !== was;
  }, first);
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Clear' }).click();
  await page.getByText('Talk to nano').waitFor();
});

test('an answer can be stopped, and says so', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  // the answer is held back until it was stopped: how fast a model is must not matter
  await page.route('**/v1/chat/completions', () => {});
  await say(page, 'What is feitian?');
  await page.getByText('Waiting for the first token').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await answered(page, 1);
  await page.locator('.pg-stats', { hasText: 'stopped' }).waitFor();
  await page.getByRole('button', { name: 'Send' }).waitFor();
});

test('parameters are checked before they are sent, and are sent', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  const reset = page.getByRole('button', { name: 'Back to the model’s own: temperature' });
  assert.equal(await page.getByPlaceholder('default', { exact: true }).first().inputValue(), '');
  assert.equal(await reset.count(), 0); // nothing is set
  await page.getByLabel('temperature', { exact: true }).fill('9');
  await page.getByText('must be within 0 – 2').waitFor();
  await message(page).fill('What is feitian?');
  await page.getByRole('button', { name: 'Send', disabled: true }).waitFor();
  await page.getByLabel('temperature', { exact: true }).fill('0');
  await page.getByLabel('max_tokens').fill('7');
  const sent = page.waitForRequest('**/v1/chat/completions');
  await message(page).press('Enter');
  const body = (await sent).postDataJSON();
  assert.equal(body.temperature, 0);
  assert.equal(body.max_tokens, 7);
  assert.equal(body.stream, true);
  await answered(page, 1);
  await page.getByText('Cut off: the limit of tokens was reached').waitFor();
  await reset.click();
  await holds(page.getByLabel('temperature', { exact: true }), '');
});

test('tokens show their probabilities and what else it could have been', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  await say(page, 'What is feitian?');
  await answered(page, 1);
  await page.getByRole('button', { name: 'Tokens' }).click();
  const tokens = page.getByRole('listbox');
  await tokens.getByRole('option').nth(2).hover();
  await eventually(async () => assert.equal(await page.locator('.pg-card tr').count(), 5));
  await page.mouse.move(0, 0);
  await tokens.focus();
  await page.keyboard.press('End');
  const last = await tokens.getByRole('option').last().getAttribute('id');
  await eventually(async () =>
    assert.equal(await tokens.getAttribute('aria-activedescendant'), last),
  );
  await page.locator('.pg-card', { hasText: '%' }).waitFor();
  await cloud.axe(page);
});

test('two models answer the same words side by side', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  await page.getByRole('button', { name: 'Compare' }).click();
  await page.getByLabel('Second model').selectOption('second');
  await say(page, 'What is feitian?');
  await answered(page, 2);
  for (const name of ['nano', 'second']) {
    const pane = page.getByRole('region', { name, exact: true });
    await pane.locator('.pg-answer', { hasText: /private AI cloud/ }).waitFor();
  }
  await cloud.axe(page);
  await page.getByRole('button', { name: 'Compare', pressed: true }).click();
  await eventually(async () => assert.equal(await page.locator('.pg-pane').count(), 1));
});

test('the form of the answer is held to, a schema that is none is told', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  await page.getByText('Answer format', { exact: true }).click();
  await page.getByText('JSON schema', { exact: true }).click();
  await page.getByLabel('The schema').fill('{"type": ');
  await page.getByText(/no JSON/).waitFor();
  await page
    .getByLabel('The schema')
    .fill(
      JSON.stringify({
        type: 'object',
        properties: { ok: { type: 'boolean' } },
        required: ['ok'],
        additionalProperties: false,
      }),
    );
  await say(page, 'What is feitian?');
  await answered(page, 1);
  await page.getByText('Valid JSON', { exact: true }).waitFor();
  const answer = JSON.parse(await page.locator('.pg-answer .code pre').textContent());
  assert.equal(typeof answer.ok, 'boolean');
});

test('tools are called, and their results go back to the model', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  await page.getByText('Tools', { exact: true }).click();
  await page.getByRole('button', { name: 'Insert an example' }).click();
  await page.getByText('One function').waitFor();
  await page
    .getByLabel('Functions as JSON')
    .fill(
      JSON.stringify([
        {
          name: 'now',
          parameters: {
            type: 'object',
            properties: { zone: { enum: ['UTC'] } },
            required: ['zone'],
            additionalProperties: false,
          },
        },
      ]),
    );
  await page.getByText('It must', { exact: true }).click();
  await say(page, 'What time is it?');
  await answered(page, 1);
  await page.getByText('Calls now').waitFor();
  await page.getByText('waits for the results of its tools').waitFor();
  await page.getByText('Not now', { exact: true }).click();
  await page.getByLabel('Result of now').fill('12:00');
  const sent = page.waitForRequest('**/v1/chat/completions');
  await page.getByRole('button', { name: 'Send results' }).click();
  const { messages } = (await sent).postDataJSON();
  assert.deepEqual(
    messages.map((m) => m.role),
    ['user', 'assistant', 'tool'],
  );
  assert.equal(messages[2].content, '12:00');
  assert.equal(messages[2].tool_call_id, messages[1].tool_calls[0].id);
  await answered(page, 2);
});

test('reasoning is folded; what a model writes cannot act', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  const chunk = (delta, finish = null) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  await page.route('**/v1/chat/completions', (route) =>
    route.fulfill({
      status: 200,
      contentType: 'text/event-stream',
      headers: { 'x-request-id': 'req_double' },
      body:
        chunk({ reasoning_content: 'First I think.' }) +
        chunk({
          content:
            '**bold** <img src=x onerror="window.acted=1"><script>window.acted=1</script>\n\n',
        }) +
        chunk(
          { content: '[a](javascript:window.acted=1) ![out](https://example.com/x.png)\n' },
          'stop',
        ) +
        'data: [DONE]\n\n',
    }),
  );
  await say(page, 'x');
  await answered(page, 1);
  assert.equal(await page.locator('.pg-thought').getAttribute('open'), null);
  await page.getByText('Reasoning', { exact: true }).click();
  await page.getByText('First I think.').waitFor();
  assert.equal(await page.locator('.pg-answer strong').first().textContent(), 'bold');
  assert.equal(await page.locator('.pg-answer :is(script, img, a[href^="javascript"])').count(), 0);
  assert.equal(await page.evaluate(() => window.acted), undefined);
});

test('errors say what to do: before the answer, within it, without a connection', async () => {
  const page = await cloud.page('developer', '/playground?model=gone');
  page.mayFail = true;
  await say(page, 'x');
  await answered(page, 1);
  const alert = page.getByRole('alert').last();
  await alert.filter({ hasText: /No answer.*does not exist.*Choose another model/ }).waitFor();
  await page.getByLabel('Model', { exact: true }).selectOption('nano');
  await page.route('**/v1/chat/completions', (route) =>
    route.fulfill({
      status: 200,
      contentType: 'text/event-stream',
      body:
        'data: {"choices":[{"index":0,"delta":{"content":"so far"}}]}\n\n' +
        'data: {"error":{"message":"the worker died","code":"server_error"}}\n\n',
    }),
  );
  await page.getByRole('button', { name: 'Regenerate' }).click();
  await page.getByText('so far').waitFor();
  await page
    .getByRole('alert')
    .filter({ hasText: /broke off.*the worker died/ })
    .waitFor();
});

test('the request as code, without a key; settings in a link', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  await page.getByLabel('System prompt').fill('Be short.');
  await page.getByLabel('temperature', { exact: true }).fill('0.5');
  await page.getByRole('button', { name: 'Code' }).click();
  const dialog = page.getByRole('dialog');
  const code = (words) => dialog.locator('pre', { hasText: words }).waitFor();
  await code(/curl -N http[\s\S]*\$FEITIAN_API_KEY[\s\S]*"Be short\."/);
  await dialog.getByRole('tab', { name: 'Python' }).click();
  await code(/from openai import OpenAI[\s\S]*temperature=0\.5/);
  await dialog.getByRole('tab', { name: 'JavaScript' }).click();
  await code(/temperature: 0\.5/);
  assert.doesNotMatch(await dialog.textContent(), /sk-ft-\w{10}/);
  await cloud.axe(page);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Copy link' }).click();
  await said(page, 'The link is copied');
  await page.goto(await page.evaluate(() => navigator.clipboard.readText()));
  await page.getByText('Talk to nano').waitFor();
  await holds(page.getByLabel('System prompt'), 'Be short.');
  await holds(page.getByLabel('temperature', { exact: true }), '0.5');
});

test('conversations are kept only where that was asked for, and go', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  const stored = () =>
    page.evaluate(() =>
      localStorage.getItem(
        Object.keys(localStorage).find((k) => k.startsWith('feitian.playground.')),
      ),
    );
  await say(page, 'What is feitian?');
  await answered(page, 1);
  assert.equal(await stored(), null);
  await page.getByText('Conversations', { exact: true }).click();
  await page.getByLabel('Keep conversations in this browser').check();
  await page.getByRole('button', { name: /^What is feitian\?/ }).waitFor();
  await page.reload();
  await page.getByText('Conversations', { exact: true }).click();
  await page.getByRole('button', { name: /^What is feitian\?.*nano/ }).click();
  await page.locator('.pg-answer', { hasText: /private AI cloud/ }).waitFor();
  await page.getByRole('button', { name: 'Delete all' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await said(page, 'Deleted.');
  assert.equal(await stored(), null);
});

test('a viewer is told why there is nothing to call', async () => {
  const page = await cloud.page('viewer', '/playground');
  await page.getByText('Viewers do not call models').waitFor();
  assert.equal(await message(page).count(), 0);
  await cloud.axe(page);
});

test('it looks right at every width, in both themes and languages', async () => {
  const page = await cloud.page('developer', '/playground?model=nano');
  await cloud.shots(page, 'playground-empty');
  const talk = async () => {
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.locator('#playground-say').fill('What is feitian?');
    await page.locator('#playground-say').press('Enter');
    await answered(page, 1);
    await page.locator('.pg-foot [aria-pressed]').click();
  };
  await cloud.shots(page, 'playground-answer', { prepare: talk });
  await cloud.shots(page, 'playground-settings', {
    prepare: async () => {
      await page.setViewportSize({ width: 768, height: 900 });
      await page.locator('.pg-only-narrow').click();
    },
  });
});
