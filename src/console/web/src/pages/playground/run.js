// A conversation's messages, and one answer of a model: the request, the pieces of its stream put
// together, how fast it came. Nothing here knows of the page.

let last = 0;
export const newId = () => `m${Date.now().toString(36)}${(last++).toString(36)}`;

// What the page keeps of a message, as the API takes it.
function toApi(m) {
  if (m.role === 'user') return { role: 'user', content: m.content };
  if (m.role === 'tool') return { role: 'tool', tool_call_id: m.callId, content: m.content };
  const out = { role: 'assistant', content: m.content || (m.calls.length ? null : '') };
  if (m.calls.length)
    out.tool_calls = m.calls.map((c) => ({
      id: c.id,
      type: 'function',
      function: { name: c.name, arguments: c.arguments },
    }));
  return out;
}

// The request's body, as it is sent and as the code shows it. An answer that failed before its
// first piece is no part of the conversation.
export function bodyOf(model, system, messages, body) {
  const said = messages.filter((m) => m.role !== 'assistant' || m.content || m.calls.length);
  const list = said.map(toApi);
  if (system.trim()) list.unshift({ role: 'system', content: system });
  return { model, messages: list, ...body };
}

// The messages of the code: those of the next question where one is written, otherwise those of the
// last; an example's before the first.
export function toShow(messages, question, written) {
  const last = written ? -1 : messages.findLastIndex((m) => m.role === 'user');
  if (last >= 0) return messages.slice(0, last + 1);
  return [...messages, { role: 'user', content: question }];
}

export function newAnswer(model, isJson = false) {
  return {
    id: newId(),
    role: 'assistant',
    model,
    content: '',
    reasoning: '',
    calls: [],
    tokens: [],
    state: 'running',
    started: performance.now(),
    firstMs: null,
    ms: null,
    usage: null,
    finish: null,
    request: null,
    error: null,
    json: isJson,
  };
}

// The calls of tools that nobody has answered yet.
export function openCalls(messages) {
  const answered = new Set(messages.filter((m) => m.role === 'tool').map((m) => m.callId));
  const m = [...messages].reverse().find((x) => x.role === 'assistant');
  return m && m.state !== 'running' ? m.calls.filter((c) => !answered.has(c.id)) : [];
}

function addCalls(calls, pieces) {
  const list = calls.map((c) => ({ ...c }));
  for (const p of pieces) {
    const at = p.index ?? 0;
    while (list.length <= at) list.push({ id: '', name: '', arguments: '' });
    if (p.id) list[at].id = p.id;
    if (p.function?.name) list[at].name += p.function.name;
    list[at].arguments += p.function?.arguments ?? '';
  }
  return list;
}

const tokenOf = (t) => ({
  text: t.token,
  bytes: t.bytes,
  logprob: t.logprob,
  top: (t.top_logprobs ?? []).map((x) => ({ text: x.token, logprob: x.logprob })),
});

// The answer with one event of its stream.
export function addEvent(a, ev, now = performance.now()) {
  const next = { ...a };
  if (ev.error) {
    next.error = ev.error;
    return next;
  }
  if (ev.usage) next.usage = ev.usage;
  const choice = ev.choices?.[0];
  if (!choice) return next;
  const d = choice.delta ?? {};
  const thought = d.reasoning_content ?? d.reasoning;
  if (next.firstMs === null && (d.content || thought || d.tool_calls))
    next.firstMs = now - a.started;
  if (d.content) next.content += d.content;
  if (thought) next.reasoning += thought;
  if (d.tool_calls) next.calls = addCalls(a.calls, d.tool_calls);
  if (choice.logprobs?.content?.length)
    next.tokens = [...a.tokens, ...choice.logprobs.content.map(tokenOf)];
  if (choice.finish_reason) next.finish = choice.finish_reason;
  return next;
}

export function endAnswer(a, how, error, now = performance.now()) {
  return {
    ...a,
    state: a.error || error ? 'failed' : how,
    error: a.error ?? error ?? null,
    ms: now - a.started,
  };
}

const SPAN_MS = 50; // an answer that comes in less than this after its first piece came at once

// Tokens per second from the first to the last; of what came at once, of the whole.
export function speedOf(a) {
  const n = a.usage?.completion_tokens;
  if (!n || n < 2 || a.firstMs === null || !a.ms) return null;
  const span = a.ms - a.firstMs;
  return span >= SPAN_MS ? ((n - 1) * 1000) / span : (n * 1000) / a.ms;
}

// What one reads of a failure: what to do next, by its code or status.
export function adviceFor(error) {
  const code = error?.code ?? '';
  const status = error?.status ?? 0;
  if (code === 'model_not_found') return 'playground.advice.model';
  if (code === 'context_length_exceeded') return 'playground.advice.context';
  if (code === 'insufficient_permissions' || status === 403) return 'playground.advice.rights';
  if (code.startsWith('budget') || code === 'insufficient_quota') return 'playground.advice.budget';
  if (status === 429) return 'playground.advice.later';
  if (status === 401) return 'playground.advice.signin';
  if (error?.param) return 'playground.advice.param';
  if (status === 503 || status === 502 || status === 504) return 'playground.advice.starting';
  return 'playground.advice.again';
}
