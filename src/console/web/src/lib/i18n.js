// Words in English and Chinese, and how numbers, sizes, sums and times are written in them.
//
//   addText('keys', { en, zh })     a page's text.js; keys are then t('keys.NAME')
//   t('keys.count', { n: 3 })       {n} in a text is replaced; a text may be a function of them
//   useLang()                       in a component that is drawn again by itself (app.jsx: all)
import { createStore, kept } from './store.js';

export const languages = { en: 'English', zh: '简体中文' };
const chosen = createStore(document.documentElement.lang.startsWith('zh') ? 'zh' : 'en');
const texts = { en: {}, zh: {} };

export const lang = () => chosen.get();
export const useLang = () => chosen.use();

export function setLang(code) {
  kept.set('language', code);
  document.documentElement.lang = code === 'zh' ? 'zh-Hans' : 'en';
  chosen.set(code);
}

export function addText(prefix, text) {
  for (const code of Object.keys(texts))
    for (const [key, value] of Object.entries(text[code])) texts[code][`${prefix}.${key}`] = value;
}

export const hasText = (key) => texts[lang()][key] !== undefined;

export function t(key, params = {}) {
  const text = texts[lang()][key] ?? texts.en[key];
  if (text === undefined) {
    console.error(`no text for ${key}`); // tests fail on it
    return key;
  }
  if (typeof text === 'function') return text(params);
  return text.replace(/\{(\w+)\}/g, (whole, name) =>
    name in params ? String(params[name]) : whole,
  );
}

/* ---- numbers, sizes, sums ---- */

const locale = () => (lang() === 'zh' ? 'zh-CN' : 'en-GB');
const made = new Map();

function format(kind, options) {
  const key = `${locale()} ${kind} ${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new Intl[kind](locale(), options));
  return made.get(key);
}

export const nothing = '–';
const isNumber = (v) => typeof v === 'number' && Number.isFinite(v);

// digits: after the point, at most. compact: 12.3K.
export function number(v, { digits = 2, compact = false } = {}) {
  if (!isNumber(v)) return nothing;
  const options =
    compact && Math.abs(v) >= 10000
      ? { notation: 'compact', maximumFractionDigits: 1 }
      : { maximumFractionDigits: digits };
  return format('NumberFormat', options).format(v);
}

export function percent(v, digits = 0) {
  if (!isNumber(v)) return nothing;
  return format('NumberFormat', { style: 'percent', maximumFractionDigits: digits }).format(v);
}

export function bytes(v) {
  if (!isNumber(v)) return nothing;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let i = 0;
  while (Math.abs(v) >= 1024 && i < units.length - 1) {
    v /= 1024;
    i++;
  }
  return `${number(v, { digits: i === 0 || v >= 100 ? 0 : 1 })} ${units[i]}`;
}

const currency = createStore('USD');
export const setCurrency = (code) => currency.set(code);
export const getCurrency = () => currency.get();

// In the cloud's currency. Costs of single requests are small: as many digits as say something.
// v: a number, or the text in which the API writes sums.
export function money(v, { digits } = {}) {
  const sum = typeof v === 'string' ? Number(v) : v;
  if (!isNumber(sum)) return nothing;
  const small = sum !== 0 && Math.abs(sum) < 0.1;
  const most = digits ?? (small ? Math.min(8, 2 - Math.floor(Math.log10(Math.abs(sum)))) : 2);
  const options = { maximumFractionDigits: most, minimumFractionDigits: Math.min(2, most) };
  try {
    return format('NumberFormat', {
      style: 'currency',
      currency: currency.get(),
      currencyDisplay: 'narrowSymbol',
      ...options,
    }).format(sum);
  } catch {
    // no currency that the browser knows: credits, or the like
    return `${format('NumberFormat', options).format(sum)} ${currency.get()}`;
  }
}

/* ---- times; the API's are unix seconds ---- */

// 340 ms, 1.24 s, 3 min 20 s, 2 h 5 min, 4 d 3 h.
export function duration(seconds) {
  if (!isNumber(seconds)) return nothing;
  const zh = lang() === 'zh';
  const unit = zh
    ? { ms: ' 毫秒', s: ' 秒', min: ' 分钟', h: ' 小时', d: ' 天' }
    : { ms: ' ms', s: ' s', min: ' min', h: ' h', d: ' d' };
  const s = Math.abs(seconds);
  if (s === 0) return `0${unit.s}`;
  if (s < 0.9995) return `${number(s * 1000, { digits: s < 0.01 ? 1 : 0 })}${unit.ms}`;
  if (s < 60) return `${number(s, { digits: s < 10 ? 2 : 1 })}${unit.s}`;
  const two = (big, small, n, each) => {
    const rest = Math.floor((s % n) / each);
    return `${Math.floor(s / n)}${big}${rest > 0 ? ` ${rest}${small}` : ''}`;
  };
  if (s < 3600) return two(unit.min, unit.s, 60, 1);
  if (s < 86400) return two(unit.h, unit.min, 3600, 60);
  return two(unit.d, unit.h, 86400, 3600);
}

export const dateTime = (s, options = { dateStyle: 'medium', timeStyle: 'medium' }) =>
  isNumber(s) ? format('DateTimeFormat', options).format(s * 1000) : nothing;
export const date = (s) => dateTime(s, { dateStyle: 'medium' });
export const time = (s) => dateTime(s, { timeStyle: 'medium' });

// Browsers write 3分钟前; all other numbers here stand apart from the words beside them.
const spaced = (text) => text.replace(/(\d)(?=[\u4e00-\u9fff])/g, '$1 ');

// "3 minutes ago", "in 2 hours"; the day itself once it is long.
export function ago(s, now = Date.now() / 1000) {
  if (!isNumber(s)) return nothing;
  const d = s - now;
  const f = format('RelativeTimeFormat', { numeric: 'auto', style: 'short' });
  const steps = [
    [60, 1, 'second'],
    [3600, 60, 'minute'],
    [86400, 3600, 'hour'],
    [2592000, 86400, 'day'],
  ];
  for (const [below, each, unit] of steps)
    if (Math.abs(d) < below) return spaced(f.format(Math.trunc(d / each), unit));
  return date(s);
}
