// The palette: what is in the cloud, and what can be made, by typing some of its name.
import { assert, eventually, start, test } from './harness.mjs';

const cloud = await start({ nano: true });

const open = async (page) => {
  await page.keyboard.press('Control+k');
  const field = page.getByRole('combobox', { name: 'Go to a page' });
  await field.waitFor();
  return field;
};
const option = (page, name) => page.getByRole('option', { name });
const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();

test('endpoints, keys, buckets and projects are found by their names', async () => {
  const key = await cloud.api('POST', '/api/v1/keys', { name: 'night shift', role: 'viewer' });
  await cloud.api('POST', '/api/v1/projects', { id: 'murals', name: 'Murals of the north' });
  const page = await cloud.page('operator', '/');
  await page.evaluate(() =>
    fetch('/palette-bucket', {
      method: 'PUT',
      headers: { 'X-Feitian-Console': '1', 'X-Feitian-S3': '1' },
    }),
  );

  let asked = 0;
  page.on('request', (r) => (asked += /\/api\/v1\/keys/.test(r.url()) ? 1 : 0));
  let field = await open(page);
  await option(page, 'Nodes').waitFor();
  assert.equal(asked, 0); // nothing is fetched before somebody looks for something
  await field.fill('endpoint nano');
  await option(page, /^nano Endpoint/).click();
  await heading(page, 'nano');
  await page.waitForURL(/\/console\/endpoints\//);

  field = await open(page);
  await field.fill('palette-b');
  await option(page, /palette-bucket/).waitFor();
  await cloud.axe(page);
  await page.keyboard.press('Enter');
  await heading(page, 'palette-bucket');

  field = await open(page);
  await field.fill(key.id);
  await option(page, /night shift/).click();
  const form = page.getByRole('dialog');
  await eventually(async () =>
    assert.equal(await form.getByLabel('Name', { exact: true }).inputValue(), 'night shift'),
  );
  await page.waitForURL(/\/console\/keys$/); // Back does not open it again
  await page.keyboard.press('Escape');

  field = await open(page);
  await field.fill('murals');
  await option(page, /Murals of the north/).click();
  await page.getByRole('tab', { name: 'Projects', selected: true }).waitFor();
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).waitFor();
});

test('a request is found by its id', async () => {
  await cloud.feitian('chat', 'nano', '--quiet', '-p', 'Hello');
  const made = await eventually(async () => {
    const { data } = await cloud.api('GET', '/api/v1/requests?model=nano');
    assert.equal(data.length, 1); // the ledger is written behind the call
    return data[0];
  });
  const page = await cloud.page('operator', '/');
  const field = await open(page);
  await field.fill(made.id);
  await option(page, new RegExp(`${made.id} Request`)).click();
  await page.getByText(made.id).first().waitFor();
});

test('what can be made is made from anywhere, by whoever may', async () => {
  const page = await cloud.page('operator', '/');
  let field = await open(page);
  await field.fill('new key');
  await option(page, 'New key').first().waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'New key' }).waitFor();
  await page.keyboard.press('Escape');
  for (const [words, title] of [
    ['new endpoint', 'New endpoint'],
    ['new bucket', 'New bucket'],
    ['new repository', 'New repository'],
    ['new member', 'New member'],
    ['new project', 'New project'],
  ]) {
    field = await open(page);
    await field.fill(words);
    await option(page, title).first().click();
    await page.getByRole('dialog', { name: title }).waitFor();
    await page.keyboard.press('Escape');
  }

  const viewer = await cloud.page('viewer', '/');
  field = await open(viewer);
  await field.fill('nano');
  await option(viewer, /^nano Endpoint/).waitFor();
  await field.fill('new');
  await viewer.getByText('Nothing by that name.').waitFor();
});

test('a cloud that does not answer leaves the pages', async () => {
  const page = await cloud.page('operator', '/');
  page.mayFail = true;
  await page.route(/\/api\/v1\/|\/v1\//, (route) => route.abort());
  const field = await open(page);
  await field.fill('aud');
  await option(page, 'Audit log').waitFor();
});
