// A request's course as bars below each other on one scale, and the same as a table.
import { t } from '../../lib/i18n.js';
import { Table } from '../../ui/index.js';
import { span } from './list.jsx';

// What was worked, what was waited for, what went wrong: three colours, and the words beside them.
const KINDS = {
  admission: 'wait',
  queue: 'wait',
  start: 'wait',
  worker_queue: 'wait',
  load: 'wait',
  paused: 'wait',
  failover: 'bad',
  prepare: 'work',
  prefill: 'read',
  decode: 'work',
};
const LINE = 26; // pixels: one phase
const WIDE = 1000; // of the drawing's own units

// Drawn as SVG: widths are attributes there, which the page's policy allows.
function Bar({ entry, all }) {
  const x = (entry.at_ms / all) * WIDE;
  const width = Math.max(2, (entry.ms / all) * WIDE);
  return (
    <svg
      class="requests-bar"
      viewBox={`0 0 ${WIDE} ${LINE}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false">
      <rect class="requests-bar-ground" x="0" y={LINE / 2 - 1} width={WIDE} height="2" />
      <rect
        class={`requests-bar-${KINDS[entry.phase] ?? 'wait'}`}
        x={Math.min(x, WIDE - width)}
        y="5"
        width={width}
        height={LINE - 10}
        rx="3"
      />
    </svg>
  );
}

export function Course({ request: r }) {
  const entries = (r.timeline ?? []).map((e, i) => ({ ...e, id: i }));
  if (entries.length === 0) return <p class="muted">{t('requests.course.none')}</p>;
  const all = Math.max(r.duration_ms, ...entries.map((e) => e.at_ms + e.ms), 0.001);
  const columns = [
    {
      key: 'phase',
      title: t('requests.course.phase'),
      render: (e) => t(`requests.phase.${e.phase}`),
    },
    { key: 'at', title: t('requests.course.at'), align: 'end', render: (e) => span(e.at_ms) },
    { key: 'ms', title: t('requests.course.ms'), align: 'end', render: (e) => span(e.ms) },
    { key: 'detail', title: t('requests.course.detail'), render: (e) => e.detail ?? '' },
  ];
  return (
    <>
      <div
        class="requests-course"
        role="img"
        aria-label={t('requests.course.label', { n: entries.length, t: span(all) })}>
        {entries.map((e) => (
          <div class="requests-phase" key={e.id}>
            <span class="requests-phase-name">{t(`requests.phase.${e.phase}`)}</span>
            <Bar entry={e} all={all} />
            <span class="requests-phase-ms figures">{span(e.ms)}</span>
          </div>
        ))}
      </div>
      <details>
        <summary>{t('requests.course.table')}</summary>
        <Table label={t('requests.course.table')} columns={columns} rows={entries} />
      </details>
    </>
  );
}
