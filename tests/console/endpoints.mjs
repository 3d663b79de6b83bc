// Endpoints: made, scaled, shared among versions, followed live, deleted.
import { assert, eventually, said, settled, start, test } from './harness.mjs';

const cloud = await start({ nano: true });
await cloud.api('POST', '/api/v1/models', { name: 'twin', path: 'models/nano.gguf' });

const ask = (model) =>
  cloud.api('POST', '/v1/chat/completions', {
    model,
    messages: [{ role: 'user', content: 'What is feitian?' }],
    max_tokens: 8,
  });

test('a refusal is told in the reader’s language, the cloud’s own words below it', async () => {
  const page = await cloud.page('operator', '/endpoints', { locale: 'zh-CN' });
  await page.getByRole('button', { name: '新建端点' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('名称', { exact: true }).fill('another');
  await dialog.getByLabel('模型', { exact: true }).fill('nothing');
  await dialog.getByRole('button', { name: '创建端点' }).click();
  const told = dialog.getByRole('alert');
  await told
    .locator('[lang=en]')
    .getByText(/nothing/)
    .waitFor();
  await told
    .locator('p', { hasText: /^[“”.\w\u4e00-\u9fff]+。$/ })
    .first()
    .waitFor();
  await cloud.axe(page);
});

test('an endpoint is made in the browser, and answers', async () => {
  const page = await cloud.page('operator', '/endpoints');
  await page.getByRole('button', { name: 'New endpoint' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name', { exact: true }).fill('bad name');
  await dialog.getByText('beginning with a letter or digit').waitFor();
  await dialog.getByLabel('Name', { exact: true }).fill('made');
  await dialog.getByLabel('Model', { exact: true }).fill('nothing');
  await dialog.getByRole('button', { name: 'Make endpoint' }).click();
  // what the API says, where one can mend it
  await dialog
    .getByRole('alert')
    .getByText(/nothing/)
    .waitFor();
  await cloud.axe(page);
  await dialog.getByLabel('Model', { exact: true }).fill('nano');
  await dialog.getByRole('button', { name: 'Make endpoint' }).click();
  await page.getByRole('heading', { level: 1, name: 'made' }).waitFor();
  await page.getByText('Asleep', { exact: true }).waitFor();
  await ask('made');
  await page.getByText('Ready', { exact: true }).first().waitFor();
  await page.getByRole('row', { name: /nano.*worker-0/ }).waitFor();
  await page.getByRole('link', { name: 'Try in the playground' }).click();
  await page.getByText('Talk to made').waitFor();
});

test('its timeline tells what happened, its curves what it did', async () => {
  const page = await cloud.page('operator', '/endpoints/made');
  await page.locator('.ep-timeline li').first().waitFor();
  const { data } = await cloud.api('GET', '/api/v1/events?endpoint=made&limit=1');
  await page.getByText(data[0].text).first().waitFor();
  // control looks every 10 seconds: a curve, or words that it comes
  await page.locator('.ep-chart, .section .empty').first().waitFor();
  await page.getByText('24 hours', { exact: true }).click();
  await page.locator('.ep-chart, .section .empty').first().waitFor();
  await cloud.axe(page);
});

test('a worker that dies is seen while one looks, and that another took its place', async () => {
  await ask('made');
  const page = await cloud.page('operator', '/endpoints/made');
  await page.getByRole('row', { name: /nano.*worker-0.*Ready/ }).waitFor();
  const { serving } = await cloud.api('GET', '/api/v1/status');
  process.kill(serving.workers.find((w) => w.id === 'worker-0').pid, 'SIGKILL');
  await page.locator(':is(.ep-event-warn, .ep-event-bad)').first().waitFor();
  const died = await eventually(async () => {
    const { data } = await cloud.api('GET', '/api/v1/events?endpoint=made&kind=worker_died');
    assert.ok(data.length > 0);
    return data[0];
  });
  await page.getByText(died.text).first().waitFor();
  await ask('made');
  await page.getByRole('row', { name: /nano.*worker-0.*Ready/ }).waitFor();
});

test('it is scaled, within what makes sense', async () => {
  const page = await cloud.page('operator', '/endpoints/made');
  await page.getByRole('button', { name: 'Scale' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Replicas at least').fill('3');
  await dialog.getByText('At most must not be below at least.').waitFor();
  await dialog.getByRole('button', { name: 'Save', disabled: true }).waitFor();
  await dialog.getByLabel('Replicas at least').fill('1');
  await dialog.getByLabel('Replicas at most').fill('2');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await said(page, 'made is scaled.');
  await page.getByText('1 to 2').first().waitFor();
  const e = await cloud.api('GET', '/api/v1/endpoints/made');
  assert.deepEqual(e.replicas, { min: 1, max: 2 });
});

test('a second version gets a share of the calls by a slider, and the sum is shown', async () => {
  const page = await cloud.page('operator', '/endpoints/made');
  await page.getByRole('button', { name: 'Change' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Add a version' }).click();
  await dialog.getByLabel('Model', { exact: true }).nth(1).fill('twin');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await said(page, 'made is changed.');
  const slider = page.getByRole('slider', { name: 'Share of twin' });
  await eventually(async () => assert.equal(await slider.inputValue(), '0'));
  await slider.focus();
  for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowRight');
  await page.getByText('10% of the calls').waitFor();
  await page.getByText('90% of the calls').waitFor();
  await page.getByText('Sum 100').waitFor();
  await cloud.axe(page);
  let release;
  const held = new Promise((done) => {
    release = done;
  });
  await page.route('**/api/v1/endpoints/made', async (route) => {
    if (route.request().method() === 'GET') await held;
    await route.continue().catch(() => {}); // a later question may have taken its place
  });
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'The shares hold from the next call on.');
  let e = await cloud.api('GET', '/api/v1/endpoints/made');
  assert.deepEqual(
    e.targets.map((x) => [x.model, x.weight]),
    [
      ['nano', 90],
      ['twin', 10],
    ],
  );
  await page.getByRole('button', { name: 'All to this' }).nth(1).click();
  // what was saved before comes only now, and does not take that back
  const came = page.waitForResponse(
    (r) => r.url().endsWith('/api/v1/endpoints/made') && r.request().method() === 'GET',
  );
  release();
  await came;
  await settled(page);
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'The shares hold from the next call on.');
  await page.getByRole('button', { name: 'Save' }).waitFor({ state: 'detached' });
  e = await cloud.api('GET', '/api/v1/endpoints/made');
  assert.deepEqual(
    e.targets.map((x) => x.weight),
    [0, 100],
  );
});

test('another server by its URL; its key is sent once and never shown', async () => {
  const page = await cloud.page('operator', '/endpoints');
  await page.getByRole('button', { name: 'New endpoint' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name', { exact: true }).fill('far');
  await dialog.getByText('Another server', { exact: true }).click();
  await dialog.getByLabel('Base URL').fill('nowhere');
  await dialog.getByRole('button', { name: 'Make endpoint', disabled: true }).waitFor();
  await dialog.getByLabel('Base URL').fill(`${cloud.url}/v1`);
  await dialog.getByLabel(/^Its model there/).fill('nano');
  await dialog.getByLabel(/^Key/).fill(await cloud.key('operator'));
  await dialog.getByRole('button', { name: 'Make endpoint' }).click();
  await page.getByRole('heading', { level: 1, name: 'far' }).waitFor();
  const answer = await ask('far');
  assert.ok(answer.choices[0].message.content.length > 0);
  await page.getByRole('button', { name: 'Change' }).click();
  await page.getByText('Left empty, the key stays.').waitFor();
  assert.equal(await page.getByLabel(/^Key/).inputValue(), '');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await said(page, 'far is changed.');
  await ask('far'); // with the same key
});

test('an endpoint is deleted by its typed name', async () => {
  const page = await cloud.page('operator', '/endpoints');
  await page.getByRole('row', { name: /^far/ }).getByRole('button').click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  const go = page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true });
  await eventually(async () => assert.ok(await go.isDisabled()));
  await page.getByRole('dialog').getByRole('textbox').fill('far');
  await go.click();
  await said(page, 'far is deleted.');
  await page.getByRole('row', { name: /^far/ }).waitFor({ state: 'detached' });
});

test('admins change what is their project’s, viewers nothing', async () => {
  const admin = await cloud.page('admin', '/endpoints/made'); // of every project: the operator's
  await admin.getByRole('link', { name: 'Try in the playground' }).waitFor();
  for (const name of ['Scale', 'Change', 'All to this'])
    assert.equal(await admin.getByRole('button', { name, disabled: false }).count(), 0, name);
  await admin.goto(`${cloud.url}/console/endpoints`);
  await admin.getByRole('button', { name: 'New endpoint' }).click();
  const dialog = admin.getByRole('dialog');
  await dialog.getByLabel('Name', { exact: true }).fill('own');
  assert.equal(await dialog.getByText('Another server').count(), 0);
  await dialog.getByLabel('Model', { exact: true }).fill('nano');
  await dialog.getByRole('button', { name: 'Make endpoint' }).click();
  await admin.getByRole('heading', { level: 1, name: 'own' }).waitFor();
  await admin.getByRole('button', { name: 'Change' }).waitFor();

  const viewer = await cloud.page('viewer', '/endpoints/own@default');
  await viewer.getByRole('heading', { level: 1, name: 'own', exact: true }).waitFor();
  for (const name of ['Scale', 'Change', 'Delete'])
    assert.equal(await viewer.getByRole('button', { name }).count(), 0, name);
  assert.equal(await viewer.getByRole('link', { name: 'Try in the playground' }).count(), 0);
  await viewer.goto(`${cloud.url}/console/endpoints/none`);
  await viewer.getByText('No such endpoint').waitFor();
  await cloud.axe(viewer);
});

test('it looks right at every width, in both themes and languages', async () => {
  const page = await cloud.page('operator', '/endpoints');
  await cloud.shots(page, 'endpoints');
  await page.goto(`${cloud.url}/console/endpoints/made`);
  await cloud.shots(page, 'endpoints-one');
  await cloud.shots(page, 'endpoints-change', {
    prepare: () => page.locator('.page-actions .button').nth(2).click(),
  });
  await page.goto(`${cloud.url}/console/endpoints/own@default`);
  await cloud.shots(page, 'endpoints-asleep');
});
