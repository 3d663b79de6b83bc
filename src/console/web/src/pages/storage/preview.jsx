// What is in an object, as far as a page may show what somebody else wrote: text as text, pictures
// from a copy in memory, tables of CSV. Never HTML, never scripts.
import { useCallback, useEffect, useState } from 'preact/hooks';
import { useApi } from '../../lib/hooks.js';
import { bytes, number, t } from '../../lib/i18n.js';
import { Button, ErrorNote, Loading } from '../../ui/index.js';
import * as s3 from './s3.js';

const TEXT_BYTES = 64 * 1024;
const IMAGE_BYTES = 10 * 2 ** 20;
const CSV_ROWS = 50;
const CSV_COLUMNS = 30;

const IMAGES = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  avif: 'image/avif',
  bmp: 'image/bmp',
  ico: 'image/x-icon',
  svg: 'image/svg+xml',
};
const TEXTS = new Set(
  (
    'txt md log json jsonl ndjson yaml yml toml ini conf xml htm html css js jsx mjs ts tsx py c ' +
    'h cc cpp rs go java rb sh sql env tex rst srt vtt'
  ).split(' '),
);

// 'image', 'csv', 'json', 'text', or null: by the type that was given, else by the name.
export function kindOf(key, type) {
  const end = key.split('.').pop().toLowerCase();
  const plain = type.split(';')[0].trim().toLowerCase();
  if (plain.startsWith('image/') || IMAGES[end]) return 'image';
  if (plain === 'text/csv' || end === 'csv' || end === 'tsv') return 'csv';
  if (plain === 'application/json' || end === 'json') return 'json';
  if (
    plain.startsWith('text/') ||
    /(json|xml|yaml|javascript|x-sh|toml)/.test(plain) ||
    TEXTS.has(end)
  )
    return 'text';
  return null;
}

// As much of CSV as a head of it needs: quotes, both line ends; the last line may be cut off.
export function csvHead(text, separator) {
  const rows = [];
  let row = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length && rows.length < CSV_ROWS; i += 1) {
    const c = text[i];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else if (c === '"') quoted = false;
      else cell += c;
    } else if (c === '"' && cell === '') quoted = true;
    else if (c === separator) {
      row.push(cell);
      cell = '';
    } else if (c === '\n') {
      rows.push([...row, cell.replace(/\r$/, '')]);
      row = [];
      cell = '';
    } else cell += c;
  }
  if (rows.length < CSV_ROWS && (cell !== '' || row.length > 0)) rows.push([...row, cell]);
  return rows.map((r) => r.slice(0, CSV_COLUMNS));
}

function Csv({ text, separator }) {
  const [head, ...rows] = csvHead(text, separator);
  return (
    <>
      <div class="storage-csv" tabIndex={0} role="region" aria-label={t('storage.object.preview')}>
        <table>
          <thead>
            <tr>
              {head.map((c, i) => (
                <th key={i} scope="col">
                  {c}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((r, i) => (
              <tr key={i}>
                {head.map((_, k) => (
                  <td key={k}>{r[k] ?? ''}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted small">{t('storage.object.rows', { n: number(rows.length) })}</p>
    </>
  );
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

function Text({ bucket, objectKey, version, kind, size }) {
  const ask = useCallback(
    (signal) => s3.headBytes(bucket, objectKey, TEXT_BYTES, { version, signal }),
    [bucket, objectKey, version],
  );
  const { data, error, reload } = useApi(ask);
  if (error) return <ErrorNote error={error} retry={reload} />;
  if (!data) return <Loading rows={6} />;
  const text = new TextDecoder().decode(data.bytes);
  const whole = data.bytes.length >= size;
  if (kind === 'csv' && text !== '')
    return <Csv text={text} separator={objectKey.endsWith('.tsv') ? '\t' : ','} />;
  const json = kind === 'json' && whole ? pretty(text) : text;
  return (
    <>
      <pre class="storage-text" tabIndex={0} role="region" aria-label={t('storage.object.preview')}>
        {json ?? text}
      </pre>
      {json === null && <p class="muted small">{t('storage.object.not_json')}</p>}
      {!whole && (
        <p class="muted small">{t('storage.object.large', { n: bytes(data.bytes.length) })}</p>
      )}
    </>
  );
}

// From memory: an <img> runs no scripts, not those of an SVG either.
function Picture({ bucket, objectKey, version }) {
  const [url, setUrl] = useState(null);
  const ask = useCallback(
    (signal) => s3.headBytes(bucket, objectKey, IMAGE_BYTES, { version, signal }),
    [bucket, objectKey, version],
  );
  const { data, error, reload } = useApi(ask);
  useEffect(() => {
    if (!data) return undefined;
    const type = IMAGES[objectKey.split('.').pop().toLowerCase()] ?? 'image/png';
    const made = URL.createObjectURL(new Blob([data.bytes], { type }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [data]);
  if (error) return <ErrorNote error={error} retry={reload} />;
  if (!url) return <Loading rows={6} />;
  return (
    <div class="storage-picture">
      <img src={url} alt={t('storage.object.image', { name: objectKey.split('/').pop() })} />
    </div>
  );
}

export function Preview({ bucket, objectKey, version, head, onDownload }) {
  const kind = kindOf(objectKey, head.type);
  const large = kind === 'image' && head.bytes > IMAGE_BYTES;
  if (kind === null || large) {
    return (
      <div class="storage-nothing">
        <p class="muted">
          {large
            ? t('storage.object.too_large', { size: bytes(head.bytes) })
            : t('storage.object.no_preview')}
        </p>
        <Button icon="download" onClick={onDownload}>
          {t('storage.download')}
        </Button>
      </div>
    );
  }
  const what = { bucket, objectKey, version };
  return kind === 'image' ? (
    <Picture {...what} />
  ) : (
    <Text {...what} kind={kind} size={head.bytes} />
  );
}
