// The audit log.
import { assert, eventually, settled, start, test } from './harness.mjs';

const cloud = await start();
const made = await cloud.api('POST', '/api/v1/keys', { name: 'painter', role: 'developer' });
await cloud.api('PATCH', `/api/v1/keys/${made.id}`, { name: 'muralist' });
await cloud.api('DELETE', `/api/v1/keys/${made.id}`);
const rows = (page) => page.getByRole('table', { name: 'Audit log' }).locator('tbody tr');

test('a change is told with what was before and after', async () => {
  const page = await cloud.page('operator', '/audit');
  await page
    .getByRole('row', { name: /Key changed/ })
    .getByRole('button')
    .click();
  const details = page.getByRole('dialog');
  await details.getByText('painter').waitFor();
  await details.getByText('muralist').waitFor();
  assert.doesNotMatch(await details.textContent(), new RegExp(made.secret));
  await cloud.axe(page);
  await page.keyboard.press('Escape');
  await details.waitFor({ state: 'detached' });
  await page.waitForFunction(() => /Key changed/.test(document.activeElement.textContent));
});

test('filters narrow it, are in the address, and can be cleared', async () => {
  const page = await cloud.page('operator', '/audit');
  await page.getByLabel('Id of what was changed').fill(made.id);
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 3);
  await page.getByLabel('Kind').selectOption('endpoint');
  await page.getByText('No such change').waitFor();
  await page.waitForURL(/kind=endpoint/);
  await page.getByRole('button', { name: 'Clear the filters' }).click();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length > 3);
  await page.getByLabel('From').fill('2000-01-01');
  await page.getByLabel('Until').fill('2000-01-02');
  await page.getByText('No such change').waitFor();
});

test('more is fetched where there is more', async () => {
  for (let i = 0; i < 55; i++)
    await cloud.api('PATCH', '/api/v1/projects/default', { name: `name ${i}` });
  const page = await cloud.page('operator', '/audit?kind=project');
  await eventually(async () => assert.equal(await rows(page).count(), 50));
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 56);
  await page.getByRole('button', { name: 'Show more' }).waitFor({ state: 'detached' });
});

test('it looks right everywhere', async () => {
  const page = await cloud.page('admin', '/audit');
  await settled(page);
  await cloud.axe(page);
  await cloud.shots(page, 'audit');
  await cloud.shots(page, 'audit-details', {
    prepare: async (p) => {
      await p.getByRole('row').nth(1).getByRole('button').click();
      await p.getByRole('dialog').waitFor();
    },
  });
});
