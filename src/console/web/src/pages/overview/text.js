export const en = {
  title: 'Overview',
};

export const zh = {
  title: '总览',
};
