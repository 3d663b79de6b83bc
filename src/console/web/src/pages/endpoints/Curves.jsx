// An endpoint's curves, out of the cloud's own history.
import { useCallback, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { useApi } from '../../lib/hooks.js';
import { duration, number, t } from '../../lib/i18n.js';
import { Chart, Choice, Empty, ErrorNote, Loading, Section } from '../../ui/index.js';

const RANGES = [3600, 86400, 604800, 2592000];
const POLL_MS = 10000;

const perSecond = (v) => (v === null ? '–' : number(v, { digits: v < 10 ? 2 : 0, compact: true }));
const count = (v) => (v === null ? '–' : number(v, { digits: 1 }));
const seconds = (v) => (v === null ? '–' : duration(v));

const CHARTS = [
  { id: 'requests', names: ['requests', 'errors', 'refused'], colors: [0, 4, 1], unit: perSecond },
  { id: 'tokens', names: ['completion_tokens', 'prompt_tokens'], colors: [0, 5], unit: perSecond },
  { id: 'first', names: ['ttft_p50', 'ttft_p95', 'ttft_p99'], colors: [2, 1, 4], unit: seconds },
  { id: 'load', names: ['running', 'waiting'], colors: [0, 1], unit: count },
];

const NAMES = CHARTS.flatMap((c) => c.names);

function One({ chart, history }) {
  const series = chart.names
    .map((name, i) => {
      const found = history.series.find((s) => s.name === name);
      return (
        found && {
          name: t(`endpoints.series.${name}`),
          values: found.values,
          color: chart.colors[i],
        }
      );
    })
    .filter(Boolean);
  if (series.length === 0) return null;
  return (
    <div class="ep-chart">
      <h3>{t(`endpoints.curve.${chart.id}`)}</h3>
      <Chart
        label={t(`endpoints.curve.${chart.id}`)}
        series={series}
        unit={chart.unit}
        height={150}
        times={{ from: history.from, step: history.step }}
      />
    </div>
  );
}

const isEmpty = (h) => h.series.every((s) => s.values.every((v) => v === null));

export function Curves({ endpoint }) {
  const [range, setRange] = useState(3600);
  const ask = useCallback(
    (signal) => {
      // "the last hour" moves: asked for anew each time
      const from = Math.floor(Date.now() / 1000) - range;
      return api.get(
        `/api/v1/history?series=${NAMES.join(',')}&endpoint=${encodeURIComponent(endpoint)}&from=${from}`,
        { signal },
      );
    },
    [endpoint, range],
  );
  const { data, error, reload } = useApi(ask, { poll: POLL_MS });
  return (
    <Section
      title={t('endpoints.curves')}
      actions={
        <Choice
          hideLabel
          label={t('endpoints.curves.range')}
          value={range}
          onChange={setRange}
          options={RANGES.map((v) => ({ value: v, label: t(`endpoints.range.${v}`) }))}
        />
      }>
      {error && !data && <ErrorNote error={error} retry={reload} />}
      {!error && !data && <Loading rows={4} />}
      {data &&
        (isEmpty(data) ? (
          <Empty
            icon="activity"
            title={t('endpoints.curves.none')}
            text={t('endpoints.curves.none.text')}
          />
        ) : (
          <div class="ep-charts">
            {CHARTS.map((c) => (
              <One key={c.id} chart={c} history={data} />
            ))}
          </div>
        ))}
    </Section>
  );
}
