// An endpoint's curves, out of the cloud's own history.
import { useState } from 'preact/hooks';
import { rangeOptions, useHistory } from '../../lib/history.js';
import { duration, number, t } from '../../lib/i18n.js';
import { Chart, Choice, Empty, ErrorNote, Loading, Section } from '../../ui/index.js';

const perSecond = (v) => number(v, { digits: v < 10 ? 2 : 0, compact: true });
const count = (v) => number(v, { digits: 1 });

const CHARTS = [
  { id: 'requests', names: ['requests', 'errors', 'refused'], colors: [0, 4, 1], unit: perSecond },
  { id: 'tokens', names: ['completion_tokens', 'prompt_tokens'], colors: [0, 5], unit: perSecond },
  { id: 'first', names: ['ttft_p50', 'ttft_p95', 'ttft_p99'], colors: [2, 1, 4], unit: duration },
  { id: 'load', names: ['running', 'waiting'], colors: [0, 1], unit: count },
];

const NAMES = CHARTS.flatMap((c) => c.names);

function One({ chart, history }) {
  const series = chart.names
    .map((name, i) => ({ name, values: history.of(name), color: chart.colors[i] }))
    .filter(({ values }) => values.length > 0)
    .map((one) => ({ ...one, name: t(`endpoints.series.${one.name}`) }));
  if (series.length === 0) return null;
  return (
    <div class="ep-chart">
      <h3>{t(`endpoints.curve.${chart.id}`)}</h3>
      <Chart
        label={t(`endpoints.curve.${chart.id}`)}
        series={series}
        unit={chart.unit}
        height={150}
        times={history.times}
      />
    </div>
  );
}

export function Curves({ endpoint }) {
  const [range, setRange] = useState('1h');
  const history = useHistory(NAMES, { range, labels: { endpoint } });
  const { all, error, reload } = history;
  return (
    <Section
      title={t('endpoints.curves')}
      actions={
        <Choice
          hideLabel
          label={t('range.label')}
          value={range}
          onChange={setRange}
          options={rangeOptions()}
        />
      }>
      {error && !all && <ErrorNote error={error} retry={reload} />}
      {!error && !all && <Loading rows={4} />}
      {all?.every((s) => s.values.every((v) => v === null)) && (
        <Empty
          icon="activity"
          title={t('endpoints.curves.none')}
          text={t('endpoints.curves.none.text')}
        />
      )}
      {all?.some((s) => s.values.some((v) => v !== null)) && (
        <div class="ep-charts">
          {CHARTS.map((c) => (
            <One key={c.id} chart={c} history={history} />
          ))}
        </div>
      )}
    </Section>
  );
}
