// What the cloud refuses, in Chinese, by the code that its errors carry: codes are the API's
// promise, its English sentences are not. {at}: the field that is meant, where the error names one.
import { lang } from './i18n.js';

const CODES = {
  // fields and bodies
  invalid_value: '{at}的值无效。',
  unknown_parameter: '没有{at}这个参数。',
  missing_required_parameter: '缺少{at}。',
  unsupported_parameter: '暂不支持{at}。',
  unsupported_value: '暂不支持{at}的这个值。',
  invalid_type: '{at}的类型不对。',
  invalid_json: '请求正文不是有效的 JSON。',
  integer_below_min_value: '{at}的值太小。',
  array_above_max_length: '{at}的条目太多。',
  unsupported_media_type: '不支持这种内容类型。',
  request_too_large: '请求太大。',
  body_too_large: '请求正文太大。',
  answer_too_large: '结果太大，请缩小范围。',
  // who asks
  invalid_api_key: '密钥缺失、未知、已过期或已撤销。',
  insufficient_permissions: '你的密钥或角色没有此权限。',
  model_not_allowed: '此密钥不能使用该模型。',
  cross_site: '请求来自其他网站，已被拒绝。',
  no_session: '尚未登录。',
  session_ended: '会话已结束，请重新登录。',
  invalid_sign_in: '登录信息不正确。',
  wrong_password: '当前密码不正确。',
  no_password: '该成员没有密码。',
  no_login: '该成员没有用户名，不能用密码登录。',
  too_many_tries: '尝试次数过多，请稍后再试。',
  last_operator: '这是最后一个运维密钥或成员，不能删除或降级。',
  // limits
  rate_limit_exceeded: '已达到密钥或项目的速率限制。',
  insufficient_quota: '密钥或项目的预算已用完。',
  storage_limit_exceeded: '已达到存储上限。',
  storage_full: '磁盘空间已用完。',
  queue_full: '队列已满。',
  overloaded: '云端繁忙，请稍后再试。',
  too_much: '超过了允许的数量。',
  too_many: '数量已达上限。',
  too_many_jobs: '微调任务数已达上限。',
  too_many_batches: '批处理数已达上限。',
  too_many_tasks: '同时进行的任务太多。',
  // what is there
  not_found: '没有找到。',
  unknown_url: '没有这个地址。',
  method_not_allowed: '此地址不支持这种操作。',
  already_exists: '同名的已经存在。',
  conflict: '其他人已修改。',
  in_use: '仍在使用中。',
  not_empty: '其中还有内容。',
  invalid_state: '当前状态下不能这样做。',
  model_not_found: '没有这个模型，或者你无权使用它。',
  response_not_found: '没有这个回答。',
  previous_response_not_found: '没有找到上一个回答。',
  fine_tune_not_found: '没有这个微调任务。',
  context_length_exceeded: '提示词加上所要求的回答超过了模型的上下文长度。',
  batch_ended: '批处理已经结束。',
  upload_not_pending: '这次上传已经结束。',
  checksum_mismatch: '校验和不一致：传输中出了错，请重新上传。',
  // files
  invalid_file: '文件内容无效。',
  invalid_input_file: '输入文件无效。',
  invalid_file_format: '文件格式不对。',
  invalid_file_purpose: '文件的用途不符。',
  invalid_json_line: '文件中有一行不是有效的 JSON。',
  file_too_large: '文件太大。',
  file_damaged: '文件已损坏。',
  // parts of the cloud
  control_unavailable: '管理服务没有响应。',
  storage_unavailable: '存储暂不可用。',
  store_unavailable: '状态库暂不可用。',
  files_unavailable: '文件服务暂不可用。',
  ledger_unavailable: '账本暂不可用。',
  history_unavailable: '历史曲线暂不可用。',
  events_unavailable: '事件暂不可用。',
  upstream_unavailable: '后端服务器没有响应。',
  server_error: '云端出现故障。',
  internal_error: '云端出现故障。',
  // S3
  AccessDenied: '没有访问权限。',
  NoSuchBucket: '没有这个存储桶。',
  NoSuchKey: '没有这个对象。',
  NoSuchVersion: '没有这个版本。',
  NoSuchUpload: '这次上传已不存在。',
  BucketAlreadyExists: '这个名称已被占用。',
  BucketAlreadyOwnedByYou: '这个存储桶已经存在。',
  BucketNotEmpty: '存储桶中还有内容。',
  InvalidBucketName: '存储桶名称无效。',
  KeyTooLongError: '对象名称太长。',
  EntityTooLarge: '对象太大。',
  QuotaExceeded: '已达到存储上限。',
  TooManyBuckets: '存储桶数已达上限。',
  MalformedPolicy: '访问策略无效。',
  PreconditionFailed: '内容已被其他人修改。',
  SlowDown: '云端繁忙，请稍后再试。',
  ServiceUnavailable: '存储暂不可用。',
  InternalError: '云端出现故障。',
};

// Where the code is new to this page, or there is none (the hub's errors are a sentence alone).
const STATUSES = {
  400: '请求有误。',
  401: '需要重新登录。',
  403: '没有此权限。',
  404: '没有找到。',
  405: '此地址不支持这种操作。',
  409: '与现有内容冲突。',
  412: '内容已被其他人修改。',
  413: '内容太大。',
  416: '没有这一段内容。',
  429: '请求过于频繁。',
  503: '云的某个部分暂不可用。',
};

// The English sentence says no more than these do.
const WHOLE = new Set([
  'no_session',
  'session_ended',
  'invalid_sign_in',
  'wrong_password',
  'too_many_tries',
  'AccessDenied',
  'NoSuchBucket',
  'NoSuchKey',
  'BucketAlreadyOwnedByYou',
  'BucketNotEmpty',
  'InternalError',
]);

// -> { message, original }: what to show, and the API's own words where they say more.
export function inWords({ status, code, param, message }) {
  if (lang() !== 'zh' || !message || /[\u4e00-\u9fff]/.test(message))
    return { message, original: '' };
  const known = CODES[code] ?? STATUSES[status] ?? (status >= 500 ? '云端出现故障。' : null);
  if (known === null) return { message, original: '' };
  const at = param ? `“${param}”` : '某一项';
  return { message: known.replace('{at}', at), original: WHOLE.has(code) ? '' : message };
}
