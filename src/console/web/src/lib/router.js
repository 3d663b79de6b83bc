// Where one is: the address behind /console. navigate(path), <Link href=path>, useRoute().
//
// Paths here are without the base: "/models/org/name?tab=files".
import { createContext, h } from 'preact';
import { useContext } from 'preact/hooks';
import { createStore } from './store.js';

const BASE = '/console';

let visits = 0;

// visit: one more with every step to another place; filters and tabs of the same place are no step.
function read(step) {
  const { pathname, search, hash } = window.location;
  const path = pathname.startsWith(BASE) ? pathname.slice(BASE.length) || '/' : '/';
  const parts = path
    .split('/')
    .filter((p) => p !== '')
    .map(decode);
  return {
    path, // "/models/org/name"
    name: parts[0] ?? '', // "models": which page
    rest: parts.slice(1), // ["org", "name"], decoded
    query: new URLSearchParams(search),
    hash: hash.slice(1),
    visit: step ? ++visits : visits,
  };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // not an encoding of anything: as it is
  }
}

const route = createStore(read(true));
window.addEventListener('popstate', () => route.set(read(true)));

// What is drawn below it stays where it was: {value: a route, or null}.
export const HeldRoute = createContext(null);

export function useRoute() {
  const now = route.use();
  return useContext(HeldRoute) ?? now;
}

export const getRoute = () => route.get();
export const href = (path) => BASE + path;

// replace: Back does not come here again (filters, redirects).
export function navigate(path, { replace = false } = {}) {
  const before = route.get().path;
  window.history[replace ? 'replaceState' : 'pushState'](null, '', href(path));
  route.set(read(!replace));
  if (!replace && route.get().path !== before) window.scrollTo(0, 0);
}

// The same place with some of its query changed: { status: 'error', after: null }.
export function withQuery(changes) {
  const { path, query } = route.get();
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === '') next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  return path + (text === '' ? '' : `?${text}`);
}

export const setQuery = (changes, { replace = true } = {}) =>
  navigate(withQuery(changes), { replace });

export function Link({ href: path, onClick, ...rest }) {
  const go = (event) => {
    onClick?.(event);
    const plain =
      event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!plain || event.defaultPrevented) return;
    event.preventDefault();
    navigate(path);
  };
  return h('a', { href: href(path), onClick: go, ...rest });
}
