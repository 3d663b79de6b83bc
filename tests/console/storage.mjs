// Buckets and what is in them, by mouse and keyboard alone.
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { LONG, assert, eventually, said, settled, start, test } from './harness.mjs';

const cloud = await start();
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk' +
    '+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
const LARGE = 18 * 2 ** 20; // in parts

const s3 = async (method, target, body, role = 'developer') => {
  const answer = await fetch(cloud.url + target, {
    method,
    body,
    headers: { Authorization: `Bearer ${await cloud.key(role)}`, 'X-Feitian-S3': '1' },
  });
  return {
    status: answer.status,
    data: Buffer.from(await answer.arrayBuffer()),
    header: (n) => answer.headers.get(n),
  };
};
const row = (page, name) => page.getByRole('row').filter({ hasText: name });
const act = async (page, name, what) => {
  await page.getByRole('button', { name: `What to do with ${name}` }).click();
  await page.getByRole('menuitem', { name: what }).click();
};
const text = (name, words, mimeType = 'text/plain') => ({
  name,
  mimeType,
  buffer: Buffer.from(words),
});

test('a first bucket is made from the empty page', async () => {
  const page = await cloud.page('developer', '/storage');
  await page.getByRole('heading', { name: 'No buckets yet' }).waitFor();
  await cloud.axe(page);
  await cloud.shots(page, 'storage-empty');
  await page.getByRole('button', { name: 'New bucket' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill('No');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByText('3 to 63 small letters').waitFor();
  await cloud.axe(page);
  await page.getByRole('textbox', { name: 'Name' }).fill('photos');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: 'photos', level: 1 }).waitFor();
  await page.getByText('Nothing here yet').waitFor();
  await cloud.shots(page, 'storage-bucket-empty');
});

test('files go up, many and large, and are there', async () => {
  const page = await cloud.page('developer', '/storage/photos');
  const large = randomBytes(LARGE);
  const disk = path.join(cloud.folder, 'large.bin');
  fs.writeFileSync(disk, large);
  const parts = new Set(); // one may be sent again
  page.on('request', (r) => {
    const number = new URL(r.url()).searchParams.get('partNumber');
    if (number) parts.add(number);
  });
  await page.locator('input[type=file]').first().setInputFiles(disk);
  await page
    .locator('input[type=file]')
    .first()
    .setInputFiles([
      text('notes.txt', 'Hello, 世界\n'),
      text('people.csv', 'name,city\nAnna,Bern\n"Li, Wei",北京\n', 'text/csv'),
      text('data.json', '{"a": [1, 2]}', 'application/json'),
      { name: 'dot.png', mimeType: 'image/png', buffer: PIXEL },
      text('page.html', '<script>document.title = "owned"</script>', 'text/html'),
    ]);
  await page.getByText('6 of 6 files').waitFor(LONG);
  await row(page, 'large.bin').getByText('18 MiB').waitFor();
  assert.equal(parts.size, 3);
  const there = await s3('GET', '/photos/large.bin');
  assert.equal(
    createHash('sha256').update(there.data).digest('hex'),
    createHash('sha256').update(large).digest('hex'),
  );
  assert.equal((await s3('HEAD', '/photos/people.csv')).header('content-type'), 'text/csv');
  await cloud.axe(page);
  await cloud.shots(page, 'storage-objects');
});

test('an upload that breaks is tried again; one that is stopped leaves nothing', async () => {
  const page = await cloud.page('developer', '/storage/photos');
  page.mayFail = true;
  const disk = path.join(cloud.folder, 'again.bin');
  fs.writeFileSync(disk, randomBytes(LARGE));
  let broken = 0;
  await page.route(/partNumber=2/, (route) =>
    broken++ === 0
      ? route.fulfill({ status: 503, body: '<Error><Code>SlowDown</Code></Error>' })
      : route.continue(),
  );
  await page.locator('input[type=file]').first().setInputFiles(disk);
  await page.getByText('1 of 1 files').waitFor(LONG);
  assert.equal(broken, 2);
  assert.equal((await s3('HEAD', '/photos/again.bin')).header('content-length'), String(LARGE));

  await page.unroute(/partNumber=2/);
  await page.route(/stopped.bin.*partNumber=3/, () => {}); // never answered
  fs.renameSync(disk, path.join(cloud.folder, 'stopped.bin'));
  const third = page.waitForRequest(/stopped.bin.*partNumber=3/).catch(() => {});
  await page
    .locator('input[type=file]')
    .first()
    .setInputFiles(path.join(cloud.folder, 'stopped.bin'));
  const gone = page.waitForResponse(
    (r) => r.request().method() === 'DELETE' && r.url().includes('uploadId'),
  );
  await page.getByRole('button', { name: 'Stop stopped.bin' }).waitFor();
  await third;
  await page.getByRole('button', { name: 'Stop stopped.bin' }).click();
  await gone;
  await page.getByRole('button', { name: 'Try stopped.bin again' }).waitFor();
  assert.ok(!(await s3('GET', '/photos?uploads')).data.toString().includes('stopped.bin'));
  assert.equal((await s3('HEAD', '/photos/stopped.bin')).status, 404);
});

test('what is in an object is shown, and cannot do anything', async () => {
  const page = await cloud.page('developer', '/storage/photos');
  const open = (name) => page.getByRole('button', { name, exact: true }).click();
  const dialog = page.getByRole('dialog');
  await open('people.csv');
  await dialog.getByRole('cell', { name: 'Li, Wei' }).waitFor();
  await cloud.axe(page);
  await page.keyboard.press('Escape');
  await open('notes.txt');
  await dialog.getByText('Hello, 世界').waitFor();
  await page.keyboard.press('Escape');
  await open('data.json');
  await dialog.getByText('"a": [').waitFor();
  await page.keyboard.press('Escape');
  await open('page.html');
  await dialog.getByText('<script>').waitFor();
  await settled(page);
  assert.notEqual(await page.title(), 'owned');
  await page.keyboard.press('Escape');
  await open('dot.png');
  await page.waitForFunction(
    () => document.querySelector('.storage-picture img')?.naturalWidth === 1,
  );
  await dialog.getByRole('tab', { name: 'Details' }).click();
  await dialog.getByText('image/png').waitFor();
  await dialog.getByRole('button', { name: 'Add a tag' }).click();
  await dialog.getByRole('textbox', { name: 'Tag' }).fill('colour');
  await dialog.getByRole('textbox', { name: 'Value' }).fill('blue');
  await cloud.axe(page);
  await dialog.getByRole('button', { name: 'Save tags' }).click();
  await said(page, 'The tags are saved.');
  assert.match(
    (await s3('GET', '/photos/dot.png?tagging')).data.toString(),
    /<Key>colour<\/Key><Value>blue<\/Value>/,
  );
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    dialog.getByRole('button', { name: 'Download' }).click(),
  ]);
  assert.deepEqual(fs.readFileSync(await download.path()), PIXEL);
  assert.equal(download.suggestedFilename(), 'dot.png');
});

test('a link opens one object for anybody', async () => {
  const page = await cloud.page('viewer', '/storage/photos');
  await act(page, 'notes.txt', 'Share');
  await page.getByText('1 hour', { exact: true }).click();
  await page.getByRole('button', { name: 'Make a link' }).click();
  const url = await page.getByRole('region', { name: 'Link' }).innerText();
  await cloud.axe(page);
  const answer = await fetch(url.trim());
  assert.equal(await answer.text(), 'Hello, 世界\n');
  assert.match(answer.headers.get('content-security-policy'), /sandbox/);
});

test('folders are gone into, and deleted with what is in them', async () => {
  const page = await cloud.page('developer', '/storage/photos');
  await page.getByRole('button', { name: 'New folder' }).click();
  await page.getByRole('textbox', { name: 'Name of the folder' }).fill('2026');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('link', { name: '2026/' }).click();
  await page.getByText('Nothing here yet').waitFor();
  await page
    .locator('input[type=file]')
    .first()
    .setInputFiles([text('a.txt', 'a'), text('b.txt', 'b')]);
  await row(page, 'b.txt').waitFor();
  assert.equal((await s3('GET', '/photos/2026/a.txt')).data.toString(), 'a');
  await page
    .getByRole('navigation', { name: 'Where you are' })
    .getByRole('link', { name: 'photos' })
    .click();
  await row(page, 'notes.txt').waitFor();
  await page.getByRole('searchbox', { name: 'Names that begin with' }).fill('no');
  await row(page, 'people.csv').waitFor({ state: 'detached' });
  await page.getByRole('searchbox', { name: 'Names that begin with' }).fill('20');
  await row(page, 'notes.txt').waitFor({ state: 'detached' });
  const asked = [];
  page.on('request', (r) => asked.push(new URL(r.url()).searchParams.get('prefix')));
  await page.getByRole('link', { name: '2026/' }).click(); // the filter stays behind
  await row(page, 'b.txt').waitFor();
  await settled(page);
  assert.ok(asked.includes('2026/') && !asked.includes('2026/20'), String(asked));
  await page
    .getByRole('navigation', { name: 'Where you are' })
    .getByRole('link', { name: 'photos' })
    .click();
  await row(page, 'notes.txt').waitFor();
  await page.getByRole('checkbox', { name: 'Choose 2026/' }).check();
  await page.getByRole('checkbox', { name: 'Choose again.bin' }).check();
  await page.getByText('2 chosen').waitFor();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('dialog').getByText('Everything in folders goes too.').waitFor();
  await cloud.axe(page);
  const remove = page.getByRole('dialog').getByRole('button', { name: 'Delete' });
  await eventually(async () => assert.ok(await remove.isDisabled())); // nothing brings them back
  await page.getByRole('dialog').getByRole('textbox').fill('photos');
  await remove.click();
  await said(page, '4 deleted.');
  assert.equal((await s3('HEAD', '/photos/2026/a.txt')).status, 404);
});

test('things are dropped upon the page', async () => {
  const page = await cloud.page('developer', '/storage/photos');
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.items.add(new File(['dropped'], 'dropped.txt', { type: 'text/plain' }));
    for (const kind of ['dragover', 'drop'])
      window.dispatchEvent(
        new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }),
      );
  });
  await row(page, 'dropped.txt').waitFor();
  assert.equal((await s3('GET', '/photos/dropped.txt')).data.toString(), 'dropped');
});

test('rights: public after a warning, a policy by hand, and back', async () => {
  const page = await cloud.page('developer', '/storage/photos?tab=rights');
  const anybody = async () => (await fetch(`${cloud.url}/photos/notes.txt`)).status;
  assert.equal(await anybody(), 403);
  await page.getByRole('button', { name: 'Make public' }).click();
  await page.getByText('Everyone who reaches this cloud').waitFor();
  await page.getByRole('button', { name: 'Make it public' }).click();
  await said(page, 'The bucket can be read by anyone.');
  await page.locator('.page-title').getByText('public').waitFor();
  assert.equal(await anybody(), 200);
  await cloud.axe(page);
  await cloud.shots(page, 'storage-rights');
  await page.getByRole('button', { name: 'Make private' }).click();
  await said(page, 'The bucket is the project’s own again.');
  assert.equal(await anybody(), 403);
  await page.getByRole('button', { name: 'Write a policy' }).click();
  await page.getByRole('textbox', { name: 'Policy, JSON' }).fill('{');
  await page.getByText('It is not valid JSON').waitFor();
  await page
    .getByRole('textbox', { name: 'Policy, JSON' })
    .fill(
      JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Deny',
            Principal: '*',
            Action: 's3:DeleteBucket',
            Resource: 'arn:aws:s3:::photos',
          },
        ],
      }),
    );
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'The policy holds.');
  await page.getByRole('button', { name: 'Remove the policy' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove the policy' }).click();
  await said(page, 'The policy is removed.');
});

test('versions are kept, and had back; rules let things expire', async () => {
  const page = await cloud.page('developer', '/storage/photos?tab=rules');
  await page.getByRole('button', { name: 'Keep versions' }).click();
  await page.getByText('On: what is overwritten or deleted is kept.').waitFor();
  await page.getByRole('button', { name: 'Add a rule' }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Say after how many days').waitFor();
  await page.getByRole('textbox', { name: /Names that begin with/ }).fill('tmp/');
  await page.getByRole('spinbutton', { name: /^Delete after/ }).fill('7');
  await cloud.axe(page);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row').filter({ hasText: 'tmp/' }).getByText('7 days').waitFor();
  assert.match((await s3('GET', '/photos?lifecycle')).data.toString(), /<Days>7<\/Days>/);
  await cloud.axe(page);
  await cloud.shots(page, 'storage-rules');

  await s3('PUT', '/photos/notes.txt', 'second');
  await page.goto(`${cloud.url}/console/storage/photos?open=notes.txt`);
  await page.getByRole('tab', { name: 'Versions', exact: true }).click();
  await page.getByRole('button', { name: 'Have it back' }).click();
  await said(page, 'This version is the newest again.');
  assert.equal((await s3('GET', '/photos/notes.txt')).data.toString(), 'Hello, 世界\n');
  await settled(page);
  await cloud.axe(page);
  await cloud.shots(page, 'storage-object', {
    prepare: (p) => p.locator('.storage-text').waitFor(),
  });
});

test('who only looks is offered nothing that it may not do', async () => {
  const page = await cloud.page('viewer', '/storage');
  await page.getByRole('link', { name: 'photos' }).waitFor();
  await page.getByText(/MiB, no limit/).waitFor();
  assert.equal(await page.getByRole('button', { name: 'New bucket' }).count(), 0);
  await cloud.axe(page);
  await cloud.shots(page, 'storage-buckets');
  await page.getByRole('link', { name: 'photos' }).click();
  await row(page, 'notes.txt').waitFor();
  for (const name of ['Upload files', 'Delete', 'New folder'])
    assert.equal(await page.getByRole('button', { name }).count(), 0, name);
  assert.equal(await page.getByRole('checkbox').count(), 0);
});

test('a bucket goes when its name is typed, with all its versions', async () => {
  const page = await cloud.page('developer', '/storage');
  await act(page, 'photos', 'Delete bucket');
  const remove = page.getByRole('dialog').getByRole('button', { name: 'Delete bucket' });
  await eventually(async () => assert.ok(await remove.isDisabled()));
  await page.getByRole('dialog').getByRole('textbox').fill('photos');
  await remove.click();
  await said(page, 'The bucket photos is deleted.');
  await page.getByRole('heading', { name: 'No buckets yet' }).waitFor();
  assert.equal((await s3('HEAD', '/photos')).status, 404);
});
