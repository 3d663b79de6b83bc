// Keys and members: made, used, changed, ended; each by those alone who may.
import { assert, eventually, said, settled, start, test } from './harness.mjs';

const cloud = await start({ nano: true });
const LOGIN = 'anna@example.org';
const as = (secret) =>
  fetch(`${cloud.url}/v1/models`, { headers: { Authorization: `Bearer ${secret}` } });
const act = async (page, name, what) => {
  await page.getByRole('button', { name: `What to do with ${name}` }).click();
  await page.getByRole('menuitem', { name: what }).click();
};
const offers = (page, words) =>
  eventually(async () => assert.deepEqual(await page.getByRole('menuitem').allInnerTexts(), words));

test('a key is made, shown once, changed and revoked', async () => {
  const page = await cloud.page('admin', '/keys');
  await page.getByRole('button', { name: 'New key' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByText('A name is needed.').waitFor();
  assert.deepEqual(
    await dialog.getByRole('combobox', { name: 'Role' }).locator('option').allInnerTexts(),
    ['viewer', 'developer', 'admin'],
  );
  await dialog.getByRole('textbox', { name: /^Name/ }).fill('shop');
  await dialog.getByText('Only these').click();
  await dialog.getByRole('checkbox', { name: 'Chat with models' }).check();
  await dialog.getByRole('checkbox', { name: 'See models and state' }).check();
  await dialog.getByText('Models, limits, budget, expiry').click();
  await dialog.getByRole('textbox', { name: /^Models/ }).fill('nano, ft:*');
  await dialog.getByRole('spinbutton', { name: 'Requests a minute' }).fill('60');
  await dialog.getByRole('textbox', { name: /^A month/ }).fill('20');
  await dialog.getByLabel(/^Expires/).fill('2099-12-31');
  await cloud.axe(page);
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByText('it is shown this once').waitFor();
  const secret = (await dialog.getByRole('region', { name: 'Copy key' }).innerText()).trim();
  await cloud.axe(page);
  await dialog.getByRole('button', { name: 'Copy: Copy key' }).click();
  await page.waitForFunction(async (s) => (await navigator.clipboard.readText()) === s, secret);
  await page.keyboard.press('Escape'); // by accident: it stays, and offers nothing else
  await page.keyboard.press('Escape');
  await dialog.getByRole('button', { name: 'I have copied it' }).waitFor();
  assert.equal(await dialog.getByRole('button', { name: 'Close' }).count(), 0);
  await dialog.getByRole('button', { name: 'I have copied it' }).click();
  assert.equal((await as(secret)).status, 200);
  const { data } = await cloud.api('GET', '/api/v1/keys');
  const made = data.find((k) => k.name === 'shop');
  assert.deepEqual(
    [
      made.role,
      made.models,
      made.actions,
      made.limits.rpm,
      made.budget.month,
      new Date(made.expires * 1000).getUTCFullYear(),
    ],
    ['developer', ['nano', 'ft:*'], ['chat', 'models'], 60, '20', 2099],
  );
  await page.getByRole('row').filter({ hasText: 'shop' }).getByText('60/min').waitFor();
  await eventually(async () => assert.ok(!(await page.content()).includes(secret)));

  await act(page, 'shop', 'Edit');
  await dialog.getByRole('textbox', { name: /^Name/ }).fill('web shop');
  await dialog.getByText('Everything its role may do').click();
  await dialog.getByRole('button', { name: 'Save' }).click();
  await said(page, 'The key is changed.');
  assert.deepEqual((await cloud.api('GET', `/api/v1/keys/${made.id}`)).actions, ['*']);
  await settled(page);
  await cloud.axe(page);
  await cloud.shots(page, 'keys');

  await act(page, 'web shop', 'Revoke');
  const revoke = dialog.getByRole('button', { name: 'Revoke' });
  await eventually(async () => assert.ok(await revoke.isDisabled()));
  await dialog.getByRole('textbox').fill('web shop');
  await revoke.click();
  await said(page, 'The key web shop is revoked.');
  assert.equal((await as(secret)).status, 401);
});

test('a question goes with its page, and nothing is done', async () => {
  await cloud.api('POST', '/api/v1/keys', { name: 'stays', role: 'viewer' });
  const page = await cloud.page('admin', '/');
  await page.getByRole('link', { name: 'Keys and members' }).click();
  await act(page, 'stays', 'Revoke');
  await page.getByRole('dialog').waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.goForward();
  await page.getByRole('row').filter({ hasText: 'stays' }).waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
});

test('what the browser does not copy is not called copied', async () => {
  const page = await cloud.page('admin', '/keys');
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new Error('no'));
    document.execCommand = () => false;
  });
  await page.getByRole('button', { name: 'New key' }).click();
  await page.getByRole('dialog').getByRole('textbox', { name: /^Name/ }).fill('copied');
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  await page.getByRole('button', { name: 'Copy: Copy key' }).click();
  await said(page, 'This browser does not let pages copy');
});

test('the form looks right everywhere', async () => {
  const page = await cloud.page('admin', '/keys');
  await cloud.shots(page, 'keys-new', {
    prepare: async (p) => {
      await p.locator('.keys-bar button').click();
      await p.locator('dialog summary').click();
    },
  });
});

test('a member is invited, signs in with a password, makes a key, and is removed', async () => {
  const page = await cloud.page('admin', '/keys?tab=members');
  await page.getByRole('heading', { name: 'No members yet' }).waitFor();
  await cloud.shots(page, 'keys-members-empty');
  await page.getByRole('button', { name: 'New member' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: /^Name/ }).fill('Anna');
  await dialog.getByRole('textbox', { name: /^User name/ }).fill(LOGIN);
  await dialog.getByRole('button', { name: 'Make one' }).click();
  await cloud.axe(page);
  await dialog.getByRole('button', { name: 'Create' }).click();
  const words = await dialog.getByRole('region', { name: 'Tell Anna' }).innerText();
  assert.ok(words.includes(`${cloud.url}/console/`) && words.includes(LOGIN), words);
  const password = /Password:\s+(\S+)/.exec(words)[1];
  await cloud.axe(page);
  await dialog.getByRole('button', { name: 'Done' }).click();
  await page
    .getByRole('row')
    .filter({ hasText: 'Anna' })
    .getByText('set', { exact: true })
    .waitFor();
  await cloud.axe(page);
  await cloud.shots(page, 'keys-members');

  const hers = await cloud.open('/keys');
  await hers.getByText('Password', { exact: true }).first().click();
  await hers.getByRole('textbox', { name: 'User name' }).fill(LOGIN);
  await hers.getByRole('textbox', { name: 'Password' }).fill(password);
  await hers.getByRole('button', { name: 'Sign in' }).click();
  await hers.getByRole('heading', { name: 'Keys and members' }).waitFor();
  await hers.getByRole('button', { name: 'New key' }).click();
  await hers.getByRole('dialog').getByRole('textbox', { name: /^Name/ }).fill('laptop');
  await hers.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  const secret = (
    await hers.getByRole('dialog').getByRole('region', { name: 'Copy key' }).innerText()
  ).trim();
  await hers.getByRole('button', { name: 'I have copied it' }).click();
  assert.equal((await as(secret)).status, 200);
  // not hers: only to look at
  await hers.getByRole('button', { name: 'What to do with test admin' }).click();
  await offers(hers, ['Requests of this key']);
  await hers.keyboard.press('Escape');
  await hers.getByRole('tab', { name: 'Members' }).click();
  await hers.getByRole('row').filter({ hasText: 'Anna' }).waitFor();
  assert.equal(await hers.getByRole('button', { name: 'New member' }).count(), 0);

  await page.getByRole('tab', { name: 'Sessions' }).click();
  await page.getByRole('row').filter({ hasText: 'this one' }).waitFor();
  await settled(page);
  await cloud.axe(page);
  await cloud.shots(page, 'keys-sessions');
  await page.getByRole('button', { name: 'End the session of Anna' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'End' }).click();
  await said(page, 'The session is ended.');
  await hers.reload();
  await hers.getByRole('button', { name: 'Sign in' }).waitFor();

  await page.getByRole('tab', { name: 'Members' }).click();
  await act(page, 'Anna', 'Remove');
  await page.getByRole('dialog').getByRole('textbox').fill('Anna');
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await said(page, 'Anna is removed.');
  assert.equal((await as(secret)).status, 401);
});

test('who only looks is offered nothing that it may not do', async () => {
  const page = await cloud.page('viewer', '/keys');
  await page.getByRole('row').filter({ hasText: 'test viewer' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'New key' }).count(), 0);
  await page.getByRole('button', { name: 'What to do with test viewer' }).click();
  await offers(page, ['Requests of this key']);
});
