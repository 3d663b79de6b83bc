// The shell: what is around every page.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { assert, start, test } from './harness.mjs';

const BUILD = process.env.FT_BUILD ?? 'build';
const WEB = path.join(import.meta.dirname, '../../src/console/web');
const FIRST_PAINT_BYTES = 200 * 1024;
const cloud = await start();

const head = async (target, headers = {}, method = 'GET') => {
  const answer = await fetch(cloud.url + target, { method, headers, redirect: 'manual' });
  return {
    status: answer.status,
    header: (name) => answer.headers.get(name),
    text: await answer.text(),
  };
};

test('browsers are led to the console, programs are not', async () => {
  const browser = await head('/', { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' });
  assert.equal(browser.status, 302);
  assert.equal(browser.header('location'), '/console/');
  assert.equal((await head('/console')).header('location'), '/console/');
  const program = await head('/', { Accept: '*/*' });
  assert.equal(program.status, 200);
  assert.match(program.header('content-type'), /^text\/plain/);
});

test('files come compressed, are kept for good, and what is kept is not sent again', async () => {
  const page = await head('/console/', { 'Accept-Encoding': 'br' });
  assert.equal(page.header('content-encoding'), 'br');
  assert.equal(page.header('cache-control'), 'no-cache');
  assert.equal(page.header('vary'), 'accept-encoding');
  const script = /src="(\/console\/assets\/main-[^"]+)"/.exec(page.text)[1];
  const whole = await head(script, { 'Accept-Encoding': 'identity' });
  assert.equal(whole.header('content-encoding'), null);
  assert.match(whole.header('cache-control'), /immutable/);
  const gzip = await head(script, { 'Accept-Encoding': 'gzip' });
  assert.equal(gzip.text, whole.text); // fetch undoes it
  assert.notEqual(gzip.header('etag'), whole.header('etag'));
  const again = await head(script, {
    'Accept-Encoding': 'gzip',
    'If-None-Match': gzip.header('etag'),
  });
  assert.equal(again.status, 304);
  assert.equal(again.text, '');
  const only = await head(script, { 'Accept-Encoding': 'gzip' }, 'HEAD');
  assert.equal(only.status, 200);
  assert.equal(only.text, '');
  assert.equal(only.header('etag'), gzip.header('etag'));
});

test('every answer says what its pages may do', async () => {
  for (const target of ['/console/', '/console/models/a', '/console/licences.txt']) {
    const answer = await head(target);
    assert.equal(answer.status, 200, target);
    assert.match(
      answer.header('content-security-policy'),
      /default-src 'none'; script-src 'self'; style-src 'self';/,
    );
    assert.match(answer.header('content-security-policy'), /frame-ancestors 'none'/);
    assert.doesNotMatch(answer.header('content-security-policy'), /unsafe|\*/);
    assert.equal(answer.header('x-content-type-options'), 'nosniff');
    assert.equal(answer.header('referrer-policy'), 'same-origin');
  }
  assert.equal((await head('/console/assets/none.js')).status, 404);
  assert.equal((await head('/console/', {}, 'POST')).status, 405);
});

test('the first page is less than 200 KB, compressed', () => {
  const { first, pages, files } = JSON.parse(
    fs.readFileSync(`${BUILD}/console/manifest.json`, 'utf8'),
  );
  const needed = new Set([...first, ...pages.overview.map((name) => `assets/${name}`)]);
  for (const name of Object.keys(files)) if (/uPlot/.test(name)) needed.add(name); // its curves
  const bytes = [...needed].reduce((sum, name) => sum + files[name].gzip, 0);
  assert.ok(bytes < FIRST_PAINT_BYTES, `${bytes} bytes: ${[...needed].join(' ')}`);
});

test('two builds are the same bytes', () => {
  const out = fs.mkdtempSync(path.join(os.tmpdir(), 'feitian-build-'));
  try {
    for (const name of ['package.json', 'package-lock.json'])
      fs.copyFileSync(path.join(WEB, name), path.join(out, name));
    fs.symlinkSync(path.resolve(BUILD, 'console/node_modules'), path.join(out, 'node_modules'));
    execFileSync('node', [path.join(WEB, 'build.mjs'), out]);
    for (const name of ['assets.bin', 'assets.inc', 'manifest.json'])
      assert.ok(
        fs.readFileSync(path.join(out, name)).equals(fs.readFileSync(`${BUILD}/console/${name}`)),
        name,
      );
  } finally {
    fs.rmSync(out, { recursive: true });
  }
});

test('every text is there in both languages', async () => {
  const folder = path.join(WEB, 'src/pages');
  const own = fs
    .readdirSync(folder)
    .map((name) => path.join(folder, name, 'text.js'))
    .filter((f) => fs.existsSync(f));
  const shell = await import(path.join(WEB, 'src/text.js'));
  const parts = Object.entries(shell);
  for (const file of own) parts.push([file, await import(file)]);
  for (const [name, { en, zh }] of parts) {
    assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort(), name);
    for (const key of Object.keys(en)) {
      const params = (text) =>
        typeof text === 'string' ? [...new Set(text.match(/\{\w+\}/g) ?? [])].sort() : null;
      if (params(en[key]) && params(zh[key]))
        assert.deepEqual(params(zh[key]), params(en[key]), `${name}: ${key}`);
    }
  }
});

test('Chinese is written with Chinese punctuation', async () => {
  const folder = path.join(WEB, 'src/pages');
  const files = fs
    .readdirSync(folder)
    .map((name) => path.join(folder, name, 'text.js'))
    .filter((f) => fs.existsSync(f));
  for (const file of [path.join(WEB, 'src/text.js'), ...files]) {
    const found = fs
      .readFileSync(file, 'utf8')
      .match(/.*[\u4e00-\u9fff][,:;?!](?=[\u4e00-\u9fff' ]).*/g);
    assert.deepEqual(found, null, file);
  }
});

test('what is said of a refusal is keyed by codes that the cloud has', () => {
  const source = fs.readFileSync(path.join(WEB, 'src/lib/refusals.js'), 'utf8');
  const table = /const CODES = \{([\s\S]*?)\n\};/.exec(source)[1];
  const codes = [...table.matchAll(/^ {2}(\w+): /gm)].map(([, code]) => code);
  assert.ok(codes.length > 50, String(codes.length));
  const root = path.join(WEB, '../../..');
  const files = fs.readdirSync(path.join(root, 'src'), { recursive: true });
  const words = new Set();
  for (const file of files.filter((name) => /\.[ch]$/.test(name)))
    for (const [word] of fs.readFileSync(path.join(root, 'src', file), 'utf8').matchAll(/\w+/g))
      words.add(word);
  assert.deepEqual(
    codes.filter((code) => !words.has(code)),
    [],
  );
});

/* ---- in the browser ---- */

test('a page that nobody looks at asks for nothing', async () => {
  const page = await cloud.page('operator', '/nodes');
  await page.clock.install();
  await page.reload();
  await page.getByRole('heading', { name: 'Nodes' }).waitFor();
  await page.waitForLoadState('networkidle');
  const look = (hidden) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  const asked = () => page.waitForResponse((answer) => answer.url().includes('/api/v1/'));
  // seen: the clock alone brings the next question
  await Promise.all([asked(), page.clock.runFor(60000)]);
  await page.waitForLoadState('networkidle');
  await look(true);
  let n = 0;
  page.on('request', () => n++);
  await page.clock.runFor(600000);
  assert.equal(await page.evaluate(() => document.hidden), true); // all that it did is told by now
  assert.equal(n, 0);
  await Promise.all([asked(), look(false)]); // seen again: asked at once
});

test('the palette goes anywhere by a few letters', async () => {
  const page = await cloud.page('operator', '/');
  await page.keyboard.press('Control+k');
  const field = page.getByRole('combobox', { name: 'Go to a page' });
  await field.fill('aud');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Audit log' }).waitFor();
  await page.locator('main').press('/');
  await field.fill('节点'); // by its other name too
  await cloud.axe(page);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Nodes' }).waitFor();
  await page.keyboard.press('Control+k');
  await field.fill('nothing like this');
  await page.getByText('Nothing by that name.').waitFor();
  await page.keyboard.press('Escape');
  await field.waitFor({ state: 'detached' });
});

test('the keyboard alone: skip link, navigation, focus on the page that was gone to', async () => {
  const page = await cloud.page('operator', '/');
  await page.keyboard.press('Tab');
  await page.waitForFunction(() => document.activeElement.textContent === 'Skip to the content');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.id === 'main');
  await page.getByRole('link', { name: 'Nodes' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Nodes' }).waitFor();
  await page.waitForFunction(() => document.activeElement.id === 'main');
  await page.waitForFunction(() => document.title === 'Nodes · feitian');
  await page.goBack();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});

test('on a phone the navigation comes in from the side', async () => {
  const page = await cloud.page('operator', '/', {
    viewport: { width: 360, height: 740 },
    hasTouch: true,
  });
  assert.equal(await page.getByRole('link', { name: 'Nodes' }).count(), 0);
  await page.getByRole('button', { name: 'Open the navigation' }).click();
  await cloud.axe(page);
  await page.getByRole('dialog').getByRole('link', { name: 'Nodes' }).click();
  await page.getByRole('heading', { name: 'Nodes' }).waitFor();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
});

test('roles see what is of use to them', async () => {
  const operator = await cloud.page('operator', '/');
  await operator.getByRole('link', { name: 'Nodes' }).waitFor();
  const viewer = await cloud.page('viewer', '/nodes');
  await viewer.getByText('There is no such page').waitFor();
  assert.equal(await viewer.getByRole('link', { name: 'Nodes' }).count(), 0);
  await viewer.getByRole('link', { name: 'To the overview' }).click();
  await viewer.getByRole('heading', { name: 'Overview' }).waitFor();
});

test('on paper there is what a page says, dark on white', async () => {
  const page = await cloud.page('operator', '/nodes', { colorScheme: 'dark' });
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  await page.getByRole('heading', { level: 1, name: 'Nodes' }).waitFor();
  for (const what of ['.side', '.top', '.tabs'])
    assert.equal(await page.locator(what).isVisible(), false, what);
  const scheme = () => getComputedStyle(document.documentElement).colorScheme;
  assert.equal(await page.evaluate(scheme), 'light');
});

test('a page that does not exist says so', async () => {
  const page = await cloud.page('operator', '/nowhere/at/all');
  await page.getByText('There is no such page').waitFor();
  await cloud.axe(page);
});

test('the language changes where one is', async () => {
  const page = await cloud.page('operator', '/audit');
  await page.getByRole('button', { name: 'Language' }).click();
  await page.getByRole('menuitemradio', { name: '简体中文' }).click();
  await page.getByRole('heading', { name: '审计日志' }).waitFor();
  await page.getByRole('button', { name: '主题' }).click();
  await page.waitForFunction(() => document.activeElement.getAttribute('role') === 'menuitemradio');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
});
