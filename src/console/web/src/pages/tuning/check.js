// Training data checked in the browser, line by line, before a byte of it is sent. The rules and
// the places named are the server's (src/api/files/jsonl.c for the file, src/train/data for the
// lines), without what needs the model: its template, its tokenizer, the length of a sequence. A
// fault is {line, code, at, value}: text.js has the sentence of each code.

export const MAX_BYTES = 512 * 2 ** 20; // src/api/files: a file in one request
const LINE_BYTES = 16 * 2 ** 20;
const DEPTH = 128;
const MESSAGES = 1024;
const CALLS = 256;
const PARTS = 4096;
const TOLD = 200; // faults kept; more are counted
const SAMPLES = 24; // good lines kept, to be shown

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);

class Fault extends Error {
  constructor(code, at = '', value = '') {
    super(code);
    Object.assign(this, { code, at, value });
  }
}

const isObject = (v) => typeof v === 'object' && v !== null && !Array.isArray(v);
const none = (v) => v === undefined || v === null;

function checkParts(parts, path) {
  if (parts.length > PARTS) throw new Fault('too_many', `${path}.content`, PARTS);
  parts.forEach((part, i) => {
    const at = `${path}.content[${i}]`;
    if (part?.type !== 'text') throw new Fault('not_text_part', at);
    if (typeof part.text !== 'string') throw new Fault('not_string', `${at}.text`);
  });
}

function checkContent(message, path, mayLack) {
  const { content } = message;
  if (Array.isArray(content)) checkParts(content, path);
  else if (typeof content === 'string') return;
  else if (!none(content)) throw new Fault('not_content', `${path}.content`);
  else if (!mayLack) throw new Fault(content === undefined ? 'missing' : 'null', `${path}.content`);
}

function checkCall(call, path) {
  if (!isObject(call)) throw new Fault('not_object', path);
  if (call.type !== undefined && call.type !== 'function') {
    throw new Fault('not_function', `${path}.type`);
  }
  if (call.id !== undefined && typeof call.id !== 'string') {
    throw new Fault('not_string', `${path}.id`);
  }
  if (!isObject(call.function)) throw new Fault('not_object', `${path}.function`);
  const { name, arguments: given } = call.function;
  if (typeof name !== 'string') throw new Fault('not_string', `${path}.function.name`);
  if (typeof given !== 'string' && !isObject(given)) {
    throw new Fault('not_object', `${path}.function.arguments`);
  }
}

// How many calls; the deprecated function_call is one.
function checkCalls(message, path) {
  const calls = none(message.function_call)
    ? message.tool_calls
    : [{ function: message.function_call }];
  if (none(calls)) return 0;
  if (!Array.isArray(calls) || calls.length > CALLS)
    throw new Fault('not_calls', `${path}.tool_calls`);
  calls.forEach((call, i) => checkCall(call, `${path}.tool_calls[${i}]`));
  return calls.length;
}

function textOf(content) {
  if (Array.isArray(content)) return content.map((p) => p.text).join('\n');
  return content ?? '';
}

// True: an answer that is learnt from.
function checkMessage(message, path) {
  if (!isObject(message)) throw new Fault('not_object', path);
  const { role, weight } = message;
  if (typeof role !== 'string') {
    throw new Fault(role === undefined ? 'missing' : 'not_string', `${path}.role`);
  }
  if (!ROLES.has(role)) throw new Fault('unknown_role', `${path}.role`, role.slice(0, 64));
  const assistant = role === 'assistant';
  if (weight !== undefined) {
    if (weight !== 0 && weight !== 1) throw new Fault('bad_weight', `${path}.weight`);
    if (!assistant) throw new Fault('weight_of_other', `${path}.weight`);
  }
  for (const field of ['name', 'tool_call_id']) {
    if (message[field] !== undefined && typeof message[field] !== 'string') {
      throw new Fault('not_string', `${path}.${field}`);
    }
  }
  const calls = assistant ? checkCalls(message, path) : 0;
  checkContent(message, path, calls > 0);
  if (assistant && calls === 0 && textOf(message.content) === '') {
    throw new Fault('empty_answer', `${path}.content`);
  }
  return assistant && weight !== 0;
}

// How many answers there are to learn from.
function checkMessages(messages, path, before = 0) {
  if (!Array.isArray(messages)) {
    throw new Fault(messages === undefined ? 'missing' : 'not_messages', path);
  }
  if (messages.length === 0) throw new Fault('empty', path);
  if (messages.length + before > MESSAGES) throw new Fault('too_many', path, MESSAGES);
  return messages.filter((m, i) => checkMessage(m, `${path}[${i}]`)).length;
}

function checkTools(line, path) {
  const old = line.tools === undefined && line.functions !== undefined;
  const tools = old ? line.functions : line.tools;
  const at = `${path}${old ? 'functions' : 'tools'}`;
  if (!none(tools)) {
    if (!Array.isArray(tools)) throw new Fault('not_array', at);
    tools.forEach((tool, i) => {
      const f = old ? tool : tool?.function;
      if (!isObject(f)) throw new Fault('not_object', `${at}[${i}].function`);
      if (typeof f.name !== 'string') throw new Fault('not_string', `${at}[${i}].function.name`);
    });
  }
  const parallel = line.parallel_tool_calls;
  if (parallel !== undefined && typeof parallel !== 'boolean') {
    throw new Fault('not_boolean', `${path}parallel_tool_calls`);
  }
}

function checkChat(line) {
  if (line.messages === undefined)
    throw new Fault(line.input !== undefined ? 'is_pair' : 'missing', 'messages');
  checkTools(line, '');
  if (checkMessages(line.messages, 'messages') === 0) throw new Fault('nothing_to_learn');
}

function checkPair(line) {
  if (!isObject(line.input))
    throw new Fault(line.messages !== undefined ? 'is_chat' : 'not_object', 'input');
  checkTools(line.input, 'input.');
  for (const half of ['preferred_output', 'non_preferred_output']) {
    if (line[half] === undefined) throw new Fault('missing', half);
    checkMessages(line.input.messages, 'input.messages');
    if (checkMessages(line[half], half, line.input.messages.length) === 0) {
      throw new Fault('nothing_to_learn', half);
    }
  }
}

// What JSON.parse takes and the server does not: names that come twice, halves of surrogate pairs,
// nesting too deep. One pass over the text, which is known to be JSON.
function checkStrictly(text) {
  const names = [];
  const literal = /"(?:[^"\\]|\\.)*"|[{}[\],]/g;
  let expectName = false;
  for (let m = literal.exec(text); m; m = literal.exec(text)) {
    const c = m[0];
    if (c === '{' || c === '[') {
      if (names.push(c === '{' ? new Set() : null) > DEPTH) throw new Fault('too_deep');
      expectName = c === '{';
    } else if (c === '}' || c === ']') {
      names.pop();
      expectName = false;
    } else if (c === ',') {
      expectName = names.at(-1) !== null;
    } else {
      if (/\\u[dD][89a-fA-F]/.test(c) && hasLoneSurrogate(JSON.parse(c)))
        throw new Fault('not_utf8');
      if (expectName) {
        const name = JSON.parse(c);
        if (names.at(-1).has(name)) throw new Fault('twice', '', name.slice(0, 64));
        names.at(-1).add(name);
        expectName = false;
      }
    }
  }
}

function hasLoneSurrogate(s) {
  return /[\ud800-\udbff](?![\udc00-\udfff])|(?:^|[^\ud800-\udbff])[\udc00-\udfff]/.test(s);
}

// Where JSON.parse stopped: "position 17" in some browsers, "line 1 column 18" in others.
function placeOf(error) {
  const at = /position (\d+)/.exec(error.message) ?? /column (\d+)/.exec(error.message);
  return at ? Number(at[1]) : '';
}

// Checks a line that is not empty; gives its object, or throws a Fault. method: supervised, dpo.
export function checkLine(text, method) {
  let line;
  try {
    line = JSON.parse(text);
  } catch (error) {
    throw new Fault('not_json', '', placeOf(error));
  }
  if (!isObject(line)) throw new Fault('not_object_line');
  checkStrictly(text);
  (method === 'dpo' ? checkPair : checkChat)(line);
  return line;
}

// About how many tokens a text is: four bytes of Latin letters, or one and a half signs of Chinese,
// are one. Only the model's tokenizer knows.
export function tokensAbout(text) {
  const wide = (text.match(/[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]/g) ?? []).length;
  return Math.ceil(wide / 1.5 + (text.length - wide) / 4);
}

function* contents(line) {
  const lists = line.messages
    ? [line.messages]
    : [line.input.messages, line.preferred_output, line.input.messages, line.non_preferred_output];
  for (const list of lists) {
    for (const m of list) {
      yield textOf(m.content) + (m.tool_calls ? JSON.stringify(m.tool_calls) : '');
    }
  }
}

const TURN_TOKENS = 5; // what templates write around a message

function weigh(line) {
  let n = 0;
  for (const text of contents(line)) n += tokensAbout(text) + TURN_TOKENS;
  return n;
}

// A control token in a text is refused where the model has it, which only the server knows.
const CONTROL = /<\|[a-z_]{3,32}\|>/i;

class Checker {
  constructor(method) {
    this.method = method;
    this.result = {
      lines: 0,
      samples: 0,
      bad: 0,
      faults: [],
      warnings: [],
      tokens: 0,
      longest: 0,
      shown: [],
    };
    this.number = 0; // of the line; empty ones are passed over, and are lines of the file
  }

  line(bytes) {
    const r = this.result;
    this.number += 1;
    if (bytes.every((b) => b === 32 || b === 9 || b === 13)) return;
    r.lines += 1;
    try {
      if (bytes.length > LINE_BYTES) throw new Fault('line_too_long');
      const text = this.decode(bytes);
      if (text.startsWith('\ufeff')) throw new Fault('byte_order_mark');
      const line = checkLine(text, this.method);
      const tokens = weigh(line);
      r.samples += 1;
      r.tokens += tokens;
      r.longest = Math.max(r.longest, tokens);
      if (r.shown.length < SAMPLES) r.shown.push({ line: this.number, body: line });
      const control = CONTROL.exec(text);
      if (control && r.warnings.length < TOLD) {
        r.warnings.push({ line: this.number, code: 'control', at: '', value: control[0] });
      }
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      r.bad += 1;
      if (r.faults.length < TOLD) {
        r.faults.push({ line: this.number, code: fault.code, at: fault.at, value: fault.value });
      }
    }
  }

  decode(bytes) {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new Fault('not_utf8');
    }
  }
}

function join(a, b) {
  if (a.length === 0) return b;
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

// Checks a File or Blob, a piece at a time, so that the page stays alive.
// -> {lines, samples, bad, faults, warnings, tokens, longest, shown}
export async function checkFile(file, { method = 'supervised', onProgress, signal } = {}) {
  const checker = new Checker(method);
  let rest = new Uint8Array(0);
  const PIECE = 2 ** 20;
  for (let at = 0; at < file.size; at += PIECE) {
    signal?.throwIfAborted();
    const piece = join(rest, new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    let from = 0;
    for (let to = piece.indexOf(10); to >= 0; to = piece.indexOf(10, from)) {
      checker.line(piece.subarray(from, to));
      from = to + 1;
    }
    rest = piece.slice(from);
    if (rest.length > LINE_BYTES + PIECE) break; // one line, far too long: told below
    onProgress?.(Math.min(1, (at + PIECE) / file.size));
  }
  if (rest.length > 0) checker.line(rest);
  return checker.result;
}
