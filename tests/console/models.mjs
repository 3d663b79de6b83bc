// Models and the hub: repositories made, filled, tagged, served and deleted in the browser.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { assert, eventually, said, settled, start, test } from './harness.mjs';

const cloud = await start({ nano: true });
const NANO = fs.readFileSync(path.join(import.meta.dirname, '../../models/nano.gguf'));
const file = (name, text) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(text),
});

async function commit(repo, files, kind = 'models') {
  const [organization, name] = repo.split('/');
  await cloud.api('POST', '/api/repos/create', { type: kind.slice(0, -1), organization, name });
  const lines = [{ key: 'header', value: { summary: 'first' } }];
  for (const [at, content] of Object.entries(files))
    lines.push({ key: 'file', value: { path: at, content, encoding: 'utf-8' } });
  const answer = await fetch(`${cloud.url}/api/${kind}/${repo}/commit/main`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${await cloud.key('operator')}` },
    body: lines.map((l) => `${JSON.stringify(l)}\n`).join(''),
  });
  assert.ok(answer.ok, await answer.text());
}

const CARD = `---
license: apache-2.0
tags: [demo]
---
# A card

It is **good**. [A file](data.json) ![far](https://example.com/x.png)

| a | b |
| --- | --- |
| 1 | 2 |

<img src=x onerror="window.acted=1"><script>window.acted=1</script>
`;

test('what is registered, what serves it, and how a model comes here', async () => {
  const page = await cloud.page('developer', '/models');
  const row = page.getByRole('row', { name: /nano/ });
  await row.filter({ hasText: /nano.*qwen3.*gguf.*3\.1M.*3\.3 MiB.*1,024/ }).waitFor();
  await row.locator('a[href="/console/endpoints/nano"]', { hasText: 'nano' }).waitFor();
  await page.getByRole('button', { name: 'Add a model' }).click();
  await page.getByText('feitian model add hf:').waitFor();
  await cloud.axe(page);
});

test('a repository is made, files are uploaded and hashed, and it is served', async () => {
  const page = await cloud.page('operator', '/models?tab=models');
  await page.getByText('No repository yet').waitFor();
  await page.getByRole('button', { name: 'New repository' }).first().click();
  await page.getByLabel('Name', { exact: true }).fill('my nano');
  await page.getByRole('button', { name: 'Make repository', disabled: true }).waitFor();
  await page.getByLabel('Name', { exact: true }).fill('My-Nano');
  await page.getByRole('button', { name: 'Make repository' }).click();
  await page.getByRole('heading', { level: 1, name: 'default/My-Nano' }).waitFor();
  await page.getByText('No files yet').waitFor();

  await page
    .locator('.md-repo input[type=file]')
    .setInputFiles([
      { name: 'nano.gguf', mimeType: 'application/octet-stream', buffer: NANO },
      file('notes.txt', 'hello'),
    ]);
  const dialog = page.getByRole('dialog', { name: 'Upload files' });
  await dialog.getByText('nano.gguf').waitFor();
  await cloud.axe(page);
  await dialog.getByRole('button', { name: 'Upload', exact: true }).click();
  await said(page, '2 files are committed.');
  await page.getByRole('row', { name: /nano\.gguf.*3\.3 MiB.*Upload 2 files/ }).waitFor();
  await page.getByText('qwen3').waitFor(); // what the file says of itself

  const sha = createHash('sha256').update(NANO).digest('hex');
  await page.getByRole('button', { name: 'nano.gguf', exact: true }).click();
  await page.getByRole('dialog').getByText(sha).waitFor();
  const download = page.waitForEvent('download');
  await page.getByRole('dialog').getByRole('link', { name: 'Download nano.gguf' }).click();
  assert.equal(
    createHash('sha256')
      .update(fs.readFileSync(await (await download).path()))
      .digest('hex'),
    sha,
  );
  await page.keyboard.press('Escape');

  await page.getByRole('button', { name: 'Serve' }).click();
  await page.getByLabel('Name of the endpoint').fill('from-hub');
  await page.getByRole('button', { name: 'Make endpoint' }).click();
  await page.getByRole('heading', { level: 1, name: 'from-hub' }).waitFor();
  const answer = await cloud.api('POST', '/v1/chat/completions', {
    model: 'from-hub',
    messages: [{ role: 'user', content: 'What is feitian?' }],
  });
  assert.match(answer.choices[0].message.content, /private AI cloud/);
});

test('a card is shown without trusting it, and edited', async () => {
  await commit('default/carded', { 'README.md': CARD, 'data.json': '{"a": 1}' });
  const page = await cloud.page('developer', '/models/hub/default/carded');
  page.mayFault = /carded\/resolve\/\w+\/x/; // the picture that is not there
  const card = page.locator('.md-card');
  await card.getByRole('heading', { name: 'A card' }).waitFor();
  assert.equal(
    await card.getByRole('link', { name: 'A file' }).getAttribute('rel'),
    'noopener noreferrer',
  );
  assert.match(
    await card.getByRole('link', { name: 'A file' }).getAttribute('href'),
    /^\/default\/carded\/resolve\/[0-9a-f]{40}\/data\.json$/,
  );
  assert.equal(await card.locator('script, [onerror]').count(), 0);
  assert.equal(await card.getByText('license:').count(), 0);
  await page.getByText('apache-2.0').first().waitFor();
  await settled(page);
  assert.equal(await page.evaluate(() => window.acted), undefined);
  await card.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel(/^Markdown/).fill('# Another');
  await page.getByRole('button', { name: 'Commit' }).click();
  await card.getByRole('heading', { name: 'Another' }).waitFor();
  await cloud.axe(page);
});

test('folders, previews, files deleted; branches and tags', async () => {
  await commit('default/foldered', { 'a/b/deep.json': '{"deep": true}', 'top.txt': 'top' });
  const page = await cloud.page('developer', '/models/hub/default/foldered?tab=files');
  await page.getByRole('button', { name: 'a', exact: true }).click();
  await page.getByRole('button', { name: 'b', exact: true }).click();
  await page.getByRole('button', { name: 'deep.json', exact: true }).click();
  await page.getByRole('dialog').locator('pre', { hasText: '"deep": true' }).waitFor();
  await page.keyboard.press('Escape');
  await page
    .getByRole('navigation', { name: 'Folder' })
    .getByRole('link', { name: 'All files' })
    .click();

  await page.getByRole('tab', { name: 'Revisions' }).click();
  await page.getByRole('button', { name: 'New tag' }).click();
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('v1.0');
  await page.getByRole('button', { name: 'Make', exact: true }).click();
  await said(page, 'v1.0 is made.');
  await page.getByRole('button', { name: 'New branch' }).click();
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('next');
  await page.getByRole('button', { name: 'Make', exact: true }).click();
  await said(page, 'next is made.');

  await page.getByRole('tab', { name: 'Files' }).click();
  await page.getByRole('button', { name: 'Delete top.txt' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await said(page, 'top.txt is deleted from main.');
  await page.getByRole('button', { name: 'top.txt', exact: true }).waitFor({ state: 'detached' });
  await page.getByLabel('Revision').selectOption('v1.0'); // the tag still has it
  await page.getByRole('button', { name: 'top.txt', exact: true }).waitFor();
  // a tag does not change
  await page.getByRole('button', { name: 'Delete top.txt' }).waitFor({ state: 'detached' });

  await page.getByRole('tab', { name: 'Revisions' }).click();
  await page.getByRole('button', { name: 'Delete v1.0' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await said(page, 'v1.0 is deleted.');
});

test('a folder that is dropped keeps its paths', async () => {
  const folder = path.join(cloud.folder, 'dropped');
  fs.mkdirSync(path.join(folder, 'in/deep'), { recursive: true });
  fs.writeFileSync(path.join(folder, 'top.txt'), 'top');
  fs.writeFileSync(path.join(folder, 'in/deep/x.txt'), 'x');
  const page = await cloud.page('operator', '/models/hub/default/foldered?tab=files');
  await page.locator('.drop').scrollIntoViewIfNeeded();
  const box = await page.locator('.drop').boundingBox();
  const browser = await page.context().newCDPSession(page);
  for (const type of ['dragEnter', 'dragOver', 'drop'])
    await browser.send('Input.dispatchDragEvent', {
      type,
      x: box.x + box.width / 2,
      y: box.y + box.height / 2,
      data: { items: [], files: [folder], dragOperationsMask: 1 },
    });
  const dialog = page.getByRole('dialog', { name: 'Upload files' });
  await dialog.getByLabel(/^Into folder/).fill('sub');
  await dialog.getByRole('button', { name: 'Upload', exact: true }).click();
  await said(page, '2 files are committed.');
  const { siblings } = await cloud.api('GET', '/api/models/default/foldered');
  const names = siblings.map((s) => s.rfilename);
  for (const name of ['sub/top.txt', 'sub/in/deep/x.txt'])
    assert.ok(names.includes(name), names.join());
});

test('large files go in parts, tried again; after a break only the rest is sent', async () => {
  const page = await cloud.page('operator', '/models/hub/default/foldered?tab=files');
  page.mayFail = true;
  page.mayRefuse = /hub\/double/;
  const data = Buffer.alloc(100, 'x');
  const oid = createHash('sha256').update(data).digest('hex');
  const arrived = [];
  const broken = { 2: 'always' };
  await page.route('**/info/lfs/objects/batch', (route) =>
    route.fulfill({
      json: {
        objects: [
          {
            oid,
            size: 100,
            actions: {
              upload: {
                href: `${cloud.url}/api/hub/double/complete`,
                header: {
                  chunk_size: '40',
                  '00001': `${cloud.url}/api/hub/double/1`,
                  '00002': `${cloud.url}/api/hub/double/2`,
                  '00003': `${cloud.url}/api/hub/double/3`,
                },
              },
            },
          },
        ],
      },
    }),
  );
  await page.route('**/api/hub/double/*', async (route) => {
    const at = route.request().url().split('/').pop();
    if (at === 'complete') {
      arrived.push(route.request().postDataJSON());
      return route.fulfill({ json: {} });
    }
    if (broken[at] === 'always') return route.fulfill({ status: 403, json: { error: 'not now' } });
    arrived.push(`${at}: ${route.request().postDataBuffer().length}`);
    if (broken[2]) await sleep(500); // the other one has failed: this one counts all the same
    return route.fulfill({ status: 200, headers: { etag: `"e${at}"` }, body: '' });
  });
  await page.route('**/commit/main', (route) => {
    arrived.push(route.request().postData());
    return route.fulfill({ json: { commitOid: 'x' } });
  });
  const choose = async () => {
    await page
      .locator('.md-repo input[type=file]')
      .setInputFiles({ name: 'w.bin', mimeType: 'x/y', buffer: data });
    await page.getByRole('dialog').getByRole('button', { name: 'Upload', exact: true }).click();
  };
  await choose();
  await page.getByText('not now').waitFor();
  assert.deepEqual(arrived.splice(0).sort(), ['1: 40', '3: 20']);
  broken[2] = null;
  await page.reload(); // what arrived is remembered by the tab
  await choose();
  await said(page, 'One file is committed.');
  assert.equal(arrived[0], '2: 40');
  assert.deepEqual(arrived[1], {
    oid,
    parts: [1, 2, 3].map((n) => ({ partNumber: n, etag: `"e${n}"` })),
  });
  assert.match(arrived[2], new RegExp(`lfsFile.*w\\.bin.*${oid}`));
});

test('a repository becomes private, and is deleted by its typed name', async () => {
  await commit('default/gone', { 'a.txt': 'a' }, 'datasets');
  const page = await cloud.page('developer', '/models?tab=datasets');
  await page.getByLabel('Search repositories').fill('gon');
  await page.getByRole('link', { name: 'default/gone' }).click();
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Make private' }).click();
  await said(page, 'The repository is private now.');
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Delete repository' }).click();
  const go = page.getByRole('dialog').getByRole('button', { name: 'Delete repository' });
  await eventually(async () => assert.ok(await go.isDisabled()));
  await page.getByRole('dialog').getByRole('textbox').fill('default/gone');
  await go.click();
  await said(page, 'default/gone is deleted.');
  await page.getByText('No repository yet').waitFor();
});

test('a registered model is removed by its typed name, with what serves it', async () => {
  await cloud.api('POST', '/api/v1/models', { name: 'twin', path: 'models/nano.gguf' });
  await cloud.api('POST', '/api/v1/endpoints', { name: 'twin', targets: [{ model: 'twin' }] });
  const page = await cloud.page('operator', '/models');
  await page.getByRole('row', { name: /twin/ }).getByRole('button').click();
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await page.getByText('Endpoints use it: twin.').waitFor();
  await page.getByRole('dialog').getByRole('textbox').fill('twin');
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await said(page, 'twin is removed.');
  await page.getByRole('row', { name: /twin/ }).waitFor({ state: 'detached' });
});

test('viewers read, and see nothing that they may not do', async () => {
  const page = await cloud.page('viewer', '/models');
  await page.getByRole('row', { name: /nano/ }).first().waitFor();
  for (const name of ['Add a model', 'New repository'])
    assert.equal(await page.getByRole('button', { name }).count(), 0);
  await page.goto(`${cloud.url}/console/models/hub/default/foldered?tab=files`);
  await page.getByRole('button', { name: 'a', exact: true }).waitFor();
  for (const name of ['Upload', 'Serve', 'More', 'Choose files', /^Delete/])
    assert.equal(await page.getByRole('button', { name }).count(), 0, String(name));
  await page.goto(`${cloud.url}/console/models/hub/default/none`);
  await page.getByText('No such repository').waitFor();
  await cloud.axe(page);
});

test('it looks right at every width, in both themes and languages', async () => {
  const page = await cloud.page('operator', '/models');
  await cloud.shots(page, 'models-registered');
  await page.goto(`${cloud.url}/console/models?tab=models`);
  await cloud.shots(page, 'models-hub');
  await page.goto(`${cloud.url}/console/models?tab=datasets`);
  await cloud.shots(page, 'models-none');
  for (const tab of ['card', 'files', 'revisions']) {
    await page.goto(`${cloud.url}/console/models/hub/default/My-Nano?tab=${tab}`);
    await cloud.shots(page, `models-repo-${tab}`);
  }
  await cloud.shots(page, 'models-serve', {
    prepare: () => page.locator('.page-actions .button-primary').click(),
  });
});
