// Messages of a trace exporter, one JSON a line on standard input, held to OpenTelemetry's own
// definition of ExportTraceServiceRequest: whatever it does not know, or has another type, is told.
// Ids are hex in OTLP's JSON, where protobuf's own mapping has base64.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import path from 'node:path';

const require = createRequire(import.meta.url);
const generated = path.resolve(
  'node_modules/@opentelemetry/otlp-transformer/build/src/generated/root.js',
);
const root = require(generated);
const Request = root.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;

function hexIds(v, fn) {
  if (Array.isArray(v)) return v.map((x) => hexIds(x, fn));
  if (v === null || typeof v !== 'object') return v;
  return Object.fromEntries(
    Object.entries(v).map(([k, x]) => [
      k,
      ['traceId', 'spanId', 'parentSpanId'].includes(k) ? fn(k, x) : hexIds(x, fn),
    ]),
  );
}

function toBase64(name, text) {
  const bytes = name === 'traceId' ? 16 : 8;
  if (!new RegExp(`^[0-9a-f]{${2 * bytes}}$`).test(text)) throw new Error(`${name}: ${text}`);
  return Buffer.from(text, 'hex').toString('base64');
}

// Every member that was sent must come back from the bytes as it was.
function compare(sent, got, at) {
  if (sent === null || typeof sent !== 'object') {
    if (sent !== got)
      throw new Error(`${at}: ${JSON.stringify(sent)} became ${JSON.stringify(got)}`);
    return;
  }
  for (const k of Object.keys(sent)) compare(sent[k], got?.[k], `${at}.${k}`);
}

let n = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const sent = hexIds(JSON.parse(line), toBase64);
  const message = Request.fromObject(sent);
  const wrong = Request.verify(message);
  if (wrong) throw new Error(wrong);
  const back = Request.toObject(Request.decode(Request.encode(message).finish()), {
    longs: String,
    bytes: String,
    enums: Number,
    defaults: false,
    arrays: true,
  });
  compare(sent, back, '');
  n++;
}
console.log(`${n} messages`);
