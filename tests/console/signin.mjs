// Signing in and out, and what is said when it cannot be.
import { assert, settled, start, test } from './harness.mjs';

const cloud = await start();
const PASSWORD = 'a password of some length';
const form = (page) => page.locator('.signin').waitFor();

test('an empty form says what is missing, at the field', async () => {
  const page = await cloud.open('/');
  await page.getByRole('button', { name: 'Sign in' }).click();
  const field = page.getByLabel('API key');
  await page.getByText('Enter a key.').waitFor();
  await page.locator('input[aria-invalid=true]:focus').and(field).waitFor();
});

test('a page that nobody is signed in to faults nothing', async () => {
  const page = await cloud.blank({});
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  await page.goto(`${cloud.url}/console/`);
  await form(page);
  assert.deepEqual(said, []);
});

test('a key signs in, where one wanted to go; signing out ends it for good', async () => {
  const page = await cloud.open('/nodes/events?kind=scaled');
  await page.getByLabel('API key').fill(await cloud.key('operator'));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Nodes' }).waitFor();
  await page.waitForURL(/\/console\/nodes\/events\?kind=scaled$/);
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict']);
  assert.equal(await page.evaluate(() => document.cookie), '');
  assert.doesNotMatch(
    await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })),
    /sk-ft/,
  );
  await page.reload();
  await page.getByRole('heading', { name: 'Nodes' }).waitFor();
  await page.getByRole('button', { name: /^Account/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await form(page);
  await page.context().addCookies([cookie]); // even if somebody kept it
  await page.reload();
  await form(page);
});

test('a wrong key is refused in words', async () => {
  const page = await cloud.open('/');
  await page.getByLabel('API key').fill('sk-ft-nothing');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText('This key is not known').waitFor();
});

test('a member signs in by name and password', async () => {
  const member = await cloud.api('POST', '/api/v1/members', {
    name: 'Wu Daozi',
    login: 'wu',
    role: 'developer',
  });
  await cloud.api('PUT', `/api/v1/members/${member.id}/password`, { password: PASSWORD });
  const page = await cloud.open('/');
  await page.getByText('Password', { exact: true }).click();
  await page.getByLabel('User name').fill('wu');
  await page.getByLabel('Password', { exact: true }).last().fill('wrong, but long enough');
  await page.keyboard.press('Enter');
  await page.getByText('The user name or the password is wrong.').waitFor();
  await page.getByLabel('Password', { exact: true }).last().fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.getByRole('button', { name: 'Account: Wu Daozi' }).waitFor();
});

test('a session that ends elsewhere leads to the form, and back to the same place', async () => {
  const page = await cloud.page('admin', '/audit');
  const { data } = await cloud.api('GET', '/api/v1/sessions', undefined, 'operator');
  for (const session of data) await cloud.api('DELETE', `/api/v1/sessions/${session.id}`);
  await page.getByLabel('Kind').selectOption('key');
  await page.getByText('Your session is over.').waitFor();
  await page.getByLabel('API key').fill(await cloud.key('admin'));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Audit log' }).waitFor();
  await settled(page);
});

test('language and theme can be chosen before', async () => {
  const page = await cloud.open('/', { locale: 'zh-CN' });
  await page.getByRole('button', { name: '登录' }).waitFor();
  await page.waitForFunction(() => document.documentElement.lang === 'zh-Hans');
  await page.getByRole('button', { name: '语言' }).click();
  await page.getByRole('menuitemradio', { name: 'English' }).click();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await page.getByRole('button', { name: 'Theme' }).click();
  await page.getByRole('menuitemradio', { name: 'Dark' }).click();
  await page.reload();
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await page.waitForFunction(() => getComputedStyle(document.body).colorScheme === 'dark');
});

test('it looks right everywhere, and can be used without eyes or mouse', async () => {
  const page = await cloud.open('/');
  await form(page);
  await cloud.axe(page);
  await cloud.shots(page, 'signin', { wait: form });
});
