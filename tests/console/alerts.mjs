// Alerts: a rule that fires, a webhook that is told, and what is made and changed on the pages.
import http from 'node:http';
import { after } from 'node:test';
import { LONG, assert, eventually, said, settled, start, test } from './harness.mjs';

const cloud = await start();
const told = [];
const receiver = http.createServer((request, response) => {
  let body = '';
  request.on('data', (part) => {
    body += part;
  });
  request.on('end', () => {
    told.push({ headers: request.headers, body });
    response.end('ok');
  });
});
await new Promise((done) => {
  receiver.listen(0, '127.0.0.1', done);
});
after(() => receiver.close());
const hook = `http://127.0.0.1:${receiver.address().port}/hook`;
const rules = (page) => page.getByRole('table', { name: 'Rules' });

test('a channel is made, its secret shown once, and tested', async () => {
  const page = await cloud.page('operator', '/alerts/channels');
  await page.getByText('No channels').waitFor();
  await page.getByRole('button', { name: 'New channel' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByText('Enter a name.').waitFor();
  await dialog.getByLabel('Name').fill('Operations room');
  await dialog.getByLabel('Address').fill(hook);
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByText('it is not shown again').waitFor();
  assert.match(await dialog.locator('pre').textContent(), /\S{8,}/);
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await page.getByRole('button', { name: 'Send a test: Operations room' }).click();
  await said(page, 'The receiver took the test.');
  assert.ok(told.length >= 1 && told[0].headers['x-feitian-signature'].startsWith('sha256='));
});

test('a rule is made with its channel, fires, and is told', async () => {
  const page = await cloud.page('operator', '/alerts');
  await page.getByRole('button', { name: 'New rule' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByText('Enter a number.').waitFor();
  await dialog.getByLabel('Name').fill('Few workers');
  await dialog.getByLabel('Curve').selectOption('workers');
  await dialog.getByLabel('Fires when it is').selectOption('<');
  await dialog.getByLabel('Bound').fill('100');
  await dialog.getByLabel('For at least').fill('0');
  await dialog.getByLabel('Operations room').check();
  await cloud.axe(page);
  await dialog.getByRole('button', { name: 'Create' }).click();
  await said(page, 'The rule is watched from now on.');
  const row = rules(page).getByRole('row', { name: /Few workers/ });
  await row.getByText('Operations room').waitFor();
  await row.getByText('Firing').waitFor(LONG); // control looks every 10 seconds
  await eventually(() => assert.ok(told.some((t) => /Few workers/.test(t.body))));
  await page.getByRole('tab', { name: 'History' }).click();
  await page
    .getByText(/Few workers/)
    .first()
    .waitFor();
  const overview = await cloud.page('operator', '/');
  await overview.getByText('Alert: Few workers').waitFor();
});

test('a rule is changed, turned off, and removed after a question', async () => {
  const page = await cloud.page('operator', '/alerts');
  await rules(page).getByRole('button', { name: 'Few workers', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Severity').selectOption('critical');
  await dialog.getByLabel('Quiet hours').check();
  await dialog.getByLabel('From').fill('23:00');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await said(page, 'Saved.');
  const { data } = await cloud.api('GET', '/api/v1/alerts');
  const rule = data.find((r) => r.name === 'Few workers');
  assert.deepEqual([rule.severity, rule.quiet.from], ['critical', '23:00']);
  const menu = async (item) => {
    await page.getByRole('button', { name: 'More: Few workers' }).click();
    await page.getByRole('menuitem', { name: item }).click();
  };
  await menu('Turn off');
  await rules(page)
    .getByRole('row', { name: /Few workers/ })
    .getByText('Off', { exact: true })
    .waitFor();
  await menu('Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await menu('Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await said(page, 'The rule is gone.');
  await rules(page)
    .getByRole('row', { name: /Few workers/ })
    .waitFor({ state: 'detached' });
});

test('a receiver that is not there is said so', async () => {
  await cloud.api('POST', '/api/v1/channels', {
    kind: 'webhook',
    name: 'Nobody',
    url: 'http://127.0.0.1:1/',
  });
  const page = await cloud.page('operator', '/alerts/channels');
  await page.getByRole('button', { name: 'Send a test: Nobody' }).click();
  await said(page, 'The test did not arrive');
});

test('it looks right everywhere', async () => {
  const page = await cloud.page('operator', '/alerts');
  await settled(page);
  await cloud.axe(page);
  await cloud.shots(page, 'alerts');
  await cloud.shots(page, 'alerts-rule', {
    prepare: async (p) => {
      await p.getByRole('button', { name: /New rule|新建规则/ }).click();
      await p.getByRole('dialog').waitFor();
    },
  });
  const channels = await cloud.page('operator', '/alerts/channels');
  await cloud.axe(channels);
  await cloud.shots(channels, 'alerts-channels');
});

test('only operators see it', async () => {
  const page = await cloud.page('admin', '/alerts');
  await page.getByText('There is no such page').waitFor();
});
