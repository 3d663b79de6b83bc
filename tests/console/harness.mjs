// What the tests of pages share: a cloud of its own in a temporary folder on a
// free port, keys for every role, Debian's Chromium, and what no page may do:
// log an error, break the content security policy, ask another host, be wider
// than the screen, or be in the way of those who do not see or use no mouse.
//
//   import { start, test } from './harness.mjs';
//   const cloud = await start({ nano: true });
//   test('a key can be made', async () => {
//     const page = await cloud.page('admin', '/keys');     signed in; checked when the test ends
//     await page.getByRole('button', { name: 'New key' }).click();
//     await cloud.axe(page);                                both themes
//     await cloud.shots(page, 'keys');                      it fits; pictures into $FT_SHOTS
//   });
//
// Run by ctest (console.NAME), or by hand:
//   FEITIAN=build/feitian FT_MODULES=build/console-tests \
//       node --test-reporter=spec tests/console/NAME.mjs
//
// Nothing here may depend on how fast a machine is: a test waits for the sign of what it asserts
// (waitFor, said(), settled(), or eventually() around an assertion), and never for a state that
// passes. To try that out:
//   FT_DELAY_MS=1500     every answer of the API reaches the page up to so many milliseconds late
//   FT_SLOW_CPU=6        the page computes so many times more slowly
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export { assert, test };

const CHROMIUM = process.env.FT_CHROMIUM ?? '/usr/bin/chromium';
const FEITIAN = path.resolve(process.env.FEITIAN ?? 'build/feitian');
const MODULES = path.resolve(process.env.FT_MODULES ?? 'build/console-tests');
const SHOTS = process.env.FT_SHOTS;
const NANO = path.join(import.meta.dirname, '../../models/nano.gguf');
const WIDTHS = { phone: 360, tablet: 768, desk: 1440 };
const HEIGHT = 900;
const SKIPPED = 77;
// For anything: what is there at once costs nothing, and a busy machine needs it.
const WAIT_MS = 60000;
const DAY_MS = 86400000;
// For what a worker, a training or control's look every 10 seconds brings.
export const LONG = { timeout: 180000 };
const UP_S = 120;
const UP_TRIES = 5;
const DELAY_MS = Number(process.env.FT_DELAY_MS ?? 0);
const SLOW_CPU = Number(process.env.FT_SLOW_CPU ?? 1);

if (!fs.existsSync(CHROMIUM)) {
  console.log(`skipped: no ${CHROMIUM}; scripts/setup installs it`);
  process.exit(SKIPPED);
}
const require = createRequire(path.join(MODULES, 'package.json'));
const { chromium } = require('playwright-core');
const axeSource = require('axe-core').source;
const run = promisify(execFile);

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Tries again until it does not throw; what it returns.
export async function eventually(fn, ms = WAIT_MS) {
  const end = Date.now() + ms;
  for (;;) {
    try {
      return await fn();
    } catch (e) {
      if (Date.now() > end) throw e;
    }
    await sleep(50);
  }
}

// What is told of today is looked at on the day when it was done: not right before midnight.
export async function sameDay(minutes = 5) {
  const left = DAY_MS - (Date.now() % DAY_MS);
  if (left < minutes * 60000) await sleep(left + 1000);
}

// However this process ends, killed as well: its cloud ends, and the folder goes. The guard is
// nobody's child, so that it is not killed along with a tree of processes.
function guard(folder, home) {
  const wait = 'cat; "$1" down --force; rm -rf "$2"';
  const env = { ...process.env, FEITIAN_HOME: home };
  const script = `(sh -c '${wait}' sh "$1" "$2" <&3 &)`;
  const child = spawn('/bin/sh', ['-c', script, 'sh', FEITIAN, folder], {
    env,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    detached: true,
  });
  child.stdio[3].unref();
  child.unref();
}

class Cloud {
  constructor(folder) {
    this.folder = folder;
    this.home = `${folder}/home`;
    this.keys = {};
    this.pages = [];
  }

  // A command of the program, on this cloud: its standard output.
  async feitian(...args) {
    const env = { ...process.env, FEITIAN_HOME: this.home, TZ: 'UTC' };
    for (const name of ['FEITIAN_URL', 'FEITIAN_API_KEY', 'NOTIFY_SOCKET']) delete env[name];
    const { stdout } = await run(FEITIAN, args, { env, timeout: 2 * UP_S * 1000 });
    return stdout;
  }

  async up(...options) {
    for (let left = UP_TRIES; ; left--) {
      this.listen = `127.0.0.1:${await freePort()}`;
      try {
        await this.feitian('up', '--wait', String(UP_S), '--listen', this.listen, ...options);
        break;
      } catch (e) {
        if (left === 0 || !/ in use/.test(e.stderr)) throw e; // it was free a moment ago
      }
    }
    this.url = `http://${this.listen}`;
    this.keys.operator = JSON.parse(fs.readFileSync(`${this.home}/credentials.json`, 'utf8')).key;
  }

  // The secret of a key with this role, made when it is first wanted.
  async key(role) {
    if (this.keys[role] === undefined) {
      const made = await this.api('POST', '/api/v1/keys', { name: `test ${role}`, role });
      this.keys[role] = made.secret;
    }
    return this.keys[role];
  }

  // The API as somebody: JSON in, JSON out; throws with the answer's text.
  async api(method, target, body, role = 'operator') {
    const answer = await fetch(this.url + target, {
      method,
      headers: {
        Authorization: `Bearer ${await this.key(role)}`,
        'Content-Type': 'application/json',
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${target}: ${answer.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }

  // A page of the browser that nobody is signed in to. Every one has cookies of its own.
  async open(target = '/', options = {}) {
    const page = await this.blank(options);
    await page.goto(`${this.url}/console${target}`);
    return page;
  }

  // The same, signed in with a key of the role, where the page is drawn.
  async page(role, target = '/', options = {}) {
    const page = await this.blank(options);
    await signIn(page, this, role);
    await page.goto(`${this.url}/console${target}`);
    await settled(page);
    return page;
  }

  async blank(options) {
    const context = await this.browser.newContext({
      locale: 'en-GB',
      colorScheme: 'light',
      reducedMotion: 'reduce',
      timezoneId: 'UTC',
      viewport: { width: WIDTHS.desk, height: HEIGHT },
      permissions: ['clipboard-read', 'clipboard-write'],
      ...options,
    });
    context.setDefaultTimeout(WAIT_MS);
    await context.addInitScript(listen);
    const page = await context.newPage();
    page.faults = [];
    watch(page, this.url);
    await slow(page, this.url);
    this.pages.push(page);
    return page;
  }

  axe(page, options) {
    return axe(page, options);
  }

  shots(page, name, options) {
    return shots(page, name, options);
  }

  async stop() {
    await this.browser?.close();
    await this.feitian('down', '--force').catch(() => {});
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

// What a page did that none may; looked at when the test ends.
function watch(page, url) {
  const fault = (text) => page.mayFault?.test(text) || page.faults.push(text);
  page.on('pageerror', (e) => fault(`exception: ${e.stack ?? e.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error' && !/Content Security Policy/.test(message.text())) return;
    // what the API refuses is an answer; the browser logs it all the same
    const { pathname } = new URL(message.location().url || url);
    // what is no page of the console names no icon: the browser looks for one
    if (pathname === '/favicon.ico') return;
    if (
      /^Failed to load resource/.test(message.text()) &&
      !pathname.startsWith('/console') &&
      (/status of 4\d\d/.test(message.text()) || page.mayFail)
    )
      return;
    fault(`console: ${message.text()} (${message.location().url})`);
  });
  // the console asks for nothing that whoever is signed in
  // may not see; tests name the paths where they try it
  page.on('response', (answer) => {
    if (answer.status() === 403 && !page.mayRefuse?.test(answer.url()))
      fault(`refused: ${answer.url()}`);
  });
  page.on('request', (request) => {
    const target = new URL(request.url());
    if (!['data:', 'blob:', 'about:'].includes(target.protocol) && target.origin !== url)
      fault(`asks another host: ${request.url()}`);
  });
}

// In every document before all else: what said() and settled() look at. What the page says in its
// corner goes after seconds, which may be before a busy machine looks.
function listen() {
  window.harness = { said: [], asks: 0, quiet: 0 };
  const { fetch } = window;
  window.fetch = async (...args) => {
    window.harness.asks++;
    try {
      return await fetch(...args);
    } finally {
      window.harness.asks--;
    }
  };
  new MutationObserver((records) => {
    for (const node of records.flatMap((r) => [...r.addedNodes]))
      if (node instanceof Element && node.matches('.toast'))
        window.harness.said.push(node.querySelector('p').textContent);
  }).observe(document, { childList: true, subtree: true });
}

// The page said this in its corner, or does so now; each time that it does is found once.
export async function said(page, words) {
  await page.waitForFunction((want) => {
    const at = window.harness.said.findIndex((text) => text.includes(want));
    return at >= 0 && window.harness.said.splice(at, 1);
  }, words);
}

async function slow(page, url) {
  if (DELAY_MS <= 0 && SLOW_CPU <= 1) return;
  const browser = await page.context().newCDPSession(page);
  await browser.send('Emulation.setCPUThrottlingRate', { rate: SLOW_CPU });
  if (DELAY_MS <= 0) return;
  browser.on('Fetch.requestPaused', async ({ requestId, request }) => {
    const own = new URL(request.url).pathname.startsWith('/console/');
    if (!own) await sleep(Math.random() * DELAY_MS);
    // it fails where nobody wants the answer any more
    await browser.send('Fetch.continueRequest', { requestId }).catch(() => {});
  });
  const answers = { urlPattern: `${url}/*`, requestStage: 'Response' };
  await browser.send('Fetch.enable', { patterns: [answers] });
}

// As the application does it, without its form (signin.mjs uses that).
export async function signIn(page, cloud, role) {
  const answer = await page
    .context()
    .request.post(`${cloud.url}/api/v1/session`, {
      data: { key: await cloud.key(role) },
      headers: { 'X-Feitian-Console': '1' },
    });
  assert.ok(answer.ok(), await answer.text());
}

// Nothing is on its way any more: no request, no row that waits, no code.
export async function settled(page) {
  // of the document; what is asked later is counted in it
  await page.waitForLoadState('networkidle');
  await page.evaluate(() => {
    window.harness.quiet = 0;
  });
  await page.waitForFunction(() => {
    const busy = window.harness.asks > 0 || document.querySelector('.loading, .starting') !== null;
    window.harness.quiet = busy ? 0 : window.harness.quiet + 1;
    return window.harness.quiet > 5; // frames: what was asked is drawn, and asks for more
  });
}

// It has another size, or other colours, and is drawn so.
async function drawn(page) {
  await page.evaluate(async () => {
    const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    for (let i = 0; i < 3; i++) await frame();
  });
}

const THEMES = ['light', 'dark'];
const AXE_MS = 10000;
const FITS_MS = 10000;

// No serious or critical finding of axe-core, in both themes. within: a selector; without: findings
// that are accepted, with a reason where it is called.
async function axe(page, { within = null, without = [] } = {}) {
  await page.evaluate(axeSource);
  for (const theme of THEMES) {
    await page.emulateMedia({ colorScheme: theme });
    // what is followed may be drawn anew while axe looks at it: what is wrong stays wrong
    await eventually(async () => {
      await drawn(page);
      const told = await findings(page, within, without);
      assert.equal(told.length, 0, `axe, ${theme}:\n${told.join('\n')}`);
    }, AXE_MS);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

async function findings(page, within, without) {
  const { violations } = await page.evaluate(
    ([scope]) => window.axe.run(scope ?? document, { resultTypes: ['violations'] }),
    [within],
  );
  return violations
    .filter((v) => ['serious', 'critical'].includes(v.impact) && !without.includes(v.id))
    .map(
      (v) =>
        `${v.id}: ${v.help}\n${v.nodes
          .slice(0, 5)
          .map((n) => `    ${n.html}\n    ${n.failureSummary}`)
          .join('\n')}`,
    );
}

// The page at three widths, in both themes and languages. prepare(page): opens what is to be seen,
// after the page was loaded anew.
async function shots(page, name, { prepare = async () => {}, wait = settled } = {}) {
  const before = page.viewportSize();
  for (const language of ['en', 'zh']) {
    await page.evaluate((code) => localStorage.setItem('feitian.language', code), language);
    await page.reload();
    await wait(page);
    await prepare(page);
    for (const [device, width] of Object.entries(WIDTHS)) {
      await page.setViewportSize({ width, height: HEIGHT });
      await drawn(page);
      const fits = () => document.documentElement.scrollWidth <= window.innerWidth;
      // it is being drawn
      await page.waitForFunction(fits, undefined, { timeout: FITS_MS }).catch(() => {});
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth - window.innerWidth,
      );
      const told = wide > 0 ? await widest(page) : '';
      assert.ok(wide <= 0, `${name}: ${wide} pixels wider than ${width} (${language}): ${told}`);
      if (SHOTS) await pictures(page, path.join(SHOTS, `${name}-${device}-${language}`));
    }
  }
  await page.evaluate(() => localStorage.removeItem('feitian.language'));
  await page.setViewportSize(before);
  await page.reload();
  await wait(page);
}

function widest(page) {
  return page.evaluate(() => {
    const all = [...document.body.querySelectorAll('*')].filter(
      (e) => e.getBoundingClientRect().right > window.innerWidth + 1,
    );
    return all
      .slice(-5)
      .map((e) => e.outerHTML.slice(0, 120))
      .join('\n');
  });
}

async function pictures(page, file) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  for (const theme of THEMES) {
    await page.emulateMedia({ colorScheme: theme });
    await drawn(page); // charts are drawn again
    const open = await page.evaluate(() => document.querySelector('dialog[open]') !== null);
    await page.screenshot({ path: `${file}-${theme}.png`, fullPage: !open });
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

// A cloud for this file's tests. nano: with the model
// that ships, served as "nano". options: of `feitian up`.
export async function start({ nano = false, options = [] } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'feitian-'));
  const cloud = new Cloud(folder);
  guard(folder, cloud.home);
  after(() => cloud.stop());
  afterEach(async () => {
    const pages = cloud.pages.splice(0);
    const faults = pages.flatMap((page) => page.faults);
    for (const page of pages) await page.context().close();
    assert.deepEqual(faults, []);
  });
  await cloud.up(...options);
  if (nano && !(await cloud.feitian('endpoint', 'list')).includes('nano'))
    await cloud.feitian('model', 'add', NANO);
  cloud.browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--font-render-hinting=none',
    ],
  });
  return cloud;
}
