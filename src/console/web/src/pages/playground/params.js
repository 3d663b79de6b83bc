// The parameters of a chat: what they are called, their range, and the way from what stands in a
// field (text) to what is sent. An empty field is not sent: the model's own default holds.

export const PARAMS = [
  { name: 'temperature', kind: 'number', min: 0, max: 2, step: 0.1, ph: '1' },
  { name: 'top_p', kind: 'number', min: 0, max: 1, step: 0.05, ph: '1' },
  { name: 'max_tokens', kind: 'integer', min: 1, max: 2147483647, step: 1, ph: '∞' },
  { name: 'stop', kind: 'lines', max: 4 },
  { name: 'seed', kind: 'integer', min: -9007199254740991, max: 9007199254740991, step: 1 },
  { name: 'frequency_penalty', kind: 'number', min: -2, max: 2, step: 0.1, ph: '0', more: true },
  { name: 'presence_penalty', kind: 'number', min: -2, max: 2, step: 0.1, ph: '0', more: true },
  {
    name: 'repetition_penalty',
    kind: 'number',
    above: 0,
    max: 10,
    step: 0.05,
    ph: '1',
    more: true,
  },
  { name: 'top_k', kind: 'integer', min: -1, max: 2147483647, step: 1, ph: '-1', more: true },
  { name: 'min_p', kind: 'number', min: 0, max: 1, step: 0.01, ph: '0', more: true },
  {
    name: 'reasoning_effort',
    kind: 'choice',
    more: true,
    choices: ['', 'none', 'minimal', 'low', 'medium', 'high', 'xhigh'],
  },
];

// The least and the most that a field takes, as the text beside it says.
export function rangeOf(p) {
  if (p.kind === 'lines') return `≤ ${p.max}`;
  if (p.kind === 'choice' || p.name === 'seed') return '';
  if (p.max === 2147483647) return `≥ ${p.min}`;
  return p.above !== undefined ? `> ${p.above} – ${p.max}` : `${p.min} – ${p.max}`;
}

// {value} to send (undefined: nothing), or {wrong: 'number' | 'integer' | 'range' | 'lines'}.
export function readParam(p, text) {
  const s = text ?? '';
  if (p.kind === 'choice') return { value: s || undefined };
  if (p.kind === 'lines') {
    const lines = s
      .split('\n')
      .filter((l) => l !== '')
      .map((l) => l.replaceAll('\\n', '\n'));
    if (lines.length > p.max) return { wrong: 'lines' };
    return { value: lines.length ? lines : undefined };
  }
  if (s.trim() === '') return { value: undefined };
  const n = Number(s);
  if (!Number.isFinite(n)) return { wrong: 'number' };
  if (p.kind === 'integer' && !Number.isSafeInteger(n)) return { wrong: 'integer' };
  if (n > p.max || (p.min !== undefined && n < p.min) || (p.above !== undefined && n <= p.above))
    return { wrong: 'range' };
  return { value: n };
}

// {values, wrong}: what is sent, and by name what is wrong.
export function readParams(texts) {
  const values = {};
  const wrong = {};
  for (const p of PARAMS) {
    const r = readParam(p, texts[p.name]);
    if (r.wrong) wrong[p.name] = r.wrong;
    else if (r.value !== undefined) values[p.name] = r.value;
  }
  return { values, wrong };
}

// Where in a text JSON.parse stopped, as {line, column}; null where the engine does not say.
function placeOf(text, message) {
  const at = /position (\d+)/.exec(message);
  if (!at) return null;
  const before = text.slice(0, Number(at[1])).split('\n');
  return { line: before.length, column: before[before.length - 1].length + 1 };
}

function parse(text) {
  try {
    return { value: JSON.parse(text) };
  } catch (e) {
    return { wrong: { key: 'json.syntax', at: placeOf(text, e.message), text: e.message } };
  }
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

// The tools as they are sent; a bare function {name, parameters} is put into its frame.
export function readTools(text) {
  if (text.trim() === '') return { value: undefined };
  const r = parse(text);
  if (r.wrong) return r;
  const list = Array.isArray(r.value) ? r.value : [r.value];
  const seen = new Set();
  const tools = [];
  for (const [i, t] of list.entries()) {
    const f = t && typeof t === 'object' && (t.type === 'function' ? t.function : t);
    if (!f || typeof f !== 'object' || typeof f.name !== 'string' || !NAME.test(f.name))
      return { wrong: { key: 'tools.name', n: i + 1 } };
    if (f.parameters !== undefined && (f.parameters === null || typeof f.parameters !== 'object'))
      return { wrong: { key: 'tools.parameters', n: i + 1, name: f.name } };
    if (seen.has(f.name)) return { wrong: { key: 'tools.twice', name: f.name } };
    seen.add(f.name);
    tools.push({ type: 'function', function: f });
  }
  return { value: tools.length ? tools : undefined };
}

// A JSON schema, alone or within OpenAI's frame {name, schema}.
export function readSchema(text) {
  if (text.trim() === '') return { wrong: { key: 'schema.empty' } };
  const r = parse(text);
  if (r.wrong) return r;
  const v = r.value;
  if (v === null || typeof v !== 'object' || Array.isArray(v))
    return { wrong: { key: 'schema.object' } };
  const framed = v.schema !== null && typeof v.schema === 'object' && typeof v.name === 'string';
  return { value: framed ? v : { name: 'answer', schema: v } };
}

// All that is set, as members of the request; wrong: {place: what}.
export function readSettings(s) {
  const { values, wrong } = readParams(s.params);
  const bad = { ...wrong };
  const body = { ...values };
  const tools = readTools(s.tools);
  if (tools.wrong) bad.tools = tools.wrong;
  else if (tools.value) {
    body.tools = tools.value;
    if (s.toolChoice !== 'auto') body.tool_choice = s.toolChoice;
  }
  if (s.format === 'json') body.response_format = { type: 'json_object' };
  if (s.format === 'schema') {
    const schema = readSchema(s.schema);
    if (schema.wrong) bad.schema = schema.wrong;
    else body.response_format = { type: 'json_schema', json_schema: schema.value };
  }
  return { body, wrong: bad };
}

export const EMPTY = {
  system: '',
  params: {},
  tools: '',
  toolChoice: 'auto',
  format: 'text',
  schema: '',
  probabilities: true,
};

// ---- settings in a link ----

function toBase64Url(text) {
  let s = '';
  for (const b of new TextEncoder().encode(text)) s += String.fromCharCode(b);
  return btoa(s).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function fromBase64Url(text) {
  const s = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return new TextDecoder().decode(Uint8Array.from(s, (c) => c.charCodeAt(0)));
}

// Only what differs from nothing being set; no conversation.
export function toLink(models, settings) {
  const said = { m: models };
  for (const k of Object.keys(EMPTY)) {
    if (JSON.stringify(settings[k]) !== JSON.stringify(EMPTY[k])) said[k] = settings[k];
  }
  return toBase64Url(JSON.stringify(said));
}

// null where it is no link of ours: what comes from outside is taken member by member.
export function fromLink(text) {
  let said;
  try {
    said = JSON.parse(fromBase64Url(text));
  } catch {
    return null;
  }
  if (said === null || typeof said !== 'object') return null;
  const settings = { ...EMPTY };
  for (const k of ['system', 'tools', 'schema'])
    if (typeof said[k] === 'string') settings[k] = said[k];
  if (['none', 'auto', 'required'].includes(said.toolChoice)) settings.toolChoice = said.toolChoice;
  if (['text', 'json', 'schema'].includes(said.format)) settings.format = said.format;
  if (typeof said.probabilities === 'boolean') settings.probabilities = said.probabilities;
  settings.params = {};
  for (const p of PARAMS)
    if (typeof said.params?.[p.name] === 'string') settings.params[p.name] = said.params[p.name];
  const models = Array.isArray(said.m) ? said.m.filter((m) => typeof m === 'string') : [];
  return { models: models.slice(0, 2), settings };
}
