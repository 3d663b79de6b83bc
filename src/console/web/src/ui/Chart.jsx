// Curves over time, or over steps. uPlot draws; it is fetched with the first chart.
//
//   series: [{ name, values: [number|null], color?: 0..5, faint?, dots? }]   all as long as the x
//     faint: behind the others; dots: values far apart, each a point, with a line between them
//   bars: sums on top of each other, a bar for each x, instead of lines
//   times: unix seconds, or { from, to, step } of /api/v1/history; x: 'time' or 'number' (steps)
//   xName(v): how a number of the x is said
//   unit(v): how a value is written (i18n.js); label: what it shows, in words
//   onRange(from, to): somebody dragged over a part of it. max, min: of the scale, if fixed
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { bytes, dateTime, number, t, useLang } from '../lib/i18n.js';
import { useTheme } from '../lib/theme.js';

const COLORS = 6;
// Steps of an axis of bytes are whole in KiB, MiB, GiB.
const BINARY = Array.from({ length: 56 }, (_, i) => 2 ** i);

// Of an element that was never drawn in another colour: what is in transition tells the old one.
function colorOf(element, name) {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function xsOf(times, n) {
  if (Array.isArray(times)) return times;
  const length = Math.max(n, Math.floor((times.to - times.from) / times.step) || 0);
  return Array.from({ length }, (_, i) => times.from + i * times.step);
}

// What is not known at all is an empty curve, as long as the others.
const fill = (values, n) =>
  values.length === n ? values : Array.from({ length: n }, (_, i) => values[i] ?? null);

function spanOf(xs) {
  return xs.length > 1 ? xs[xs.length - 1] - xs[0] : 0;
}

function tick(seconds, span) {
  if (span > 2 * 86400) return dateTime(seconds, { month: 'short', day: 'numeric' });
  return dateTime(seconds, { hour: '2-digit', minute: '2-digit' });
}

// Bars stand on each other: what is drawn of a series is the sum of it and those before. The last
// is drawn first, so that each covers the ones behind it down to its own height.
function stacked(series) {
  const sum = series.length > 0 ? series[0].values.map(() => 0) : [];
  return series.map((s) => s.values.map((v, i) => (sum[i] += v ?? 0)));
}

const drawn = (series, bars) => (bars ? stacked(series).reverse() : series.map((s) => s.values));

const withAlpha = (color, alpha) => color.replace('rgb(', 'rgba(').replace(')', `, ${alpha})`);

function looks(s, i, { element, alone, bars, paths }) {
  const color = colorOf(element, `--chart-${(s.color ?? i) % COLORS}`);
  if (bars)
    return { label: s.name, stroke: color, width: 0, fill: color, paths, points: { show: false } };
  return {
    label: s.name,
    stroke: s.faint ? withAlpha(color, 0.3) : color,
    width: s.faint ? 1 : 1.5,
    spanGaps: !!s.dots,
    points: {
      show: !!s.dots,
      filter: s.dots ? undefined : alonePoints,
      size: s.dots ? 6 : 4,
      fill: color,
    },
    fill: alone ? withAlpha(color, 0.09) : undefined,
  };
}

function optionsOf({
  element,
  series,
  x,
  xs,
  unit,
  binary,
  width,
  height,
  min,
  max,
  bars,
  paths,
  onRange,
  setAt,
}) {
  const line = colorOf(element, '--line');
  const text = colorOf(element, '--text-2');
  const font = '11px system-ui, sans-serif';
  const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  const room = (u, values) => 12 + 6.5 * Math.max(0, ...(values ?? []).map((v) => v.length));
  return {
    width,
    height,
    padding: [8, 18, 0, 0], // room for half of the last moment's words
    legend: { show: false },
    cursor: { y: false, drag: { x: !!onRange, y: false, setScale: false }, points: { size: 6 } },
    scales: {
      x: { time: x === 'time', range: bars ? (u, lo, hi) => barRange(xs, lo, hi) : undefined },
      y: { range: (u, lo, hi) => rangeOf(lo, hi, min, max) },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 70,
        grid: { show: false },
        values: (u, ticks) =>
          ticks.map((v) => (x === 'time' ? tick(v, spanOf(xs)) : number(v, { compact: true }))),
      },
      {
        ...axis,
        space: 32,
        size: room,
        ...(binary ? { incrs: BINARY } : {}),
        gap: 6,
        values: (u, ticks) => ticks.map(unit),
      },
    ],
    series: [
      {},
      ...(bars ? [...series].reverse() : series).map((s, i) =>
        looks(s, bars ? series.length - 1 - i : i, {
          element,
          alone: series.length === 1,
          bars,
          paths,
        }),
      ),
    ],
    hooks: {
      setCursor: [(u) => setAt(u.cursor.idx ?? null)],
      setSelect: [
        (u) => {
          if (u.select.width < 4) return;
          onRange?.(
            u.posToVal(u.select.left, 'x'),
            u.posToVal(u.select.left + u.select.width, 'x'),
          );
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        },
      ],
    },
  };
}

// A value between gaps is no line: it is drawn as a point.
function alonePoints(u, k) {
  const values = u.data[k];
  const known = (i) => values[i] !== null && values[i] !== undefined;
  const alone = [];
  for (let i = 0; i < values.length; i++)
    if (known(i) && !known(i - 1) && !known(i + 1)) alone.push(i);
  return alone;
}

function rangeOf(lo, hi, min = 0, max = undefined) {
  const low = min ?? lo ?? 0;
  const high = max ?? hi ?? 1;
  if (high > low) return [low, max ?? low + (high - low) * 1.08];
  return [low, low + 1];
}

// Half a step more on both sides, or the first and the last bar are cut.
function barRange(xs, lo, hi) {
  const half = xs.length > 1 ? (xs[1] - xs[0]) / 2 : 0.5;
  return [lo - half, hi + half];
}

function lastOf(values) {
  for (let i = values.length - 1; i >= 0; i--)
    if (values[i] !== null && values[i] !== undefined) return values[i];
  return null;
}

// What a screen reader says in the place of the drawing.
function inWords(label, series, unit) {
  const parts = series.map((s) => {
    const known = s.values.filter((v) => v !== null && v !== undefined);
    if (known.length === 0) return t('ui.chart_none', { name: s.name });
    return t('ui.chart_words', {
      name: s.name,
      last: unit(lastOf(s.values)),
      max: unit(known.reduce((a, b) => Math.max(a, b))),
    });
  });
  return `${label}. ${parts.join('; ')}`;
}

// In the legend: as its curve is drawn.
function swatchOf(s, i) {
  const form = s.faint ? ' swatch-faint' : s.dots ? ' swatch-dot' : '';
  return `swatch swatch-${(s.color ?? i) % COLORS}${form}`;
}

export function Chart({
  series,
  times,
  x = 'time',
  xName = number,
  unit = (v) => number(v, { compact: true }),
  label,
  height = 180,
  onRange,
  min = 0,
  max,
  legend = true,
  bars = false,
}) {
  const box = useRef(null);
  const plot = useRef(null);
  const theme = useTheme();
  const language = useLang();
  const [at, setAt] = useState(null);
  const [fault, setFault] = useState(false);
  const n = series.reduce((most, s) => Math.max(most, s.values.length), 0);
  const xs = useMemo(() => xsOf(times, n), [times, n]);
  const lines = series.map((s) => `${s.name}${s.color ?? ''}`);
  const hours = Math.round(spanOf(xs) / 3600);
  const shape = [theme, language, height, x, bars, min, max, hours, ...lines].join(' ');
  const data = [
    xs,
    ...drawn(
      series.map((s) => ({ ...s, values: fill(s.values, xs.length) })),
      bars,
    ),
  ];
  const now = useRef({});
  now.current = { series, xs, unit, onRange, data };

  useEffect(() => {
    let gone = false;
    const element = box.current;
    const resize = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (plot.current && width > 0 && width !== plot.current.width)
        plot.current.setSize({ width, height });
    });
    import('uplot')
      .then(({ default: UPlot }) => {
        if (gone) return;
        const { series: s, xs: own, unit: write } = now.current;
        plot.current = new UPlot(
          optionsOf({
            element,
            series: s,
            x,
            xs: own,
            unit: (v) => write(v),
            binary: write === bytes,
            width: element.clientWidth || 300,
            height,
            min,
            max,
            bars,
            paths: bars ? UPlot.paths.bars({ size: [0.7, 48], radius: 0.08 }) : undefined,
            onRange: now.current.onRange && ((a, b) => now.current.onRange?.(a, b)),
            setAt,
          }),
          now.current.data,
          element,
        );
        resize.observe(element);
      })
      .catch(() => !gone && setFault(true));
    return () => {
      gone = true;
      resize.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => {
    plot.current?.setData(data);
  }, [series, xs]);

  const nothing = series.every((s) => s.values.every((v) => v === null || v === undefined));
  const moment = at !== null && xs[at] !== undefined ? xs[at] : null;
  return (
    <figure class="chart">
      <div
        ref={box}
        class="chart-plot"
        style={{ height: `${height}px` }}
        role="img"
        aria-label={inWords(label, series, unit)}>
        {fault && <p class="chart-none muted small">{t('error.chunk')}</p>}
        {nothing && !fault && <p class="chart-none muted small">{t('ui.chart_empty')}</p>}
      </div>
      {legend && (
        <figcaption class="chart-legend" aria-hidden="true">
          {series.map((s, i) => (
            <span key={s.name}>
              <i class={swatchOf(s, i)} />
              {s.name}{' '}
              <b class="figures">{unit(at !== null ? (s.values[at] ?? null) : lastOf(s.values))}</b>
            </span>
          ))}
          <span class="chart-at figures">
            {moment !== null &&
              (x === 'time'
                ? dateTime(moment, { dateStyle: 'short', timeStyle: 'medium' })
                : xName(moment))}
          </span>
        </figcaption>
      )}
    </figure>
  );
}
