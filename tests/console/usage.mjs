// What was used and what it cost: shown, exported, held to budgets.
import fs from 'node:fs';
import { LONG, assert, eventually, said, sameDay, settled, start, test } from './harness.mjs';

const cloud = await start({ nano: true });
const ask = (role, model = 'nano') =>
  cloud.api(
    'POST',
    '/v1/chat/completions',
    { model, max_tokens: 8, temperature: 0, messages: [{ role: 'user', content: 'Hello' }] },
    role,
  );
const drawn = (page) => page.locator('.chart canvas').waitFor();

test('nothing used yet: it says what to do', async () => {
  const page = await cloud.page('developer', '/usage?range=custom&from=2020-01-01&to=2020-01-02');
  await page.getByRole('heading', { name: 'Nothing was used in this time' }).waitFor();
  await cloud.axe(page);
  await cloud.shots(page, 'usage-empty');
});

test('calls are there by model and by key, the sums are the API’s, and come as CSV', async () => {
  for (const role of ['developer', 'admin', 'developer']) await ask(role);
  const page = await cloud.page('operator', '/usage?show=tokens');
  const table = page.getByRole('table', { name: 'Usage by Model' });
  // asked for every 30 seconds
  await table.getByRole('row').filter({ hasText: 'nano' }).waitFor(LONG);
  await drawn(page);
  await page.getByRole('group', { name: 'By' }).getByText('Key').click();
  await page
    .getByRole('table', { name: 'Usage by Key' })
    .getByRole('row')
    .filter({ hasText: 'test developer' })
    .waitFor(LONG);
  await eventually(async () => {
    const { data } = await cloud.api('GET', '/api/v1/usage?group_by=key');
    const key = data.find((r) => r.prompt_tokens > 0 && r.requests >= 2);
    await page
      .getByRole('cell', { name: String(key.prompt_tokens), exact: true })
      .first()
      .waitFor({ timeout: 1000 });
  }, LONG.timeout);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export CSV' }).click(),
  ]);
  const csv = fs
    .readFileSync(await download.path(), 'utf8')
    .trim()
    .split('\r\n');
  assert.match(csv[0], /^start,key,key_name,requests,prompt_tokens,/);
  assert.match(csv[0], /,cost_usd,/);
  assert.ok(
    csv.some((l) => l.includes(',test developer,')),
    csv.join('\n'),
  );
  await settled(page);
  await cloud.axe(page);
  await cloud.shots(page, 'usage', { wait: drawn });
});

test('operators set budgets, and see them used up', async () => {
  await sameDay();
  await ask('developer');
  const page = await cloud.page('operator', '/usage');
  await page.getByRole('button', { name: 'Change the budget of default' }).click();
  await page.getByRole('textbox', { name: /^A day/ }).fill('nothing');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('A sum such as 12.50.').waitFor();
  await cloud.axe(page);
  await page.getByRole('textbox', { name: /^A day/ }).fill('0.0000001');
  await page.getByRole('textbox', { name: /^A month/ }).fill('250');
  await page.getByRole('textbox', { name: /^Warn at/ }).fill('50, 90');
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'The budget holds.');
  const project = await cloud.api('GET', '/api/v1/projects/default');
  assert.deepEqual(project.budget, { day: '0.0000001', month: '250', warn: [0.5, 0.9] });
  await page.locator('.meter-bad').waitFor(LONG); // the day's is used up
  await page.getByText(/of \$250\.00/).waitFor();
  await eventually(() => assert.rejects(ask('developer'), /429/));
  await cloud.axe(page);
  await cloud.shots(page, 'usage-budget', { wait: (p) => p.locator('.meter-bad').waitFor() });
  await page.getByRole('button', { name: 'Change the budget of default' }).click();
  await page.getByRole('textbox', { name: /^A day/ }).fill('');
  await page.getByRole('textbox', { name: /^A month/ }).fill('');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('no limit').first().waitFor();
  await eventually(async () =>
    assert.equal((await cloud.api('GET', '/api/v1/projects/default')).budget, null),
  );
});

test('everybody sees prices; operators are led to where they change', async () => {
  const { id } = await cloud.api('POST', '/api/v1/prices', {
    model: 'nano',
    input: '1.5',
    output: '3',
  });
  const page = await cloud.page('operator', '/usage');
  const prices = page.getByRole('table', { name: 'Prices' });
  await prices.getByRole('row').filter({ hasText: 'nano' }).getByText('$1.50').first().waitFor();
  await page.getByRole('link', { name: 'Change prices' }).click();
  await page.getByRole('tab', { name: 'Prices', selected: true }).waitFor();
  await cloud.api('DELETE', `/api/v1/prices/${id}`);

  const viewer = await cloud.page('viewer', '/usage');
  await viewer.getByRole('table', { name: 'Prices' }).getByText('all others').waitFor();
  assert.equal(await viewer.getByRole('button', { name: 'Budget for a key' }).count(), 0);
  assert.equal(await viewer.getByRole('button', { name: /^Change the budget/ }).count(), 0);
  assert.equal(await viewer.getByRole('group', { name: 'By' }).getByText('Project').count(), 0);
  assert.equal(await viewer.getByRole('link', { name: 'Change prices' }).count(), 0);
  await cloud.axe(viewer);
});
