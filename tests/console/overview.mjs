// The overview: numbers of calls that were made, and what wants attention.
import { assert, eventually, sameDay, settled, start, test } from './harness.mjs';

const cloud = await start();
const tile = (page, label, value) =>
  page.locator('.tile', { hasText: label }).locator('.tile-value', { hasText: value }).waitFor();

test('a cloud that nobody used says how it stands', async () => {
  const page = await cloud.page('operator', '/');
  await page.getByText(/^All is well$|things? needs? attention$/).waitFor(); // a busy disk is one
  await tile(page, 'Model calls today', /^0$/);
  await page.getByRole('cell', { name: 'nano' }).waitFor();
  await page.getByText('Asleep').waitFor();
});

test('calls are counted, and their endpoint is awake', async () => {
  await sameDay();
  await cloud.feitian('chat', 'nano', '--quiet', '-p', 'Hello');
  const page = await cloud.page('operator', '/');
  await page.getByText('Ready', { exact: true }).waitFor();
  await tile(page, 'Model calls today', /[1-9]/);
  await tile(page, 'Tokens today', /[1-9]/);
  await tile(page, 'Workers', /^1$/);
  await page.getByText('Worker ready').waitFor();
  await cloud.axe(page);
  await cloud.shots(page, 'overview');
});

test('a budget that is nearly used wants attention', async () => {
  await sameDay();
  await cloud.feitian('chat', 'nano', '--quiet', '-p', 'Hello');
  await cloud.api('PATCH', '/api/v1/projects/default', { budget: { day: '0.00001' } });
  const page = await cloud.page('operator', '/');
  await page.getByRole('heading', { name: 'Needs attention' }).waitFor();
  await page.getByText(/^Budget of today: .*% used$/).waitFor();
  await page.getByText(/things? needs? attention/).waitFor();
  await cloud.axe(page);
  await cloud.shots(page, 'overview-attention');
  await cloud.api('PATCH', '/api/v1/projects/default', { budget: null });
});

test('the span of the curves can be chosen', async () => {
  const page = await cloud.page('operator', '/');
  const weekAgo = () => Math.floor(Date.now() / 1000) - 7 * 86400;
  const first = weekAgo();
  const asked = page.waitForRequest((request) => {
    const { pathname, searchParams } = new URL(request.url());
    const from = Number(searchParams.get('from')); // the hour's is asked for again and again, too
    return pathname === '/api/v1/history' && from >= first && from <= weekAgo();
  });
  await page.getByText('7 days', { exact: true }).click();
  await asked;
  await settled(page);
});

test('who is no operator sees the own project, and nothing breaks', async () => {
  const page = await cloud.page('viewer', '/');
  await page.getByText('Model calls today').waitFor();
  assert.equal(await page.locator('.tile', { hasText: 'Stored' }).count(), 0);
  await cloud.axe(page);
});

test('an endpoint whose server is not there wants attention', async () => {
  const model = 'gone';
  await cloud.api('POST', '/api/v1/endpoints', {
    name: model,
    targets: [{ url: 'http://127.0.0.1:1/v1' }],
  });
  const messages = [{ role: 'user', content: 'Hello' }];
  const ask = () => cloud.api('POST', '/v1/chat/completions', { model, messages });
  await eventually(() => assert.rejects(ask, /the server behind 'gone' does not answer/));
  const page = await cloud.page('operator', '/');
  await page.getByText('Endpoint gone does not answer').waitFor();
  await page.getByText(/things? needs? attention/).waitFor();
  await eventually(async () => {
    const { data } = await cloud.api('GET', '/api/v1/requests?model=gone&status=error');
    assert.equal(data[0].error.message, "the server behind 'gone' does not answer");
  });
});
