// What pages ask the API, followed as long as they are on the screen.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { api } from './api.js';

// useApi('/api/v1/keys', { poll: 5000 }) -> { data, error, loading, reload }
//
// what: a path; a function (signal) => promise, which must be the same until its question changes
// (useCallback); or null: nothing is asked. While an answer is fetched again the last one stays. With
// poll (milliseconds) it is asked again and again, not while nobody looks at the page; after an error
// more and more seldom.
export function useApi(what, { poll = 0 } = {}) {
  const [state, setState] = useState({ data: null, error: null, loading: what !== null, of: what });
  const run = useRef(() => {});

  useEffect(() => {
    if (what === null) {
      setState({ data: null, error: null, loading: false, of: what });
      return undefined;
    }
    let timer = 0;
    let failed = 0;
    let abort = null;
    let gone = false;
    const again = () => {
      clearTimeout(timer);
      if (poll > 0 && !gone) timer = setTimeout(ask, Math.min(poll * 2 ** failed, Math.max(poll, 30000)));
    };
    const ask = async () => {
      if (document.hidden && failed === 0 && timer !== 0) {
        again();
        return;
      }
      abort?.abort();
      const mine = (abort = new AbortController());
      clearTimeout(timer);
      setState((s) => (s.of === what ? { ...s, loading: true } : { data: null, error: null, loading: true, of: what }));
      try {
        const data = await (typeof what === 'function' ? what(mine.signal) : api.get(what, { signal: mine.signal }));
        failed = 0;
        if (!mine.signal.aborted) setState({ data, error: null, loading: false, of: what });
      } catch (error) {
        if (mine.signal.aborted) return;
        failed = Math.min(failed + 1, 5);
        setState((s) => ({ ...s, error, loading: false }));
      }
      again();
    };
    run.current = ask;
    ask();
    const looked = () => {
      if (!document.hidden && poll > 0) ask();
    };
    document.addEventListener('visibilitychange', looked);
    return () => {
      gone = true;
      clearTimeout(timer);
      abort?.abort();
      document.removeEventListener('visibilitychange', looked);
    };
  }, [what, poll]);

  const reload = useCallback(() => run.current(), []);
  const mine = state.of === what;
  return {
    data: mine ? state.data : null,
    error: mine ? state.error : null,
    loading: mine ? state.loading : what !== null,
    reload,
  };
}

// One thing that somebody does: const [save, busy] = useAction(async () => {...}).
// A second start while it runs does nothing; errors are the caller's (toast.error, or kept in state).
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
    const timer = setInterval(() => setN((m) => m + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return n;
}
