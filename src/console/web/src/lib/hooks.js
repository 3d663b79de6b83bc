// What pages ask the API, followed as long as they are on the screen.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { api } from './api.js';
import { setQuery, useRoute } from './router.js';

// useApi('/api/v1/keys', { poll: 5000 }) -> { data, error, loading, reload }
//
// what: a path; a function (signal) => promise, which must be the same until its question changes
// (useCallback); or null: nothing is asked. While an answer is fetched again the last one stays.
// With poll (milliseconds) it is asked again and again, not while nobody looks at the page; after
// an error more and more seldom. Another poll asks nothing anew: it holds from the next time on.
export function useApi(what, { poll = 0 } = {}) {
  const [state, setState] = useState({ data: null, error: null, loading: what !== null, of: what });
  const run = useRef({ ask: () => {}, again: () => {} });
  const every = useRef(poll);
  every.current = poll;

  useEffect(() => {
    if (what === null) {
      run.current = { ask: () => {}, again: () => {} };
      setState({ data: null, error: null, loading: false, of: what });
      return undefined;
    }
    let timer = 0;
    let failed = 0;
    let abort = null;
    let asking = false;
    let gone = false;
    const again = () => {
      const ms = every.current;
      clearTimeout(timer);
      if (ms > 0 && !gone && !asking)
        timer = setTimeout(look, Math.min(ms * 2 ** failed, Math.max(ms, 30000)));
    };
    const look = () => (document.hidden ? again() : ask());
    const ask = async () => {
      abort?.abort();
      const mine = (abort = new AbortController());
      clearTimeout(timer);
      asking = true;
      setState((s) =>
        s.of === what
          ? { ...s, loading: true }
          : { data: null, error: null, loading: true, of: what },
      );
      try {
        const data = await (typeof what === 'function'
          ? what(mine.signal)
          : api.get(what, { signal: mine.signal }));
        failed = 0;
        if (!mine.signal.aborted) setState({ data, error: null, loading: false, of: what });
      } catch (error) {
        if (mine.signal.aborted) return;
        failed = Math.min(failed + 1, 5);
        setState((s) => ({ ...s, error, loading: false }));
      }
      if (mine.signal.aborted) return; // another one was asked since
      asking = false;
      again();
    };
    run.current = { ask, again };
    ask();
    const looked = () => {
      if (!document.hidden && every.current > 0) ask();
    };
    document.addEventListener('visibilitychange', looked);
    return () => {
      gone = true;
      clearTimeout(timer);
      abort?.abort();
      document.removeEventListener('visibilitychange', looked);
    };
  }, [what]);
  useEffect(() => run.current.again(), [what, poll]);

  const reload = useCallback(() => run.current.ask(), []);
  const mine = state.of === what;
  return {
    data: mine ? state.data : null,
    error: mine ? state.error : null,
    loading: mine ? state.loading : what !== null,
    reload,
  };
}

// One thing that somebody does: const [save, busy] = useAction(async () => {...}). A second start
// while it runs does nothing; errors are the caller's (toast.error, or kept in state).
export function useAction(fn) {
  const [busy, setBusy] = useState(false);
  const state = useRef({ busy: false, fn });
  state.current.fn = fn;
  const start = useCallback(async (...args) => {
    if (state.current.busy) return undefined;
    state.current.busy = true;
    setBusy(true);
    try {
      return await state.current.fn(...args);
    } finally {
      state.current.busy = false;
      setBusy(false);
    }
  }, []);
  return [start, busy];
}

// The text once it has rested for a moment: for filters.
export function useDebounced(value, ms = 250) {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return rested;
}

// What the address asks a page to do, once: of ?new=key, useAsked('new', (what) => ...) is told
// "key", and it is taken out of the address. Back does not ask again.
export function useAsked(name, fn) {
  const { query } = useRoute();
  const what = query.get(name);
  useEffect(() => {
    if (what === null) return;
    setQuery({ [name]: null });
    fn(what);
  }, [what]);
}

// The browser's tab has the page's name.
export function useTitle(title) {
  useEffect(() => {
    document.title = title ? `${title} · feitian` : 'feitian';
  }, [title]);
}

// A number that counts up while a component is on the screen: for "3 minutes ago".
export function useTick(ms = 10000) {
  const [n, setN] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && setN((m) => m + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return n;
}

// A list that grows by a page at a time and is followed: ask(last page or null, signal) => { more,
// ... }, the same function until its question changes. -> what useApi says, data: the pages; busy;
// next(). What is there stays while more comes.
export function useGrowing(ask, options) {
  const kept = useRef({ of: null });
  const all = useCallback(
    async (signal) => {
      if (kept.current.of !== ask) kept.current = { of: ask, pages: [], wanted: 1, grow: false };
      const mine = kept.current;
      const pages = mine.grow ? [...mine.pages] : []; // else all of them may have changed
      mine.grow = false;
      while (pages.length < mine.wanted && (pages.length === 0 || pages.at(-1).more))
        pages.push(await ask(pages.at(-1) ?? null, signal));
      mine.pages = pages;
      return pages;
    },
    [ask],
  );
  const state = useApi(all, options);
  const next = () => {
    kept.current.wanted = kept.current.pages.length + 1;
    kept.current.grow = true;
    state.reload();
  };
  return { ...state, busy: state.loading && kept.current.wanted > (state.data?.length ?? 0), next };
}

// A list that comes page by page, as /api/v1's and OpenAI's do (has_more,
// last_id, `after`); its first page is asked for again when the path changes.
// -> { rows: null while it comes, error, busy, more, next(), reload() }
export function usePaged(
  path,
  { param = 'after', lastOf = (page) => page.last_id ?? page.data.at(-1)?.id } = {},
) {
  const [state, setState] = useState({
    of: null,
    rows: null,
    last: null,
    error: null,
    busy: false,
  });
  const asked = useRef(0);
  const ask = useCallback(
    async (after) => {
      const mine = ++asked.current;
      const fresh = after === null;
      setState((s) => ({
        ...s,
        busy: true,
        error: null,
        rows: fresh && s.of !== path ? null : s.rows,
      }));
      try {
        const query =
          after === null
            ? ''
            : `${path.includes('?') ? '&' : '?'}${param}=${encodeURIComponent(after)}`;
        const page = await api.get(path + query);
        if (mine !== asked.current) return;
        setState((s) => ({
          of: path,
          rows: fresh ? page.data : [...s.rows, ...page.data],
          last: page.has_more ? lastOf(page) : null,
          error: null,
          busy: false,
        }));
      } catch (error) {
        if (mine === asked.current)
          setState((s) => ({
            ...s,
            of: path,
            error,
            busy: false,
            rows: s.of === path ? s.rows : null,
          }));
      }
    },
    [path, param],
  );
  useEffect(() => {
    ask(null);
    return () => {
      asked.current++;
    };
  }, [ask]);
  const mine = state.of === path;
  return {
    rows: mine ? state.rows : null,
    error: mine ? state.error : null,
    busy: state.busy,
    more: mine && state.last !== null,
    next: () => ask(state.last),
    reload: () => ask(null),
  };
}
