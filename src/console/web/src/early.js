// Runs before the first paint, so that nobody who chose dark sees white for a moment.
(function early() {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem('feitian.theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    const own = localStorage.getItem('feitian.language');
    const chinese = own !== null ? own === 'zh' : /^zh\b/i.test(navigator.language);
    root.lang = chinese ? 'zh-Hans' : 'en';
  } catch {
    // a browser that keeps nothing goes by its own settings
  }
})();
