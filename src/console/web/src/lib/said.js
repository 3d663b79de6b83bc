// long lines: a sentence is one pattern.
//
// What the cloud says in English sentences (events, checks, a training's log, its first alert
// rules), in Chinese where the sentence is one of these. What is not here, such as an error of the
// system within one, stays as it came.
import { lang } from './i18n.js';

// Groups of the expression are $1, $2, ... of the translation.
const SENTENCES = [
  // events
  [/^the gateway is up$/, '网关已运行'],
  [/^worker (\d+) is started$/, '工作进程 $1 已启动'],
  [/^worker (\d+) is started again$/, '工作进程 $1 已再次启动'],
  [/^worker (\d+) is ready, process (\d+)$/, '工作进程 $1 已就绪，进程号 $2'],
  [/^worker (\d+), process (\d+), is taken over$/, '已接管工作进程 $1，进程号 $2'],
  [/^worker (\d+) is stopped: nothing needs it$/, '工作进程 $1 已停止：不再需要'],
  [
    /^worker (\d+) begins anew with less memory: there are more to share it$/,
    '工作进程 $1 以较少的内存重新启动：有更多进程共用内存',
  ],
  [/^worker (\d+), process (\d+), died: (.*)$/, '工作进程 $1（进程号 $2）异常退出：$3'],
  [/^worker (\d+) cannot be started: (.*)$/, '工作进程 $1 无法启动：$2'],
  [/^worker (\d+) has (\S+)$/, '工作进程 $1 已加载 $2'],
  [/^worker (\d+) cannot have (\S+): (.*)$/, '工作进程 $1 无法加载 $2：$3'],
  [/^(\d+) replicas? instead of (\d+)$/, '副本数由 $2 调整为 $1'],
  [/^(\S+) is removed$/, '$1 已删除'],
  [
    /^(\S+) is made: (\d+) targets?, (\d+) to (\d+) replicas$/,
    '$1 已创建：$2 个目标，$3 至 $4 个副本',
  ],
  [
    /^(\S+) is changed: (\d+) targets?, (\d+) to (\d+) replicas$/,
    '$1 已修改：$2 个目标，$3 至 $4 个副本',
  ],
  [
    /^a request ended every process that worked on it, at last alone: it is given up$/,
    '处理该请求的进程全部异常退出，单独处理时也是如此：已放弃该请求',
  ],
  [
    /^processes ended while they worked on this request: it goes to the quarantine$/,
    '处理该请求的进程异常退出：请求转入隔离进程',
  ],
  [
    /^(.+) broke off in the middle of an answer, which goes on elsewhere$/,
    '$1 在应答中途断开，应答在别处继续',
  ],
  [/^(.+) broke off, the request is tried elsewhere$/, '$1 断开，请求在别处重试'],
  [
    /^the server did not answer or broke off, the request is tried again$/,
    '服务器没有应答或中途断开，请求正在重试',
  ],
  // a training's log
  [/^Created fine-tuning job$/, '微调任务已创建'],
  [/^Fine-tuning job was cancelled$/, '微调任务已取消'],
  [/^Fine-tuning job was paused$/, '微调任务已暂停'],
  [/^Fine-tuning job was resumed$/, '微调任务已恢复'],
  [/^The job has successfully completed$/, '微调任务已成功完成'],
  [/^New fine-tuned model created: (.*)$/, '已生成微调模型：$1'],
  [/^Files are here, the job is queued$/, '文件已就绪，任务开始排队'],
  [
    /^Training begins: (\d+) steps, (\d+) samples, (\d+) (?:to validate with|for validation); from its checkpoint on$/,
    '从检查点继续训练：$1 步，$2 个样本，$3 个用于验证',
  ],
  [
    /^Training begins: (\d+) steps, (\d+) samples, (\d+) (?:to validate with|for validation)$/,
    '开始训练：$1 步，$2 个样本，$3 个用于验证',
  ],
  [
    /^The training (.*); it goes on from its last checkpoint$/,
    '训练中断（$1），将从最近的检查点继续',
  ],
  [/^The result is in no repository of the hub: (.*)$/, '结果未能存入仓库：$1'],
  [
    /^insufficient_quota: the budget of the job's project is used up\. The job goes on when there is some again$/,
    '项目的预算已用完：有了预算后任务会继续',
  ],
  [
    /^insufficient_quota: the budget of the job's key is used up\. The job goes on when there is some again$/,
    '密钥的预算已用完：有了预算后任务会继续',
  ],
  [/^Step (\d+)\/(\d+): training loss=(.*)$/, '第 $1/$2 步：训练损失=$3'],
  [/^Step (\d+): validation loss=(.*)$/, '第 $1 步：验证损失=$2'],
  [/^(\S+): (\d+) lines, (\d+) samples, (\d+) tokens$/, '$1：$2 行，$3 个样本，$4 个词元'],
  [/^There is budget again: the job goes on$/, '预算已恢复：任务继续'],
  // checks
  [/^(\d+) cores?, vectors: (.*)$/, '$1 核，向量指令：$2'],
  [
    /^it works, many times slower than on a processor with AVX2$/,
    '可以运行，但比支持 AVX2 的处理器慢许多倍',
  ],
  [/^(.+) can be taken$/, '可用 $1'],
  [
    /^enough for nano alone: free some, or raise the container's limit$/,
    '只够运行 nano：请释放内存，或提高容器的限制',
  ],
  [/^(.+) free in (\/.*)$/, '$2 剩余 $1'],
  [
    /^models take gigabytes: make room, or take another folder \(--home\)$/,
    '模型需要数 GB：请腾出空间，或用 --home 换一个目录',
  ],
  [/^(\/.*) is on a network file system$/, '$1 位于网络文件系统'],
  [/^a small write is safe after ([\d.]+) ms$/, '小写入在 $1 毫秒后落盘'],
  [
    /^changes and usage are committed that slowly; calls are not held up$/,
    '变更和用量的提交也会这样慢；调用不受影响',
  ],
  [/^(\d+) open files \(hard limit (\d+)\)$/, '可打开 $1 个文件（硬限制 $2）'],
  [/^raise it: (.*), or (.*)$/, '请提高限制：$1，或 $2'],
  [/^memory: version (\d), processors: by weight$/, '内存：第 $1 版，处理器：按权重'],
  [/^memory: version (\d), processors: by nice$/, '内存：第 $1 版，处理器：按 nice 值'],
  [/^no control group can be made for memory here$/, '此处无法为内存创建控制组'],
  [
    /^workers' memory is limited by the process instead; for groups, start it by systemd \(Delegate=yes\) or as root$/,
    '改由进程限制工作进程的内存；需要控制组时，请由 systemd（Delegate=yes）或以 root 启动',
  ],
  [
    /^system calls filtered; files held by Landlock (\d+); no new privileges; no capabilities$/,
    '系统调用已过滤；文件由 Landlock $1 限制；不获取新权限；没有特权',
  ],
  [
    /^workers are less confined here: load model files that you trust, or use a newer kernel with Landlock$/,
    '此处对工作进程的限制较弱：请只加载可信的模型文件，或使用支持 Landlock 的新内核',
  ],
  [
    /^set the clock: budgets, keys' ends and usage go by it$/,
    '请校准时钟：预算、密钥到期和用量都以它为准',
  ],
  [/^(\/.*) can be entered by others$/, '$1 可被其他用户进入'],
  [/^others can read the key in (\/.*)$/, '其他用户可读取 $1 中的密钥'],
  [/^open in (.*)$/, '已打开：$1'],
  [
    /^objects, files and models of the hub cannot be had: (.*)$/,
    '无法访问对象、文件和仓库中的模型：$1',
  ],
  [
    /^something in (.*) is not as it was written; it is not served$/,
    '$1 中有内容与写入时不符，不再提供',
  ],
  [
    /^the admin side does not answer; calls with known keys go on$/,
    '管理服务没有响应；已知密钥的调用不受影响',
  ],
];

const CHECKS = {
  processor: '处理器',
  memory: '内存',
  home: '云目录',
  disk: '磁盘',
  limits: '限制',
  sandbox: '沙箱',
  cgroups: '控制组',
  clock: '时钟',
  storage: '存储',
  cloud: '云',
};

// Those that a cloud begins with, as long as nobody gave them another name.
const RULES = {
  'disk nearly full': '磁盘将满',
  'many requests fail': '大量请求失败',
  'workers die': '工作进程异常退出',
  'an endpoint lacks replicas': '端点缺少副本',
  'a budget is nearly used': '预算将用完',
  'usage cannot be written down': '无法写入用量',
};

// How a process ended (src/sched/exec.c), within a sentence or alone.
const ENDS = [
  [/killed by signal (\d+)/, '被信号 $1 终止'],
  [/exited with (\d+)/, '退出码 $1'],
  [/ \(at its memory limit\)/, '（达到内存上限）'],
];

const isZh = () => lang() === 'zh';

export function said(text) {
  if (!isZh() || !text) return text;
  const known = SENTENCES.find(([pattern]) => pattern.test(text));
  return ENDS.reduce(
    (told, [pattern, words]) => told.replace(pattern, words),
    known ? text.replace(known[0], known[1]) : text,
  );
}

export const checkName = (name) => (isZh() && CHECKS[name]) || name;
export const ruleName = (name) => (isZh() && RULES[name]) || name;
