// AWS's own client of S3: objects, uploads in parts, listings, signed URLs, errors.
//
// usage: AWS_ENDPOINT_URL=... AWS_ACCESS_KEY_ID=...
// AWS_SECRET_ACCESS_KEY=... AWS_REGION=... node --test s3.mjs
//        (tests/integration/clients.py does it)
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import * as s3 from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';

const client = new s3.S3Client({ forcePathStyle: true, maxAttempts: 1 });
const Bucket = 'by-aws-sdk';
const md5 = (data) => createHash('md5').update(data).digest('hex');
const send = (Command, args) => client.send(new Command({ Bucket, ...args }));
const bytes = async (Key, more) =>
  Buffer.from(
    await (await send(s3.GetObjectCommand, { Key, ...more })).Body.transformToByteArray(),
  );

async function refused(promise, name, status) {
  await assert.rejects(promise, (e) => {
    assert.equal(e.name, name, e.message);
    assert.equal(e.$metadata.httpStatusCode, status);
    return true;
  });
}

test('a bucket', async () => {
  await send(s3.CreateBucketCommand);
  await send(s3.HeadBucketCommand);
  assert.ok(
    (await client.send(new s3.ListBucketsCommand())).Buckets.some((b) => b.Name === Bucket),
  );
  await refused(send(s3.HeadBucketCommand, { Bucket: 'none-such' }), 'NotFound', 404);
});

for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']) {
  test(`an object with ${ChecksumAlgorithm}`, async () => {
    const Body = randomBytes(100000),
      Key = `sums/${ChecksumAlgorithm}`;
    const put = await send(s3.PutObjectCommand, {
      Key,
      Body,
      ChecksumAlgorithm,
      ContentType: 'text/x',
      Metadata: { a: 'b' },
    });
    assert.equal(put.ETag, `"${md5(Body)}"`);
    assert.ok(put[`Checksum${ChecksumAlgorithm}`]);
    const got = await send(s3.GetObjectCommand, { Key, ChecksumMode: 'ENABLED' });
    assert.deepEqual(Buffer.from(await got.Body.transformToByteArray()), Body);
    assert.equal(got[`Checksum${ChecksumAlgorithm}`], put[`Checksum${ChecksumAlgorithm}`]);
    assert.equal(got.ContentType, 'text/x');
    assert.deepEqual(got.Metadata, { a: 'b' });
  });
}

test('a stream of unknown length, in parts', async () => {
  const whole = randomBytes(12 * 1024 * 1024 + 5);
  const up = new Upload({
    client,
    params: {
      Bucket,
      Key: 'streamed',
      Body: Readable.from([whole.subarray(0, 7e6), whole.subarray(7e6)]),
    },
    queueSize: 3,
    partSize: 5 * 1024 * 1024,
  });
  const done = await up.done();
  assert.match(done.ETag, /-3"$/);
  assert.deepEqual(await bytes('streamed'), whole);
  assert.deepEqual(
    await bytes('streamed', { Range: 'bytes=5000000-5999999' }),
    whole.subarray(5000000, 6000000),
  );
  const told = await send(s3.GetObjectAttributesCommand, {
    Key: 'streamed',
    ObjectAttributes: ['ObjectSize', 'ObjectParts', 'ETag'],
  });
  assert.equal(told.ObjectSize, whole.length);
  assert.equal(told.ObjectParts.TotalPartsCount, 3);
});

test('keys of any text', async () => {
  const keys = ['a b', 'a+b', '%', '%20', '//', '/lead', 'a//b', 'tail/', '..', '../up', 'a/../b']
    .concat(['é'.normalize('NFC'), 'é'.normalize('NFD'), 'x'.repeat(1024), 'é'.repeat(512)])
    .concat(['&<>"\'', 'a?b#c=d&e', '😀', 'a\\b', "!*'()~", ' ', '{}|^`[]', 'a;b,c:d@e$f']);
  for (const Key of keys) {
    const Body = randomBytes(33);
    await send(s3.PutObjectCommand, { Key, Body });
    assert.deepEqual(await bytes(Key), Body, Key);
    await send(s3.CopyObjectCommand, {
      Key: 'copied',
      CopySource: encodeURIComponent(`${Bucket}/${Key}`),
    });
    assert.deepEqual(await bytes('copied'), Body, Key);
    const found = await send(s3.ListObjectsV2Command, { Prefix: Key, MaxKeys: 1 });
    assert.deepEqual(
      found.Contents.map((o) => o.Key),
      [Key],
    );
    await send(s3.DeleteObjectCommand, { Key });
    await refused(send(s3.HeadObjectCommand, { Key }), 'NotFound', 404);
  }
});

for (const [ChecksumAlgorithm, ChecksumType] of [
  ['CRC32', 'FULL_OBJECT'],
  ['CRC32', 'COMPOSITE'],
  ['CRC32C', 'FULL_OBJECT'],
  ['CRC64NVME', 'FULL_OBJECT'],
  ['SHA1', 'COMPOSITE'],
  ['SHA256', 'COMPOSITE'],
]) {
  test(`parts with ${ChecksumAlgorithm}, ${ChecksumType}`, async () => {
    const Key = 'in-parts',
      name = `Checksum${ChecksumAlgorithm}`;
    const { UploadId } = await send(s3.CreateMultipartUploadCommand, {
      Key,
      ChecksumAlgorithm,
      ChecksumType,
    });
    const Parts = [];
    for (const Body of [randomBytes(5 * 1024 * 1024), randomBytes(100)]) {
      const PartNumber = Parts.length + 1;
      const part = { Key, UploadId, PartNumber, Body, ChecksumAlgorithm };
      const done = await send(s3.UploadPartCommand, part);
      Parts.push({ PartNumber, ETag: done.ETag, [name]: done[name] });
    }
    const done = await send(s3.CompleteMultipartUploadCommand, {
      Key,
      UploadId,
      MultipartUpload: { Parts },
    });
    assert.equal(done.ChecksumType, ChecksumType);
    assert.equal(/-2$/.test(done[name]), ChecksumType === 'COMPOSITE', done[name]);
    const got = await send(s3.GetObjectCommand, { Key, ChecksumMode: 'ENABLED' });
    assert.equal((await got.Body.transformToByteArray()).length, 5 * 1024 * 1024 + 100);
    assert.equal(got[name], done[name]);
  });
}

test('what is not there overwrites nothing', async () => {
  await send(s3.PutObjectCommand, { Key: 'kept', Body: 'kept' });
  await refused(
    send(s3.RenameObjectCommand, { Key: 'kept', RenameSource: 'other' }),
    'NotImplemented',
    501,
  );
  await refused(
    send(s3.PutObjectCommand, { Key: 'kept', Body: 'x', WriteOffsetBytes: 4 }),
    'NotImplemented',
    501,
  );
  assert.equal((await bytes('kept')).toString(), 'kept');
  await send(s3.DeleteObjectCommand, { Key: 'kept' });
});

test('listings in pages', async () => {
  for (let i = 0; i < 12; i++)
    await send(s3.PutObjectCommand, { Key: `list/${i % 3}/${i}`, Body: `${i}` });
  const keys = [];
  for await (const page of s3.paginateListObjectsV2(
    { client, pageSize: 5 },
    { Bucket, Prefix: 'list/' },
  ))
    keys.push(...page.Contents.map((o) => o.Key));
  assert.equal(keys.length, 12);
  assert.deepEqual(keys, [...keys].sort());
  const level = await send(s3.ListObjectsV2Command, { Prefix: 'list/', Delimiter: '/' });
  assert.deepEqual(
    level.CommonPrefixes.map((p) => p.Prefix),
    ['list/0/', 'list/1/', 'list/2/'],
  );
  const gone = await send(s3.DeleteObjectsCommand, {
    Delete: { Objects: keys.map((Key) => ({ Key })) },
  });
  assert.equal(gone.Deleted.length, 12);
});

test('copies, conditions, tags', async () => {
  const { ETag } = await send(s3.PutObjectCommand, { Key: 'a', Body: 'one', Tagging: 'x=1' });
  await send(s3.CopyObjectCommand, { Key: 'b', CopySource: `${Bucket}/a` });
  assert.equal((await bytes('b')).toString(), 'one');
  await refused(
    send(s3.PutObjectCommand, { Key: 'a', Body: 'two', IfNoneMatch: '*' }),
    'PreconditionFailed',
    412,
  );
  await refused(
    send(s3.PutObjectCommand, { Key: 'a', Body: 'two', IfMatch: '"0"' }),
    'PreconditionFailed',
    412,
  );
  await send(s3.PutObjectCommand, { Key: 'a', Body: 'two', IfMatch: ETag });
  await refused(send(s3.GetObjectCommand, { Key: 'none' }), 'NoSuchKey', 404);
  assert.deepEqual((await send(s3.GetObjectTaggingCommand, { Key: 'b' })).TagSet, [
    { Key: 'x', Value: '1' },
  ]);
});

test('versions', async () => {
  await send(s3.PutBucketVersioningCommand, { VersioningConfiguration: { Status: 'Enabled' } });
  const one = await send(s3.PutObjectCommand, { Key: 'v', Body: 'one' });
  const two = await send(s3.PutObjectCommand, { Key: 'v', Body: 'two' });
  assert.notEqual(one.VersionId, two.VersionId);
  const marker = await send(s3.DeleteObjectCommand, { Key: 'v' });
  assert.equal(marker.DeleteMarker, true);
  await refused(send(s3.GetObjectCommand, { Key: 'v' }), 'NoSuchKey', 404);
  assert.equal((await bytes('v', { VersionId: one.VersionId })).toString(), 'one');
  const all = await send(s3.ListObjectVersionsCommand, { Prefix: 'v' });
  assert.equal(all.Versions.length, 2);
  assert.equal(all.DeleteMarkers.length, 1);
});

test('signed URLs', async () => {
  const up = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key: 'signed' }), {
    expiresIn: 60,
  });
  assert.equal((await fetch(up, { method: 'PUT', body: 'words' })).status, 200);
  const down = await getSignedUrl(
    client,
    new s3.GetObjectCommand({ Bucket, Key: 'signed', ResponseContentType: 'text/y' }),
    { expiresIn: 60 },
  );
  const got = await fetch(down);
  assert.equal(await got.text(), 'words');
  assert.equal(got.headers.get('content-type'), 'text/y');
  assert.equal((await fetch(down.replace('signed', 'a'))).status, 403);
});

test('a wrong secret', async () => {
  const other = new s3.S3Client({
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: 'wrong' },
  });
  await refused(other.send(new s3.ListObjectsV2Command({ Bucket })), 'SignatureDoesNotMatch', 403);
});
