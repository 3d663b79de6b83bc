// What somebody should look at, worst first: [{ id, tone, title, text, href }]. All parts may be
// null: what somebody may not see, or what did not answer.
import { DAY } from '../../lib/calendar.js';
import { money, percent, t } from '../../lib/i18n.js';
import { inWords } from '../../lib/refusals.js';
import { ruleName, said } from '../../lib/said.js';
import { stateOf } from '../endpoints/live.js';
import { seriesName, unitFormat, unitOf } from '../../lib/series.js';

const BUDGET_WARN = 0.8;

function ofStatus(status) {
  const found = [];
  const add = (id, tone, title, text, href) => found.push({ id, tone, title, text, href });
  if (status.control && !status.control.connected)
    add('control', 'bad', t('overview.control_down'), t('overview.control_down_text'), '/nodes');
  if (status.storage && !status.storage.open && status.storage.trouble)
    add('storage', 'bad', t('overview.storage_down'), status.storage.trouble, '/nodes');
  const faults = status.storage?.scrub?.faults ?? 0;
  if (faults > 0)
    add('scrub', 'bad', t('overview.scrub', { n: faults }), t('overview.scrub_text'), '/nodes');
  if (status.ledger?.trouble)
    add('ledger', 'bad', t('overview.ledger'), status.ledger.trouble, '/nodes');
  for (const e of status.serving?.endpoints ?? [])
    if (stateOf(e).tone === 'bad')
      add(
        `endpoint-${e.id}`,
        'bad',
        t('overview.endpoint_silent', { name: e.name }),
        t('overview.endpoint_silent_text'),
        `/endpoints/${encodeURIComponent(e.id)}`,
      );
  return found;
}

function ofNodes(nodes) {
  return nodes.flatMap((node) =>
    node.checks
      .filter((check) => check.level !== 'ok')
      .map((check, i) => ({
        id: `${node.id}-${check.name}-${i}`,
        tone: check.level === 'bad' ? 'bad' : 'warn',
        title: said(check.text),
        text: said(check.mend),
        href: '/nodes',
      })),
  );
}

function ofAlerts(alerts) {
  return alerts
    .filter((a) => a.enabled !== false && a.state === 'firing')
    .map((a) => ({
      id: a.id,
      tone: a.severity === 'critical' ? 'bad' : 'warn',
      title: t('overview.alert', { name: ruleName(a.name) }),
      text: t('overview.alert_text', {
        series: seriesName(a.series),
        value: unitFormat(unitOf(a.series))(a.value),
        threshold: unitFormat(unitOf(a.series))(a.threshold),
      }),
      href: '/alerts',
    }));
}

function ofBudgets(projects, today, month) {
  const found = [];
  for (const project of projects) {
    const spent = { day: today, month };
    for (const span of ['day', 'month']) {
      const budget = Number(project.budget?.[span] ?? 0);
      const row = spent[span]?.data.find((r) => r.project === project.id || r.project === null);
      const part = budget > 0 && row ? Number(row.cost) / budget : 0;
      if (part < BUDGET_WARN) continue;
      found.push({
        id: `budget-${project.id}-${span}`,
        tone: part >= 1 ? 'bad' : 'warn',
        title: t(`overview.budget_${span}`, { part: percent(part) }),
        href: '/usage',
        text: t('overview.budget_text', {
          project: project.name,
          used: money(row.cost),
          budget: money(budget),
        }),
      });
    }
  }
  return found;
}

function ofEvents(events, now) {
  const died = events.filter((e) => e.kind === 'worker_died' && e.at / 1000 > now - DAY);
  if (died.length === 0) return [];
  const n = died.reduce((sum, e) => sum + (e.count ?? 1), 0);
  return [
    {
      id: 'died',
      tone: 'warn',
      title: t('overview.died', { n }),
      text: said(died[0].text),
      href: '/nodes',
    },
  ];
}

function ofJobs(jobs, batches, now) {
  const lately = (at) => (at ?? 0) > now - DAY;
  return [
    ...jobs
      .filter((j) => j.status === 'failed' && lately(j.finished_at ?? j.created_at))
      .map((j) => ({
        id: j.id,
        tone: 'warn',
        title: t('overview.job_failed', { name: j.user_provided_suffix ?? j.id }),
        text: inWords(j.error ?? {}).message ?? '',
        href: `/tuning/${j.id}`,
      })),
    ...batches
      .filter((b) => b.status === 'failed' && lately(b.failed_at))
      .map((b) => ({
        id: b.id,
        tone: 'warn',
        title: t('overview.batch_failed', { name: b.id }),
        text: inWords(b.errors?.data?.[0] ?? {}).message ?? '',
        href: '/requests?tab=batches',
      })),
  ];
}

export function attention(
  { status, nodes, alerts, projects, today, month, events, jobs, batches },
  now,
) {
  const found = [
    ...(status ? ofStatus(status) : []),
    ...ofAlerts(alerts?.data ?? []),
    ...ofNodes(nodes?.data ?? []),
    ...ofBudgets(projects ?? [], today, month),
    ...ofEvents(events?.data ?? [], now),
    ...ofJobs(jobs?.data ?? [], batches?.data ?? [], now),
  ];
  return found.sort((a, b) => (a.tone === 'bad' ? 0 : 1) - (b.tone === 'bad' ? 0 : 1));
}
