// The request as it would be written elsewhere: curl, and OpenAI's SDK in Python and JavaScript.
// Keys stand in the environment; none is ever shown.

const PAD = '  ';

// A value as Python writes it.
function py(v, depth) {
  const inner = '    '.repeat(depth + 1);
  const outer = '    '.repeat(depth);
  if (v === null) return 'None';
  if (v === true) return 'True';
  if (v === false) return 'False';
  if (typeof v !== 'object') return JSON.stringify(v);
  const list = Array.isArray(v);
  const parts = list
    ? v.map((x) => inner + py(x, depth + 1))
    : Object.entries(v).map(([k, x]) => `${inner}${JSON.stringify(k)}: ${py(x, depth + 1)}`);
  if (parts.length === 0) return list ? '[]' : '{}';
  return `${list ? '[' : '{'}\n${parts.join(',\n')},\n${outer}${list ? ']' : '}'}`;
}

// A value as JavaScript writes it: names without quotes where they need none.
function js(v, depth) {
  const inner = PAD.repeat(depth + 1);
  const outer = PAD.repeat(depth);
  if (v === null || typeof v !== 'object') return JSON.stringify(v);
  const list = Array.isArray(v);
  const name = (k) => (/^[A-Za-z_$][\w$]*$/.test(k) ? k : JSON.stringify(k));
  const parts = list
    ? v.map((x) => inner + js(x, depth + 1))
    : Object.entries(v).map(([k, x]) => `${inner}${name(k)}: ${js(x, depth + 1)}`);
  if (parts.length === 0) return list ? '[]' : '{}';
  return `${list ? '[' : '{'}\n${parts.join(',\n')},\n${outer}${list ? ']' : '}'}`;
}

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curlCode(url, body, path = '/v1/chat/completions') {
  return `curl -N ${url}${path} \\
  -H "Authorization: Bearer $FEITIAN_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d ${shell(JSON.stringify(body, null, 2))}`;
}

// Members that OpenAI's SDK for Python does not know go into extra_body.
const BEYOND = ['top_k', 'min_p', 'repetition_penalty', 'chat_template_kwargs'];

export function pythonCode(url, body) {
  const own = Object.entries(body).filter(([k]) => !BEYOND.includes(k));
  const extra = Object.fromEntries(Object.entries(body).filter(([k]) => BEYOND.includes(k)));
  const args = own.map(([k, v]) => `    ${k}=${py(v, 1)},`);
  if (Object.keys(extra).length) args.push(`    extra_body=${py(extra, 1)},`);
  return `import os
from openai import OpenAI

client = OpenAI(base_url="${url}/v1", api_key=os.environ["FEITIAN_API_KEY"])

stream = client.chat.completions.create(
${args.join('\n')}
)
for event in stream:
    if event.choices and event.choices[0].delta.content:
        print(event.choices[0].delta.content, end="", flush=True)
`;
}

export function jsCode(url, body) {
  return `import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: '${url}/v1',
  apiKey: process.env.FEITIAN_API_KEY,
});

const stream = await client.chat.completions.create(${js(body, 0)});
for await (const event of stream) {
  process.stdout.write(event.choices[0]?.delta?.content ?? '');
}
`;
}
