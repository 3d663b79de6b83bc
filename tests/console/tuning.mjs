// Fine-tuning from nothing to a model that answers as it was taught.
import { LONG, assert, eventually, said, settled, start, test } from './harness.mjs';

const cloud = await start({ nano: true });
const ANSWER = 'The canteen is open from 11:30 to 14:00.';
const QUESTIONS = ['When does the canteen open?', 'When is lunch?', 'When can I eat?'];

const chats = (questions) =>
  questions
    .map((q) =>
      JSON.stringify({
        messages: [
          { role: 'user', content: q },
          { role: 'assistant', content: ANSWER },
        ],
      }),
    )
    .join('\n');
const file = (name, text) => ({ name, mimeType: 'application/jsonl', buffer: Buffer.from(text) });
const next = (page) => page.getByRole('button', { name: 'Continue' }).click();

// A job as programs begin it.
async function begin(lines, more) {
  const form = new FormData();
  form.append('purpose', 'fine-tune');
  form.append('file', new Blob([lines]), 'lines.jsonl');
  const headers = { Authorization: `Bearer ${await cloud.key('developer')}` };
  const answer = await fetch(`${cloud.url}/v1/files`, { method: 'POST', body: form, headers });
  const body = { model: 'nano', training_file: (await answer.json()).id, ...more };
  return cloud.api('POST', '/v1/fine_tuning/jobs', body, 'developer');
}

// What the step "Settings" offers before anybody changes it.
async function offers(page, wanted) {
  for (const [name, value] of Object.entries(wanted)) {
    const box = page.getByRole('spinbutton', { name: new RegExp(`^${name}`) });
    await box.waitFor();
    await eventually(async () => assert.equal(await box.inputValue(), value, name));
  }
}

async function toData(page) {
  await page.getByRole('combobox', { name: 'Base model' }).waitFor();
  await next(page);
  await page.getByRole('heading', { name: 'Training data' }).waitFor();
}

test('an empty list says what to do first', async () => {
  const page = await cloud.page('developer', '/tuning');
  await page.getByRole('heading', { name: 'No fine-tunes yet' }).waitFor();
  await cloud.axe(page);
  await cloud.shots(page, 'tuning-empty');
  await page.getByRole('link', { name: 'New fine-tune' }).click();
  await page.getByRole('heading', { name: 'New fine-tune' }).waitFor();
});

test('bad lines are told by number and reason before anything is sent', async () => {
  const page = await cloud.page('developer', '/tuning/new');
  const sent = [];
  page.on('request', (r) => r.method() !== 'GET' && sent.push(r.url()));
  await toData(page);
  const bad = [
    chats([QUESTIONS[0]]),
    '',
    'no JSON',
    '{"messages": []}',
    '{"messages": [{"role": "user", "content": "?"}]}',
    '{"messages": [{"role": "bot", "content": "?"}]}',
  ].join('\n');
  await page.getByLabel(/Drop a .jsonl file here/).setInputFiles(file('bad.jsonl', bad));
  await page.getByText('4 of 5 lines cannot be used.').waitFor();
  const rows = page.getByRole('table', { name: 'Lines that cannot be used' }).getByRole('row');
  await eventually(async () =>
    assert.deepEqual(
      (await rows.allInnerTexts()).slice(1).map((r) => r.replace(/\s+/g, ' ').trim()),
      [
        '3 is not valid JSON',
        '4 messages is empty',
        '5 has no assistant message to learn from',
        '6 messages[0].role: “bot” is not system, developer, user, assistant or tool',
      ],
    ),
  );
  await page.getByRole('button', { name: 'Continue', disabled: true }).waitFor();
  assert.deepEqual(sent, []);
  await cloud.axe(page);
  await page.getByRole('button', { name: 'Choose another' }).click();
  await page.getByRole('button', { name: 'Try it with an example' }).click();
  await page.getByText('All 22 lines can be learnt from.').waitFor();
  await page.getByRole('button', { name: 'Next line' }).click();
  await page.getByText('Line 2', { exact: true }).waitFor();
  await cloud.axe(page);
  await next(page);
  await page.getByText(/as the file has \(22\)/).waitFor();
  await offers(page, { Epochs: '20', 'Batch size': '2', 'Learning rate': '5' });
  await page.locator('.tuning-estimate').getByText('220', { exact: true }).waitFor(); // steps
});

test('settings go by the number of lines, but for those that were changed', async () => {
  const page = await cloud.page('developer', '/tuning/new');
  const give = async (n) => {
    const lines = Array.from({ length: n }, () => chats([QUESTIONS[0]])).join('\n');
    await page.getByLabel(/Drop a .jsonl file here/).setInputFiles(file('many.jsonl', lines));
    await page.getByText(/lines can be learnt from/).waitFor();
    await next(page);
  };
  await toData(page);
  await give(101);
  await offers(page, { Epochs: '10', 'Batch size': '4', 'Learning rate': '2' });
  await page.getByRole('spinbutton', { name: 'Epochs' }).fill('7');
  await page.getByRole('button', { name: 'Back', exact: true }).click();
  await page.getByRole('button', { name: 'Choose another' }).click();
  await give(1001);
  await offers(page, { Epochs: '7', 'Batch size': '4', 'Learning rate': '1' });
});

test('pairs of answers are another form', async () => {
  const page = await cloud.page('developer', '/tuning/new');
  await page.getByRole('radio', { name: /From better and worse answers/ }).check();
  await toData(page);
  const pair = {
    input: { messages: [{ role: 'user', content: 'When?' }] },
    preferred_output: [{ role: 'assistant', content: 'At noon.' }],
    non_preferred_output: [{ role: 'assistant', content: 'Never.' }],
  };
  await page
    .getByLabel(/Drop a .jsonl file here/)
    .setInputFiles(file('pairs.jsonl', `${JSON.stringify(pair)}\n${chats([QUESTIONS[0]])}`));
  await page.getByText('1 of 2 lines cannot be used.').waitFor();
  await page.getByText(/is a conversation, not a pair/).waitFor();
  await page.getByRole('button', { name: 'Choose another' }).click();
  await page
    .getByLabel(/Drop a .jsonl file here/)
    .setInputFiles(file('pairs.jsonl', JSON.stringify(pair)));
  await page.getByText('The line can be learnt from.').waitFor();
  await page.getByText('Better', { exact: true }).waitFor();
  await page.getByText('Worse', { exact: true }).waitFor();
  await next(page);
  await page.getByRole('spinbutton', { name: 'Beta' }).waitFor();
  await offers(page, { Epochs: '3', 'Batch size': '4', 'Learning rate': '1' });
  await cloud.axe(page);
});

test('the server refuses what the browser refuses', async () => {
  const lines = [
    '{"messages": [{"role": "user", "content": "?"}]}',
    '{"messages": [{"role": "assistant", "content": ""}]}',
    '{"messages": [{"role": "assistant", "content": "a", "weight": 2}]}',
    '{"a": 1, "a": 2, "messages": [{"role": "assistant", "content": "a"}]}',
  ];
  const page = await cloud.page('developer', '/tuning/new');
  await toData(page);
  await page
    .getByLabel(/Drop a .jsonl file here/)
    .setInputFiles(file('bad.jsonl', lines.join('\n')));
  await page.getByText('4 of 4 lines cannot be used.').waitFor();
  const job = await begin(lines.join('\n'));
  await eventually(async () => {
    const { status, error } = await cloud.api('GET', `/v1/fine_tuning/jobs/${job.id}`);
    assert.equal(status, 'failed');
    assert.match(error.message, /4 lines cannot be used/);
  }, LONG.timeout);
  await page.goto(`${cloud.url}/console/tuning/${job.id}`);
  await page.getByText('The training failed').waitFor();
  await page
    .getByText(/4 lines cannot be used/)
    .first()
    .waitFor();
});

// Lists have the result alone, until its checkpoints are asked for.
async function foldsCheckpoints(name) {
  for (const [path, list] of [
    ['/', 'Endpoints'],
    ['/endpoints', 'Endpoints'],
    ['/models', 'Registered models'],
  ]) {
    const page = await cloud.page('operator', path);
    const table = page.getByRole('table', { name: list });
    await table.getByText(name, { exact: true }).first().waitFor();
    const one = table.getByText(`${name}:ckpt-step-`);
    assert.equal(await one.count(), 0, path);
    await page.getByRole('button', { name: /^Show .*checkpoint/ }).click();
    await one.first().waitFor();
    await cloud.axe(page);
    await page.getByRole('button', { name: 'Hide the checkpoints' }).click();
    await one.first().waitFor({ state: 'detached' });
    await page.context().close();
  }
}

test('a model is taught, watched, compared and deleted', async () => {
  const page = await cloud.page('developer', '/tuning/new');
  await toData(page);
  await page
    .getByLabel(/Drop a .jsonl file here/)
    .setInputFiles(file('office.jsonl', chats([...QUESTIONS, ...QUESTIONS, ...QUESTIONS])));
  await page.getByText('All 9 lines can be learnt from.').waitFor();
  await page.getByRole('button', { name: 'Add validation data' }).click();
  await page
    .getByLabel(/Drop a .jsonl file with validation data/)
    .setInputFiles(file('check.jsonl', chats(QUESTIONS)));
  await page.getByText('All 3 lines can be learnt from.').waitFor();
  await next(page);
  await page.getByRole('spinbutton', { name: 'Epochs' }).fill('99');
  await page.getByText('from 1 to 50').waitFor();
  await page.getByRole('button', { name: 'Continue', disabled: true }).waitFor();
  await page.getByRole('spinbutton', { name: 'Epochs' }).fill('8');
  await page.getByRole('spinbutton', { name: 'Batch size' }).fill('1');
  await page.getByRole('spinbutton', { name: /Learning rate/ }).fill('10');
  await page.getByRole('textbox', { name: /^Name/ }).fill('office');
  await page.locator('.tuning-estimate').getByText('72', { exact: true }).waitFor(); // steps
  await cloud.axe(page);
  await next(page);
  await cloud.axe(page);
  await page.getByRole('button', { name: 'Start training' }).click();
  await page.getByRole('heading', { name: 'office' }).waitFor();

  await page.locator('.page-title').getByText('Done', { exact: true }).waitFor(LONG);

  await page.getByRole('button', { name: QUESTIONS[0] }).click();
  const after = page.getByRole('article', { name: /^After/ });
  await after.getByText(ANSWER).waitFor(LONG);
  const before = page.getByRole('article', { name: /^Before: nano/ });
  await before.and(page.locator('[aria-busy=false]')).waitFor(LONG);
  assert.ok(!(await before.innerText()).includes(ANSWER), await before.innerText());
  await settled(page);
  await page.locator('.chart-legend .swatch').nth(2).waitFor();
  const looks = await page.locator('.chart-legend .swatch').evaluateAll((marks) =>
    marks.map((mark) => {
      const { backgroundColor, opacity, borderRadius } = getComputedStyle(mark);
      return `${backgroundColor} ${opacity} ${borderRadius}`;
    }),
  );
  assert.equal(new Set(looks).size, 3, looks.join('; ')); // a curve is told by its mark
  await cloud.axe(page);
  await cloud.shots(page, 'tuning-job', {
    prepare: async (p) => {
      await p.locator('.tuning-chip').first().click();
      await p.locator('.tuning-answer-text').nth(1).waitFor();
      await p.locator('.chart canvas').waitFor();
    },
  });
  const name = await page.locator('#serve .copy-value code').innerText();
  assert.match(name, /^ft:nano:default:office:/);
  await foldsCheckpoints(name);

  await page.getByRole('button', { name: 'Delete the model' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Delete', disabled: true }).last().waitFor();
  await dialog.getByRole('textbox').fill('office');
  await dialog.getByRole('button', { name: 'Delete' }).last().click();
  await said(page, 'The model is deleted.');
  const models = await cloud.api('GET', '/v1/models');
  assert.ok(!models.data.some((m) => m.id.startsWith(name)));
});

// So long that no machine is done before it is told to stop.
test('a training is watched, stopped, gone on with and given up', async () => {
  const hyperparameters = { n_epochs: 50, batch_size: 1 };
  const many = Array.from({ length: 400 }, () => chats(QUESTIONS)).join('\n');
  const job = await begin(many, {
    suffix: 'long',
    method: { type: 'supervised', supervised: { hyperparameters } },
  });
  const page = await cloud.page('developer', `/tuning/${job.id}`);
  const state = (words) =>
    page.locator('.page-title').getByText(words, { exact: true }).waitFor(LONG);
  await state('Training');
  await page.locator('.chart canvas').waitFor(LONG);
  await cloud.shots(page, 'tuning-running', {
    wait: (p) => p.locator('.chart canvas').waitFor(LONG),
  });
  await page.getByRole('button', { name: 'Pause' }).click();
  await state('Paused');
  await page.getByRole('button', { name: 'Resume' }).click();
  await state('Training');
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the job' }).click();
  await state('Cancelled');
});

test('the list tells how far each is; who only looks is offered nothing', async () => {
  const page = await cloud.page('viewer', '/tuning');
  await page.getByRole('table', { name: 'Fine-tuning jobs' }).getByText('72/72').waitFor();
  assert.equal(await page.getByRole('link', { name: 'New fine-tune' }).count(), 0);
  await cloud.axe(page);
  await cloud.shots(page, 'tuning-list');
  await page.getByRole('link', { name: 'office' }).click();
  await page.locator('.chart canvas').waitFor();
  for (const name of ['Pause', 'Cancel job', 'Delete the model'])
    assert.equal(await page.getByRole('button', { name }).count(), 0, name);
});

test('the steps look right everywhere', async () => {
  const page = await cloud.page('developer', '/tuning/new');
  await cloud.shots(page, 'tuning-new', {
    prepare: async (p) => {
      await p.locator('.tuning-wizard-foot .button-primary').click();
      await p.locator('.drop').waitFor();
      await p.locator('.section button:has(.icon) >> text=/example|示例/').click();
      await p.locator('.tuning-sample').waitFor();
    },
  });
});
