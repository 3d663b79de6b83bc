// A value that components follow: store.get(), store.set(v), store.use() in a component.
import { useEffect, useState } from 'preact/hooks';

export function createStore(value) {
  const followers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const follow of [...followers]) follow();
    },
    use() {
      const [seen, setSeen] = useState(value);
      useEffect(() => {
        const follow = () => setSeen(() => value);
        followers.add(follow);
        follow(); // it may have changed between drawing and now
        return () => followers.delete(follow);
      }, []);
      return seen;
    },
  };
}

// What the browser keeps for us. One that keeps nothing is as one that knows nothing yet.
export const kept = {
  get(name) {
    try {
      return localStorage.getItem(`feitian.${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      if (value === null) localStorage.removeItem(`feitian.${name}`);
      else localStorage.setItem(`feitian.${name}`, value);
    } catch {
      // then it holds for this page alone
    }
  },
};
