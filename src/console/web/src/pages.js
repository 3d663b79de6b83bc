// The table of pages: a new one is a folder in pages/ and a row here.
//
//   name: the first part of its address (/console/NAME; '' is the overview), what is behind it is
//         the page's own (useRoute().rest); folder: of its files, if it is called otherwise
//   title, group, icon: in the navigation; hidden: not there (pages that others lead to)
//   role: the least that sees it (viewer if it is not said)
//   load: () => import(...): fetched when it is first gone to
export const groups = {
  home: { en: '', zh: '' },
  models: { en: 'Models', zh: '模型' },
  data: { en: 'Data', zh: '数据' },
  watch: { en: 'Observe', zh: '观测' },
  admin: { en: 'Administer', zh: '管理' },
};

export const pages = [
  {
    name: '',
    group: 'home',
    icon: 'overview',
    title: { en: 'Overview', zh: '总览' },
    load: () => import('./pages/overview/index.jsx'),
  },
  {
    name: 'playground',
    group: 'models',
    icon: 'playground',
    title: { en: 'Playground', zh: '试验场' },
    load: () => import('./pages/playground/index.jsx'),
  },
  {
    name: 'models',
    group: 'models',
    icon: 'models',
    title: { en: 'Models and hub', zh: '模型与仓库' },
    load: () => import('./pages/models/index.jsx'),
  },
  {
    name: 'endpoints',
    group: 'models',
    icon: 'endpoints',
    title: { en: 'Endpoints', zh: '端点' },
    load: () => import('./pages/endpoints/index.jsx'),
  },
  {
    name: 'tuning',
    group: 'models',
    icon: 'tune',
    title: { en: 'Fine-tuning', zh: '微调' },
    load: () => import('./pages/tuning/index.jsx'),
  },
  {
    name: 'storage',
    group: 'data',
    icon: 'storage',
    title: { en: 'Storage', zh: '存储' },
    load: () => import('./pages/storage/index.jsx'),
  },
  {
    name: 'usage',
    group: 'watch',
    icon: 'usage',
    title: { en: 'Usage and cost', zh: '用量与费用' },
    load: () => import('./pages/usage/index.jsx'),
  },
  {
    name: 'requests',
    group: 'watch',
    icon: 'requests',
    title: { en: 'Requests', zh: '请求' },
    load: () => import('./pages/requests/index.jsx'),
  },
  {
    name: 'nodes',
    group: 'watch',
    icon: 'nodes',
    role: 'operator',
    title: { en: 'Nodes', zh: '节点' },
    load: () => import('./pages/nodes/index.jsx'),
  },
  {
    name: 'alerts',
    group: 'watch',
    icon: 'alerts',
    role: 'operator',
    title: { en: 'Alerts', zh: '告警' },
    load: () => import('./pages/alerts/index.jsx'),
  },
  {
    name: 'keys',
    group: 'admin',
    icon: 'keys',
    title: { en: 'Keys and members', zh: '密钥与成员' },
    load: () => import('./pages/keys/index.jsx'),
  },
  {
    name: 'audit',
    group: 'admin',
    icon: 'audit',
    role: 'admin',
    title: { en: 'Audit log', zh: '审计日志' },
    load: () => import('./pages/audit/index.jsx'),
  },
  {
    name: 'settings',
    group: 'admin',
    icon: 'settings',
    title: { en: 'Settings', zh: '设置' },
    load: () => import('./pages/settings/index.jsx'),
  },
];

export const hasPage = (name) => pages.some((p) => p.name === name);
