// Light or dark: the system's, unless somebody chose (early.js does it before the first paint).
import { createStore, kept } from './store.js';

const choice = createStore(document.documentElement.dataset.theme ?? 'system');
const dark = matchMedia('(prefers-color-scheme: dark)');
const shown = createStore(resolve());

function resolve() {
  const own = choice.get();
  return own === 'system' ? (dark.matches ? 'dark' : 'light') : own;
}

dark.addEventListener('change', () => shown.set(resolve()));

export const themes = ['system', 'light', 'dark'];
export const useThemeChoice = () => choice.use();
// "light" or "dark": for what is drawn by script (charts).
export const useTheme = () => shown.use();

export function setTheme(name) {
  kept.set('theme', name === 'system' ? null : name);
  if (name === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  choice.set(name);
  shown.set(resolve());
}
