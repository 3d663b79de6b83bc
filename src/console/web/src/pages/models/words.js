// How the hub's facts are written.
import { number } from '../../lib/i18n.js';

// 3.1M, 0.6B: as the field writes parameters, in both languages.
export function paramsOf(n) {
  if (typeof n !== 'number') return '–';
  const steps = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'K'],
  ];
  const [each, unit] = steps.find(([s]) => n >= s) ?? [1, ''];
  return `${number(n / each, { digits: n / each < 10 ? 1 : 0 })}${unit}`;
}

const FORMATS = ['gguf', 'safetensors', 'peft', 'onnx', 'parquet', 'json'];

export function formatsOf(tags) {
  const known = (tags ?? [])
    .map((x) => x.replace(/^format:/, ''))
    .filter((x) => FORMATS.includes(x));
  return [...new Set(known)].join(', ');
}

export function licenceOf(repo) {
  const said = repo.license ?? repo.cardData?.license;
  if (said) return Array.isArray(said) ? said.join(', ') : said;
  return (repo.tags ?? []).find((x) => x.startsWith('license:'))?.slice(8) ?? null;
}

// Tags of the card that say no more than other facts do are left out.
export const plainTags = (tags) =>
  (tags ?? []).filter((x) => !x.includes(':') && !FORMATS.includes(x));

export const inSeconds = (iso) => (iso ? Date.parse(iso) / 1000 : undefined);

// Registered models of the hub are named by their
// commit: seven digits of it are enough for the eye.
export const short = (m) => m.name.replace(/@([0-9a-f]{7})[0-9a-f]{33}/, '@$1');
