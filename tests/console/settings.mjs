// Settings: one's own, projects, prices, the cloud's, the mail relay.
import { assert, eventually, said, settled, start, test } from './harness.mjs';

const cloud = await start();
const OLD = 'the first password';
const NEW = 'another password, longer';
const member = await cloud.api('POST', '/api/v1/members', {
  name: 'Zhang Qian',
  login: 'zhang',
  role: 'developer',
});
await cloud.api('PUT', `/api/v1/members/${member.id}/password`, { password: OLD });

async function asMember(password) {
  const page = await cloud.open('/settings');
  await page.getByText('Password', { exact: true }).click();
  await page.getByLabel('User name').fill('zhang');
  await page.getByLabel('Password', { exact: true }).last().fill(password);
  await page.keyboard.press('Enter');
  return page;
}

test('a member changes the password', async () => {
  const page = await asMember(OLD);
  page.mayRefuse = /me\/password/;
  await page.getByRole('heading', { name: 'Settings' }).waitFor();
  assert.equal(await page.getByRole('tab').count(), 0); // nothing but what is one's own
  const change = page.getByRole('button', { name: 'Change the password' });
  await page.getByLabel('Old password').fill('wrong');
  await page.getByLabel('New password', { exact: true }).fill('short');
  await change.click();
  await page.locator('.field-error', { hasText: 'At least 10 characters.' }).waitFor();
  await page.getByLabel('New password', { exact: true }).fill(NEW);
  await page.getByLabel('New password again').fill(`${NEW}!`);
  await change.click();
  await page.getByText('The two are not the same.').waitFor();
  await page.getByLabel('New password again').fill(NEW);
  await change.click();
  await page.getByRole('alert').waitFor(); // the old one is wrong
  await page.getByLabel('Old password').fill(OLD);
  await change.click();
  await said(page, 'The password is changed');
  const again = await asMember(NEW);
  await again.getByRole('heading', { name: 'Settings' }).waitFor();
});

test('a session of somebody else is ended', async () => {
  const other = await cloud.page('viewer', '/');
  const page = await cloud.page('operator', '/settings');
  await page
    .getByRole('row', { name: /test viewer/ })
    .getByRole('button', { name: /^End/ })
    .click();
  await page.getByRole('dialog').getByRole('button', { name: 'End' }).click();
  await said(page, 'The session is over.');
  await other.reload();
  await other.getByRole('button', { name: 'Sign in' }).waitFor();
});

test('a project is made, limited, and removed by typing its name', async () => {
  const page = await cloud.page('operator', '/settings/projects');
  await page.getByRole('button', { name: 'New project' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('Murals');
  await dialog.getByLabel('Id').fill('murals');
  await dialog.getByLabel('Requests per minute').fill('120');
  await dialog.getByLabel(/^Per month/).fill('25.50');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await said(page, 'The project is there.');
  let made = await cloud.api('GET', '/api/v1/projects/murals');
  assert.deepEqual([made.limits.rpm, made.budget.month], [120, '25.50']);
  await page.getByRole('button', { name: 'Murals', exact: true }).click();
  await dialog.getByLabel('Requests per minute').fill('');
  await dialog.getByLabel('Storage').fill('2');
  await dialog.getByLabel('Keep prompts and answers').check();
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'detached' });
  made = await cloud.api('GET', '/api/v1/projects/murals');
  assert.deepEqual(
    [made.limits.rpm ?? null, made.limits.storage_bytes, made.log_prompts],
    [null, 2 * 2 ** 30, true],
  );
  await page.getByRole('button', { name: 'More: Murals' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await dialog.getByRole('button', { name: 'Delete', disabled: true }).waitFor();
  await dialog.getByLabel(/^Type/).fill('murals');
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await said(page, 'The project is gone.');
});

test('an admin changes what is its own', async () => {
  const page = await cloud.page('admin', '/settings/project');
  await page.getByLabel('Name').fill('Mogao');
  assert.equal(await page.getByLabel('Requests per minute').count(), 0);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('.top-project', { hasText: 'Mogao' }).waitFor();
  assert.equal((await cloud.api('GET', '/api/v1/projects/default')).name, 'Mogao');
});

test('prices are made, changed and removed', async () => {
  const page = await cloud.page('operator', '/settings/prices');
  await page.getByRole('button', { name: 'New price' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Model').fill('qwen*');
  await dialog.getByLabel(/^Tokens in \(/).fill('0.25');
  await dialog.getByLabel(/^Tokens out/).fill('dear');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByText('Enter a sum').waitFor();
  await dialog.getByLabel(/^Tokens out/).fill('1.5');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('button', { name: 'qwen*', exact: true }).click();
  await dialog.getByLabel(/^Tokens in, from the cache/).fill('0.05');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /qwen/ }).getByText('$0.05').waitFor();
  await page.getByRole('button', { name: 'More: qwen*' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await said(page, 'The price is gone.');
});

test('the currency is the cloud’s, and shown at once', async () => {
  const page = await cloud.page('operator', '/settings/cloud');
  await page.getByLabel('Currency').fill('euro');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Three capital letters').waitFor();
  await page.getByLabel('Currency').fill('EUR');
  await page.getByLabel('A request is slow from').fill('2500');
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'Saved.');
  const settings = await cloud.api('GET', '/api/v1/settings');
  assert.deepEqual([settings.currency, settings.slow_request_ms], ['EUR', 2500]);
  await page.getByRole('tab', { name: 'Prices' }).click();
  await page.getByRole('cell', { name: /€/ }).first().waitFor();
});

test('a mail relay is set, keeps its password, and is removed', async () => {
  const page = await cloud.page('operator', '/settings/mail');
  await page.getByLabel('Host').fill('mail.example.org');
  await page.getByLabel('Sender').fill('cloud@example.org');
  await page.getByLabel('User').fill('cloud');
  await page.getByLabel('Password').fill('relay secret');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Remove the relay' }).waitFor();
  await eventually(async () => assert.equal(await page.getByLabel('Password').inputValue(), ''));
  const { smtp } = await cloud.api('GET', '/api/v1/settings');
  assert.deepEqual([smtp.host, smtp.user], ['mail.example.org', 'cloud']);
  assert.doesNotMatch(JSON.stringify(smtp), /relay secret/);
  await page.getByRole('button', { name: 'Remove the relay' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove the relay' }).click();
  await said(page, 'The relay is removed.');
  assert.equal((await cloud.api('GET', '/api/v1/settings')).smtp ?? null, null);
});

test('it looks right everywhere', async () => {
  const page = await cloud.page('operator', '/settings');
  for (const tab of ['you', 'projects', 'prices', 'cloud', 'mail']) {
    await page.goto(`${cloud.url}/console/settings/${tab}`);
    await settled(page);
    await cloud.axe(page);
    await cloud.shots(page, `settings-${tab}`);
  }
  await page.goto(`${cloud.url}/console/settings/projects`);
  await cloud.shots(page, 'settings-project-new', {
    prepare: async (p) => {
      await p.getByRole('button', { name: /New project|新建项目/ }).click();
      await p.getByRole('dialog').waitFor();
    },
  });
});
