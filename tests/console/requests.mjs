// Requests: found, followed, explained.
import { LONG, assert, settled, start, test } from './harness.mjs';

const cloud = await start({ nano: true });

async function chat(role, body) {
  const answer = await fetch(`${cloud.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${await cloud.key(role)}`,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify({
      model: 'nano',
      max_tokens: 12,
      temperature: 0,
      messages: [{ role: 'user', content: 'What is feitian?' }],
      ...body,
    }),
  });
  await answer.text();
  return { id: answer.headers.get('x-request-id'), status: answer.status };
}
const rows = (page) => page.getByRole('table', { name: 'Requests' }).getByRole('row');

test('a call appears by itself, and is explained', async () => {
  const page = await cloud.page('developer', '/requests');
  await page.getByRole('checkbox', { name: 'Live' }).waitFor();
  const { id } = await chat('developer', {});
  await rows(page).filter({ hasText: 'nano' }).first().waitFor();
  await page.getByRole('searchbox', { name: 'Find by id' }).fill(id);
  await page.getByRole('button', { name: 'Open' }).click();
  await page.getByRole('heading', { name: 'nano' }).waitFor();
  await page.getByText(/Writing the answer took/).waitFor(LONG);
  await page.getByRole('img', { name: /Course of the request/ }).waitFor();
  await page.getByText('Show as a table').click();
  await page
    .getByRole('table', { name: 'Show as a table' })
    .getByRole('row')
    .filter({ hasText: 'Writing the answer' })
    .waitFor();
  await settled(page);
  await cloud.axe(page);
  await cloud.shots(page, 'requests-one');
});

test('a refused one says why', async () => {
  const { id, status } = await chat('developer', { model: 'nobody' });
  assert.equal(status, 404);
  const page = await cloud.page('developer', `/requests/${id}`);
  await page.locator('.page-title').getByText('refused 404').waitFor();
  await page.getByText(/There is no endpoint of this name/).waitFor();
  await cloud.axe(page);
  await cloud.shots(page, 'requests-refused');
});

test('they are found by what they are', async () => {
  const page = await cloud.page('operator', '/requests');
  await rows(page).filter({ hasText: 'refused' }).first().waitFor();
  // what this page asks
  assert.equal(await rows(page).filter({ hasText: 'Administration' }).count(), 0);
  await page.getByRole('combobox', { name: 'Kind' }).selectOption('*');
  await rows(page).filter({ hasText: 'Administration' }).first().waitFor();
  await page.getByRole('combobox', { name: 'Kind' }).selectOption('');
  await page.getByRole('combobox', { name: 'State' }).selectOption('refused');
  await rows(page).filter({ hasText: 'refused 404' }).first().waitFor();
  await rows(page)
    .filter({ hasText: /\bOK\b/ })
    .first()
    .waitFor({ state: 'detached' });
  await page.getByRole('combobox', { name: 'State' }).selectOption('');
  await page.getByRole('combobox', { name: 'Model' }).selectOption('nano');
  await rows(page).filter({ hasText: 'nano' }).first().waitFor();
  await rows(page).filter({ hasText: 'refused' }).first().waitFor({ state: 'detached' });
  await page.getByRole('combobox', { name: 'Model' }).selectOption('');
  // to be refused takes no time anywhere
  await page.getByRole('combobox', { name: 'State' }).selectOption('refused');
  await page.getByRole('combobox', { name: 'At least' }).selectOption('30000');
  await page.getByRole('heading', { name: 'No request is like that.' }).waitFor();
  await page.getByRole('button', { name: 'Clear the filter' }).click();
  await rows(page).filter({ hasText: 'refused' }).first().waitFor();
  await cloud.axe(page);
  await cloud.shots(page, 'requests');
  await page.goto(`${cloud.url}/console/requests/req_000000000000000000000000`);
  await page.getByRole('heading', { name: 'There is no such request' }).waitFor();
});

test('rare ones are looked for over several calls', async () => {
  const page = await cloud.page('operator', '/');
  const { data } = await cloud.api('GET', '/api/v1/requests?limit=1');
  const asked = [];
  await page.route('**/api/v1/requests?*', async (route) => {
    const after = new URL(route.request().url()).searchParams.get('after');
    asked.push(after);
    const found = after === 'req_2';
    const answer = {
      object: 'list',
      data: found ? data : [],
      has_more: !found,
      next: found ? null : after === null ? 'req_1' : 'req_2',
      partial: false,
    };
    await route.fulfill({ json: answer });
  });
  await page.goto(`${cloud.url}/console/requests?min_ms=30000`);
  await rows(page).nth(1).waitFor();
  assert.deepEqual(asked.slice(0, 3), [null, 'req_1', 'req_2']);
});

test('batches: nothing yet, then one with its results', async () => {
  const page = await cloud.page('developer', '/requests?tab=batches');
  await page.getByRole('heading', { name: 'No batches yet' }).waitFor();
  await cloud.axe(page);
  const line = (id, model) =>
    JSON.stringify({
      custom_id: id,
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model, max_tokens: 4, messages: [{ role: 'user', content: 'Hello' }] },
    });
  const form = new FormData();
  form.append('purpose', 'batch');
  form.append('file', new Blob([`${line('a', 'nano')}\n${line('b', 'nobody')}\n`]), 'batch.jsonl');
  const headers = { Authorization: `Bearer ${await cloud.key('developer')}` };
  const { id: input } = await (
    await fetch(`${cloud.url}/v1/files`, { method: 'POST', body: form, headers })
  ).json();
  const batch = await cloud.api(
    'POST',
    '/v1/batches',
    { input_file_id: input, endpoint: '/v1/chat/completions', completion_window: '24h' },
    'developer',
  );
  const row = page.getByRole('row').filter({ hasText: batch.id });
  await row.getByText('Done', { exact: true }).waitFor(LONG);
  await row.getByText('2 of 2').waitFor();
  await row.getByText('1 failed').waitFor();
  await page.getByRole('button', { name: `What to do with ${batch.id}` }).click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('menuitem', { name: 'Results' }).click(),
  ]);
  assert.equal(download.suggestedFilename(), `${batch.id}-results.jsonl`);
  await cloud.axe(page);
  await cloud.shots(page, 'requests-batches');
  await row.getByRole('link', { name: batch.id }).click();
  await page.getByText(`Only the lines of ${batch.id} that were sent.`).waitFor();
  await rows(page).nth(2).waitFor();
  assert.equal(await rows(page).count(), 3); // with the head
  await cloud.axe(page);
  await cloud.shots(page, 'requests-of-a-batch');
  await rows(page).nth(1).getByRole('link').first().click();
  await page.getByRole('link', { name: batch.id }).waitFor(); // back to the others of it
});

test('more are shown below those that are there', async () => {
  for (let i = 0; i < 60; i += 1) await chat('developer', { model: `none-${i}` });
  const page = await cloud.page('developer', '/requests?status=refused');
  const more = page.getByRole('button', { name: 'Show more' });
  await page.getByRole('checkbox', { name: 'Live' }).uncheck();
  await more.scrollIntoViewIfNeeded();
  const before = await page.evaluate(() => {
    const table = document.querySelector('table');
    window.least = Infinity; // rows at any time
    new MutationObserver(() => {
      window.least = Math.min(window.least, document.querySelectorAll('tbody tr').length);
    }).observe(table.closest('main'), { childList: true, subtree: true });
    return window.scrollY;
  });
  assert.ok(before > 0);
  await settled(page); // nothing that was asked while it was live
  await more.click();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length > 60);
  assert.ok((await page.evaluate(() => window.least)) >= 50);
  assert.ok((await page.evaluate(() => window.scrollY)) >= before);
});
