// What users have stored, opened in a browser of somebody who is signed in: it runs nothing,
// wherever it is got from, although it comes from where the console comes from.
import { assert, signIn, start, test } from './harness.mjs';

const cloud = await start();

const SCRIPT = `fetch('/api/v1/me').then((r) => r.json()).then((me) => {
  document.title = 'it is ' + me.role;
  document.documentElement.setAttribute('data-ran', 'yes');
}).catch((e) => { document.title = 'refused: ' + e; });`;
const HTML = `<!doctype html><title>stored</title><h1 id="here">stored</h1>
<script>${SCRIPT}</script>
<img src="x" onerror="${SCRIPT.replaceAll('\n', ' ').replaceAll('"', "'")}">
<form action="/api/v1/keys" method="post"><input name="a"><button id="send">send</button></form>`;
const SVG = [
  '<svg xmlns="http://www.w3.org/2000/svg" id="here"><text y="20">stored</text>',
  `<script>${SCRIPT.replaceAll('=>', '=&gt;')}</script></svg>`,
].join('');

// Signed in, and what the page asks the API for. That the policy stops it is what is wanted.
async function visitor() {
  const page = await cloud.open('/licences.txt');
  await signIn(page, cloud, 'admin');
  page.mayFault = /Content Security Policy|sandboxed/;
  page.asked = [];
  page.on('request', (request) => {
    if (new URL(request.url()).pathname.startsWith('/api/v1/')) page.asked.push(request.url());
  });
  return page;
}

async function staysStill(page, url, text = 'stored') {
  await page.goto(url);
  await page.locator('#here').waitFor();
  await page.waitForLoadState('networkidle');
  assert.match(await page.locator('#here').textContent(), new RegExp(text));
  const ran = await page.locator('[data-ran]').count();
  assert.equal(ran, 0, `${url} ran a script`);
  assert.deepEqual(page.asked, [], `${url} asked the API`);
}

async function put(target, body, type) {
  const answer = await fetch(cloud.url + target, {
    method: 'PUT',
    body,
    headers: {
      Authorization: `Bearer ${await cloud.key('admin')}`,
      'X-Feitian-S3': '1',
      'Content-Type': type,
    },
  });
  assert.ok(answer.ok, await answer.text());
}

test('the same page without the policy would act as its visitor', async () => {
  const page = await visitor();
  await page.route('**/plain.html', (route) =>
    route.fulfill({ contentType: 'text/html', body: HTML }),
  );
  await page.goto(`${cloud.url}/plain.html`);
  await page.locator('[data-ran=yes]').waitFor();
  assert.equal(await page.title(), 'it is admin');
});

test('an object opened by a link runs nothing', async () => {
  await put('/web', '', 'text/plain');
  await put('/web/page.html', HTML, 'text/html');
  await put('/web/drawing.svg', SVG, 'image/svg+xml');
  await put('/web/page.txt', HTML.replace('<h1', '<H1'), 'text/plain');
  const page = await visitor();
  for (const key of ['page.html', 'drawing.svg']) {
    const link = await cloud.api('POST', '/api/v1/s3/presign', { bucket: 'web', key }, 'admin');
    await staysStill(page, link.url);
  }
  const link = await cloud.api(
    'POST',
    '/api/v1/s3/presign',
    { bucket: 'web', key: 'page.txt' },
    'admin',
  );
  await page.goto(link.url); // no browser guesses another type
  assert.equal(await page.locator('h1').count(), 0);
  await page.goto(
    (await cloud.api('POST', '/api/v1/s3/presign', { bucket: 'web', key: 'page.html' }, 'admin'))
      .url,
  );
  const refused = page.waitForEvent('console', (said) => /\bform\b/i.test(said.text()));
  await page.locator('#send').click(); // a form is sent nowhere
  await refused;
  assert.deepEqual(page.asked, []);
});

test('nor does a public one; one of the hub is not opened', async () => {
  const headers = {
    Authorization: `Bearer ${await cloud.key('admin')}`,
    'Content-Type': 'application/json',
  };
  await put('/open', '', 'text/plain');
  await put('/open/page.html', HTML, 'text/html');
  const policy = {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::open/*' },
    ],
  };
  await put('/open?policy', JSON.stringify(policy), 'application/json');
  await fetch(`${cloud.url}/api/repos/create`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ name: 'page', type: 'model', organization: 'default' }),
  });
  const commit = [
    { key: 'header', value: { summary: 's', description: '' } },
    { key: 'file', value: { path: 'page.html', encoding: 'utf-8', content: HTML } },
  ];
  const answer = await fetch(`${cloud.url}/api/models/default/page/commit/main`, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/x-ndjson' },
    body: commit.map((l) => JSON.stringify(l)).join('\n'),
  });
  assert.ok(answer.ok, await answer.text());
  const page = await visitor();
  await staysStill(page, `${cloud.url}/open/page.html`);
  // the hub calls it no page at all: the browser saves it
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.goto(`${cloud.url}/default/page/resolve/main/page.html`).catch(() => null),
  ]);
  assert.equal(file.suggestedFilename(), 'page.html');
  assert.deepEqual(page.asked, []);
});
