// Ctrl-K (or "/"): to any page or thing of the cloud, or a thing to do, by typing some of its name.
// A combobox over a list.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { lang, languages, setLang, t } from '../lib/i18n.js';
import { navigate } from '../lib/router.js';
import { can, getMe, signOut } from '../lib/session.js';
import { setTheme, themes } from '../lib/theme.js';
import { groups, pages } from '../pages.js';
import { Icon } from '../ui/Icon.jsx';
import { toast } from '../ui/Toast.jsx';

const SHOWN_MAX = 50;

function isTyping(element) {
  return element.closest('input, textarea, select, [contenteditable], dialog') !== null;
}

export function usePalette() {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const key = (e) => {
      const chord =
        (e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey && e.key.toLowerCase() === 'k';
      const slash = e.key === '/' && !e.ctrlKey && !e.metaKey && !e.altKey && !isTyping(e.target);
      if (!chord && !slash) return;
      e.preventDefault();
      setShown((s) => !s);
    };
    document.addEventListener('keydown', key);
    return () => document.removeEventListener('keydown', key);
  }, []);
  return { shown, open: () => setShown(true), close: () => setShown(false) };
}

// What can be made: [name, icon, path], as the pages' own buttons do.
function makers() {
  const { member } = getMe();
  return [
    can('manage') &&
      (can('admin') || (can('developer') && member !== null)) && ['key', 'keys', '/keys?new=key'],
    can('admin') && ['endpoint', 'endpoints', '/endpoints?new=endpoint'],
    can('developer', 'objects.write') && ['bucket', 'storage', '/storage?new=bucket'],
    can('developer', 'fine_tuning', 'files') && ['job', 'tune', '/tuning/new'],
    can('developer', 'hub.write') && ['repo', 'models', '/models?new=repo'],
    can('developer') && ['model', 'download', '/models?new=model'],
    can('admin', 'manage') && ['member', 'user', '/keys?tab=members&new=member'],
    can('operator') && ['project', 'folder', '/settings/projects?new=project'],
  ].filter(Boolean);
}

function everything() {
  const own = lang();
  const other = own === 'zh' ? 'en' : 'zh';
  const to = pages
    .filter((p) => !p.hidden && can(p.role ?? 'viewer'))
    .map((p) => ({
      id: `page-${p.name}`,
      icon: p.icon,
      title: p.title[own],
      text: groups[p.group][own],
      words: `${p.title.en} ${p.title.zh} ${p.name}`,
      go: () => navigate(`/${p.name}`),
    }));
  const actions = [
    ...makers().map(([name, icon, path]) => ({
      id: `new-${name}`,
      icon,
      title: t(`app.new_${name}`),
      words: `new create make add ${name}`,
      go: () => navigate(path),
    })),
    ...themes.map((name) => ({
      id: `theme-${name}`,
      icon: { system: 'monitor', light: 'sun', dark: 'moon' }[name],
      title: `${t('app.theme')}: ${t(`app.theme_${name}`)}`,
      words: `theme ${name}`,
      go: () => setTheme(name),
    })),
    {
      id: 'language',
      icon: 'language',
      title: languages[other],
      words: `language ${languages[other]}`,
      go: () => setLang(other),
    },
    {
      id: 'out',
      icon: 'logout',
      title: t('app.sign_out'),
      words: 'sign out logout',
      go: () => signOut().catch(toast.error),
    },
  ];
  return [...to, ...actions];
}

// A request's id is its address: it is in no list that one could fetch.
function byId(typed) {
  const [id] = /^req_[A-Za-z0-9]{8,}$/.exec(typed.trim()) ?? [];
  if (!id) return [];
  const go = () => navigate(`/requests/${id}`);
  return [{ id: 'request', icon: 'requests', title: id, text: t('app.thing_request'), go }];
}

// All typed words are somewhere in it; what begins with them comes first.
function found(all, typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (one) => `${one.title} ${one.words}`.toLowerCase();
  const hits = all.filter((one) => words.every((w) => text(one).includes(w)));
  const begins = (one) =>
    words.length > 0 && one.title.toLowerCase().startsWith(words[0]) ? 0 : 1;
  return hits
    .map((one, i) => [one, i])
    .sort((a, b) => begins(a[0]) - begins(b[0]) || a[1] - b[1])
    .slice(0, SHOWN_MAX)
    .map(([one]) => one);
}

// What is in the cloud, once somebody looks for something: { rows, busy }.
function useThings(wanted) {
  const [state, setState] = useState({ rows: [], busy: false });
  useEffect(() => {
    if (!wanted) return undefined;
    const abort = new AbortController();
    setState((s) => ({ ...s, busy: true }));
    const onSome = (rows) => setState({ rows, busy: true });
    import('./things.js')
      .then(({ things }) => things(onSome, abort.signal))
      .catch(() => {}) // the cloud is away: pages can be gone to all the same
      .then(() => !abort.signal.aborted && setState((s) => ({ ...s, busy: false })));
    return () => abort.abort();
  }, [wanted]);
  return state;
}

export function Palette({ onClose }) {
  const ref = useRef(null);
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const all = useMemo(everything, []);
  const { rows, busy } = useThings(typed.trim() !== '');
  const list = [...byId(typed), ...found([...all, ...rows], typed)];
  useEffect(() => {
    ref.current.showModal();
  }, []);
  useEffect(() => {
    ref.current.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' });
  }, [at, typed]);
  const choose = (one) => {
    onClose();
    one.go();
  };
  const key = (e) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[e.key];
    if (to !== undefined && list.length > 0) {
      e.preventDefault();
      setAt((to + list.length) % list.length);
    } else if (e.key === 'Enter' && list[at]) {
      e.preventDefault();
      choose(list[at]);
    }
  };
  return (
    <dialog
      ref={ref}
      class="palette"
      aria-label={t('app.palette')}
      onCancel={(e) => {
        e.preventDefault();
        onClose();
      }}
      onMouseDown={(e) => e.target === ref.current && onClose()}>
      <div class="palette-frame">
        <div class="palette-input">
          <Icon name="search" />
          <input
            type="text"
            role="combobox"
            aria-expanded="true"
            aria-controls="palette-list"
            aria-autocomplete="list"
            aria-activedescendant={list[at] && `palette-${list[at].id}`}
            aria-label={t('app.palette')}
            placeholder={t('app.palette_hint')}
            autocomplete="off"
            spellcheck={false}
            autofocus
            value={typed}
            onInput={(e) => {
              setTyped(e.currentTarget.value);
              setAt(0);
            }}
            onKeyDown={key}
          />
        </div>
        <div id="palette-list" class="palette-list" role="listbox" aria-label={t('app.palette')}>
          {list.map((one, i) => (
            <div
              key={one.id}
              id={`palette-${one.id}`}
              role="option"
              aria-selected={i === at}
              class="palette-one"
              onMouseMove={() => setAt(i)}
              onClick={() => choose(one)}>
              <Icon name={one.icon} />
              <span title={one.title}>{one.title}</span>
              {one.text && <span class="muted small">{one.text}</span>}
            </div>
          ))}
        </div>
        <p class="palette-none muted" role="status">
          {list.length === 0 && t(busy ? 'app.palette_busy' : 'app.palette_none')}
        </p>
      </div>
    </dialog>
  );
}
