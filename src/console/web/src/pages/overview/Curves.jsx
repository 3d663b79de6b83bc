// How busy it is: four curves side by side.
import { useState } from 'preact/hooks';
import { rangeOptions, useHistory } from '../../lib/history.js';
import { duration, number, t } from '../../lib/i18n.js';
import { Chart, Choice, ErrorNote, Section } from '../../ui/index.js';

const NAMES = [
  'requests',
  'errors',
  'refused',
  'ttft_p50',
  'ttft_p95',
  'prompt_tokens',
  'completion_tokens',
  'running',
  'waiting',
];

function curves(of) {
  const one = (name, key, color) => ({ name: t(`overview.${key}`), values: of(name), color });
  return [
    {
      key: 'requests',
      series: [
        one('requests', 'answered', 0),
        one('errors', 'errors', 4),
        one('refused', 'refused', 1),
      ],
      unit: (v) => number(v, { digits: v !== null && v < 1 ? 3 : 1 }),
    },
    {
      key: 'first_token',
      series: [one('ttft_p50', 'half', 0), one('ttft_p95', 'most', 3)],
      unit: (v) => duration(v),
    },
    {
      key: 'tokens',
      series: [one('completion_tokens', 'written', 0), one('prompt_tokens', 'read', 2)],
      unit: (v) => number(v, { digits: 1, compact: true }),
    },
    {
      key: 'work',
      series: [one('running', 'run', 0), one('waiting', 'wait', 1)],
      unit: (v) => number(v, { digits: 1 }),
    },
  ];
}

export function Curves() {
  const [range, setRange] = useState('1h');
  const { times, of, error, reload } = useHistory(NAMES, { range });
  return (
    <Section
      title={t('overview.load')}
      bare
      actions={
        <Choice
          label={t('range.label')}
          hideLabel
          value={range}
          onChange={setRange}
          options={rangeOptions()}
        />
      }>
      <ErrorNote error={error} retry={reload} />
      <div class="overview-curves">
        {curves(of).map(({ key, series, unit }) => (
          <div key={key} class="section-body">
            <h3>{t(`overview.${key}`)}</h3>
            <Chart
              label={t(`overview.${key}`)}
              series={series}
              times={times ?? []}
              unit={unit}
              height={150}
            />
          </div>
        ))}
      </div>
    </Section>
  );
}
