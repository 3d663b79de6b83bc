// What an endpoint does just now, out of /api/v1/status.

// {state, tone}: of the endpoint as a whole.
export function stateOf(live) {
  if (!live) return { state: 'unknown', tone: 'none' };
  const { wanted, ready } = live.replicas;
  const urls = live.targets.filter((x) => x.kind !== 'model');
  const own = live.targets.some((x) => x.kind === 'model');
  if (urls.some((x) => x.answered === false)) return { state: 'silent', tone: 'bad' };
  if (!own) return { state: 'ready', tone: 'ok' };
  if (wanted === 0 && ready === 0) return { state: 'idle', tone: 'none' };
  if (ready === 0) return { state: 'starting', tone: 'info' };
  return ready < wanted ? { state: 'scaling', tone: 'info' } : { state: 'ready', tone: 'ok' };
}

export const targetName = (x) => {
  const name = (x.model ?? x.url ?? 'script').replace(/@([0-9a-f]{7})[0-9a-f]{33}/, '@$1');
  if (x.url) return `${x.model ? `${x.model} · ` : ''}${x.url.replace(/^https?:\/\//, '')}`;
  return x.adapter ? `${name} + ${x.adapter}` : name;
};

// Who serves it: a row for every worker that holds one of its models, and for every other server.
// Only operators see workers; others get a row for each model with how many are ready.
export function replicasOf(live, workers) {
  const rows = [];
  for (const x of live?.targets ?? []) {
    if (x.kind !== 'model') {
      rows.push({
        id: x.url ?? 'script',
        what: targetName(x),
        url: true,
        answered: x.answered,
        running: x.in_flight,
      });
      continue;
    }
    if (!workers) {
      if (x.ready > 0)
        rows.push({
          id: `${x.model} ${x.adapter ?? ''}`,
          what: targetName(x),
          n: x.ready,
          state: 'ready',
          running: x.in_flight,
        });
      continue;
    }
    for (const w of workers) {
      const held =
        w.models.find((m) => m.name === (x.adapter ?? x.model)) ??
        w.models.find((m) => m.name === x.model);
      // a worker that has the model for another endpoint is no replica of this one
      if (!held || (x.ready === 0 && held.state === 'ready')) continue;
      const told = w.health?.models?.find((m) => m.name === x.model);
      rows.push({
        id: `${w.id} ${x.model} ${x.adapter ?? ''}`,
        worker: w.id,
        what: targetName(x),
        state: w.state === 'ready' ? held.state : w.state,
        workerState: w.state !== 'ready',
        since: w.since_s,
        pid: w.pid,
        restarts: w.restarts,
        last: w.last_end,
        running: told?.running ?? w.running,
        waiting: told?.waiting ?? w.waiting,
        memory: (told?.weight_bytes ?? 0) + (w.health?.kv_bytes ?? 0),
        speed: w.tokens_per_second,
        generated: told?.generated_tokens,
        load: held.state === 'adding' && told?.load_all > 0 ? told.load_done / told.load_all : null,
      });
    }
  }
  return rows;
}

// Shares of the calls, 0..1, of weights.
export function sharesOf(weights) {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => (sum > 0 ? w / sum : 0));
}

// Targets as a change sends them: keys that are not given stay.
export const toSend = (targets) => targets.map(({ has_key: _, ...rest }) => rest);
