// Machines, workers, checks and events.
import { assert, eventually, settled, start, test } from './harness.mjs';

const cloud = await start();
await cloud.feitian('chat', 'nano', '--quiet', '-p', 'Hello');

test('the machine, its worker and its checks are there', async () => {
  const page = await cloud.page('operator', '/nodes');
  const own = async () => (await cloud.api('GET', '/api/v1/nodes')).data[0];
  const node = await own();
  await page.getByRole('heading', { name: node.name }).waitFor();
  await page.getByText(node.cpu.model).waitFor();
  const workers = page.getByRole('table', { name: 'Workers' });
  await workers.getByText('Ready').waitFor();
  await workers.getByText('nano').waitFor();
  await eventually(async () =>
    assert.equal(await page.locator('.nodes-checks > li').count(), (await own()).checks.length),
  );
  await cloud.axe(page);
  await cloud.shots(page, 'nodes');
});

test('events are found by their kind, and the address keeps it', async () => {
  const page = await cloud.page('operator', '/nodes');
  await page.getByRole('tab', { name: 'Events' }).click();
  await page.getByText('Model loaded').last().waitFor();
  await page.getByLabel('Kind').selectOption('worker_started');
  await page.waitForFunction(() => {
    const kinds = [...document.querySelectorAll('.events b')];
    return kinds.length > 0 && kinds.every((b) => /Worker started/.test(b.textContent));
  });
  await page.reload();
  await eventually(async () =>
    assert.equal(await page.getByLabel('Kind').inputValue(), 'worker_started'),
  );
  await page.getByLabel('Kind').selectOption('request_given_up');
  await page.getByText('Nothing has happened').waitFor();
  await page.getByLabel('Kind').selectOption('');
  await cloud.axe(page);
  await cloud.shots(page, 'events');
});

test('what the cloud says of itself is Chinese on a Chinese page', async () => {
  const page = await cloud.page('operator', '/nodes');
  await page.evaluate(() => localStorage.setItem('feitian.language', 'zh'));
  await page.goto(`${cloud.url}/console/nodes`);
  await settled(page);
  await page.locator('.nodes-checks').getByText('处理器', { exact: true }).waitFor();
  await page
    .locator('.nodes-checks')
    .getByText(/^可用 .*iB$/)
    .waitFor();
  await page.goto(`${cloud.url}/console/nodes/events`);
  await page
    .getByText(/^工作进程 0 已就绪，进程号 \d+$/)
    .first()
    .waitFor();
  await page.goto(`${cloud.url}/console/alerts`);
  await page.getByText('磁盘将满', { exact: true }).waitFor();
});

test('tabs go by arrow keys', async () => {
  const page = await cloud.page('operator', '/nodes');
  await page.getByRole('tab', { name: 'Machines' }).focus();
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => document.activeElement.id === 'tab-events');
  await page.waitForURL(/\/nodes\/events$/);
});
