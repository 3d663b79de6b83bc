// Conversations that the browser keeps, where its user asked for that. Nothing is written before.
import { getMe } from '../../lib/session.js';

// Of whoever is signed in: another one at this browser does not find them.
const keyOf = () => {
  const me = getMe();
  return `feitian.playground.${me?.member?.id ?? me?.key?.id ?? ''}`;
};
const CONVERSATIONS_MAX = 50;
const BYTES_MAX = 4 << 20; // browsers give an address about five

function read() {
  try {
    const o = JSON.parse(localStorage.getItem(keyOf()));
    return Array.isArray(o?.list) ? o : null;
  } catch {
    return null;
  }
}

// The oldest go first where there is no room. False: not even one could be kept.
function write(list) {
  let kept = list.slice(0, CONVERSATIONS_MAX);
  while (kept.length > 0) {
    const text = JSON.stringify({ list: kept });
    try {
      if (text.length > BYTES_MAX) throw new Error('too long');
      localStorage.setItem(keyOf(), text);
      return true;
    } catch {
      kept = kept.slice(0, -1);
    }
  }
  return false;
}

export const keeps = () => read() !== null;
export const kept = () => read()?.list ?? [];

// Even of none: that they are kept is kept.
function store(list) {
  try {
    localStorage.setItem(keyOf(), JSON.stringify({ list }));
  } catch {
    // a browser that stores nothing
  }
}

export function startKeeping() {
  if (!read()) store([]);
}

export function stopKeeping() {
  try {
    localStorage.removeItem(keyOf());
  } catch {
    // nor did it keep anything
  }
}

const titleOf = (panes) =>
  panes[0].messages
    .find((m) => m.role === 'user')
    ?.content.trim()
    .slice(0, 80) ?? '';

// What is shown again needs no tokens' alternatives: they are most of the bytes.
function lean(pane) {
  return {
    model: pane.model,
    messages: pane.messages.map((m) => (m.role === 'assistant' ? { ...m, tokens: [] } : m)),
  };
}

export function keep(id, panes, settings) {
  const o = read();
  if (!o || panes[0].messages.length === 0) return true;
  const mine = { id, title: titleOf(panes), at: Date.now(), panes: panes.map(lean), settings };
  return write([mine, ...o.list.filter((c) => c.id !== id)]);
}

export function forget(id) {
  const o = read();
  if (o) store(o.list.filter((c) => c.id !== id));
}
