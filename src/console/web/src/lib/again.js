// What is sent in pieces: tried again where that can help, some at a time.
const TRIES = 5;
const WAIT_MS = 500; // before the second try; twice as long before each further one
const WAIT_MOST_MS = 30000;

// No connection, too much at a time, a gateway that restarts.
const mayPass = (error) =>
  error.name !== 'AbortError' &&
  (error.status === 0 || error.status === 429 || error.status >= 500);

export function pause(ms, signal) {
  return new Promise((done, fail) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      if (signal?.aborted) fail(signal.reason);
      else done();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end);
  });
}

// what: async, done from its beginning each time; failed(): before another try.
export async function again(what, signal, failed = () => {}) {
  for (let n = 0; ; n += 1) {
    signal?.throwIfAborted();
    try {
      return await what();
    } catch (error) {
      if (n + 1 === TRIES || !mayPass(error)) throw error;
      failed();
      const asked = (error.retryAfter ?? 0) * 1000;
      await pause(Math.min(Math.max(WAIT_MS * 2 ** n, asked), WAIT_MOST_MS), signal);
    }
  }
}

// work(item, i) for each, so many at a time. Where one fails no other begins, and those that have
// begun end before that is told: nobody works on when it is tried again.
export async function each(items, atOnce, work) {
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const i = next;
      next += 1;
      try {
        await work(items[i], i);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const workers = Array.from({ length: Math.min(atOnce, items.length) }, worker);
  const failed = (await Promise.allSettled(workers)).find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
}
