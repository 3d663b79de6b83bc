// The curves' names and units in words.
import { addText, bytes, duration, getCurrency, hasText, number, percent, t } from './i18n.js';

addText('series', {
  en: {
    requests: 'Calls of models',
    errors: 'Failed calls',
    error_ratio: 'Error rate',
    refused: 'Refused calls',
    http_requests: 'HTTP requests',
    http_errors: 'HTTP answers 5xx',
    prompt_tokens: 'Tokens in',
    completion_tokens: 'Tokens out',
    prefix_hit_ratio: 'Prompt found in the cache',
    cost: 'Cost',
    energy: 'Power',
    ttft_p50: 'p50 of the first token',
    ttft_p95: 'p95 of the first token',
    ttft_p99: 'p99 of the first token',
    latency_p50: 'p50 of the whole answer',
    latency_p95: 'p95 of the whole answer',
    latency_p99: 'p99 of the whole answer',
    token_gap_p95: 'p95 between tokens',
    running: 'Running',
    waiting: 'Waiting',
    kv_usage: 'Cache in use',
    workers: 'Workers ready',
    worker_deaths: 'Worker deaths',
    failovers: 'Failovers',
    worker_memory_bytes: 'Memory of workers',
    worker_cpu: 'Cores of workers',
    worker_tokens: 'Tokens of workers',
    stored_bytes: 'Stored bytes',
    stored_objects: 'Stored objects',
    received_bytes: 'Received',
    sent_bytes: 'Sent',
    ledger_trouble: 'Trouble writing usage',
    ledger_pending_bytes: 'Usage not delivered',
    store_open: 'Store is open',
    replicas_ready: 'Replicas ready',
    replicas_wanted: 'Replicas wanted',
    replicas_missing: 'Replicas missing',
    cpu: 'Cores in use',
    memory_bytes: 'Memory in use',
    disk_free_bytes: 'Disk free',
    disk_free_ratio: 'Free disk space',
    budget_used: 'Part of the budget used',
    per_s: '{v}/s',
    per_10min: '{v} in 10 min',
    per_h: '{v}/h',
    cores: '{v} cores',
  },
  zh: {
    requests: '模型调用',
    errors: '失败调用',
    error_ratio: '调用失败率',
    refused: '被拒绝调用',
    http_requests: 'HTTP 请求',
    http_errors: 'HTTP 5xx 应答',
    prompt_tokens: '输入词元',
    completion_tokens: '输出词元',
    prefix_hit_ratio: '提示缓存命中率',
    cost: '费用',
    energy: '功率',
    ttft_p50: '首个词元（p50）',
    ttft_p95: '首个词元（p95）',
    ttft_p99: '首个词元（p99）',
    latency_p50: '完整回答（p50）',
    latency_p95: '完整回答（p95）',
    latency_p99: '完整回答（p99）',
    token_gap_p95: '词元间隔（p95）',
    running: '运行中',
    waiting: '排队中',
    kv_usage: 'KV 缓存占用',
    workers: '就绪的工作进程',
    worker_deaths: '工作进程异常退出',
    failovers: '故障转移',
    worker_memory_bytes: '工作进程内存',
    worker_cpu: '工作进程核数',
    worker_tokens: '工作进程词元',
    stored_bytes: '存储字节',
    stored_objects: '存储对象数',
    received_bytes: '接收流量',
    sent_bytes: '发送流量',
    ledger_trouble: '用量写入故障',
    ledger_pending_bytes: '待提交用量',
    store_open: '存储可用',
    replicas_ready: '就绪副本',
    replicas_wanted: '期望副本',
    replicas_missing: '缺少副本',
    cpu: '使用的核数',
    memory_bytes: '使用的内存',
    disk_free_bytes: '磁盘剩余',
    disk_free_ratio: '磁盘剩余比例',
    budget_used: '预算使用比例',
    per_s: '{v}/秒',
    per_10min: '{v} 次/10 分钟',
    per_h: '{v}/小时',
    cores: '{v} 核',
  },
});

export const seriesName = (name) => (hasText(`series.${name}`) ? t(`series.${name}`) : name);

const plain = (v) => number(v, { digits: v !== null && Math.abs(v) < 1 ? 3 : 2, compact: true });
const units = {
  s: duration,
  bytes,
  ratio: (v) => percent(v, 1),
  '1/s': (v) => t('series.per_s', { v: plain(v) }),
  'B/s': (v) => t('series.per_s', { v: bytes(v) }),
  'in 10 min': (v) => t('series.per_10min', { v: plain(v) }),
  'currency/h': (v) => t('series.per_h', { v: `${plain(v)} ${getCurrency()}` }),
  cores: (v) => t('series.cores', { v: plain(v) }),
  W: (v) => `${plain(v)} W`,
};

// How values of this unit are written.
export const unitFormat = (unit) => (v) =>
  typeof v === 'number' ? (units[unit] ?? plain)(v) : plain(null);

// What a number in a form is in: an alert's threshold.
export function unitName(unit) {
  return { s: t('series.unit_s'), 1: '', ratio: t('series.unit_ratio') }[unit] ?? unit ?? '';
}

addText('series', {
  en: { unit_s: 'seconds', unit_ratio: 'from 0 to 1' },
  zh: { unit_s: '秒', unit_ratio: '0 到 1' },
});

const UNITS = {
  '1/s': [
    'requests',
    'errors',
    'refused',
    'http_requests',
    'http_errors',
    'prompt_tokens',
    'completion_tokens',
    'worker_tokens',
  ],
  'B/s': ['received_bytes', 'sent_bytes'],
  s: [
    'ttft_p50',
    'ttft_p95',
    'ttft_p99',
    'latency_p50',
    'latency_p95',
    'latency_p99',
    'token_gap_p95',
  ],
  bytes: [
    'stored_bytes',
    'worker_memory_bytes',
    'memory_bytes',
    'disk_free_bytes',
    'ledger_pending_bytes',
  ],
  ratio: ['error_ratio', 'prefix_hit_ratio', 'kv_usage', 'disk_free_ratio', 'budget_used'],
  cores: ['cpu', 'worker_cpu'],
  'in 10 min': ['worker_deaths', 'failovers'],
  'currency/h': ['cost'],
  W: ['energy'],
  1: [
    'running',
    'waiting',
    'workers',
    'replicas_ready',
    'replicas_wanted',
    'replicas_missing',
    'stored_objects',
    'ledger_trouble',
    'store_open',
  ],
};
const UNIT_OF = Object.fromEntries(
  Object.entries(UNITS).flatMap(([unit, names]) => names.map((name) => [name, unit])),
);

// Those that the cloud knows of itself, also before they have a point.
export const knownSeries = Object.keys(UNIT_OF);
export const unitOf = (name) => UNIT_OF[name] ?? '1';
