// Text that somebody else wrote (model cards, answers), as HTML that can do nothing: marked makes
// it, DOMPurify takes out all but words, tables, code and links. Both are fetched when the first
// such text is shown. Blocks are kept apart: of a text that grows only the last one is made anew.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { t } from '../lib/i18n.js';
import { toClipboard } from './Copy.jsx';

const CLEAN = {
  USE_PROFILES: { html: true },
  FORBID_TAGS: [
    'style',
    'form',
    'input',
    'button',
    'select',
    'textarea',
    'video',
    'audio',
    'iframe',
    'object',
    'embed',
  ],
  FORBID_ATTR: ['style', 'class', 'id', 'name', 'srcset'],
  ALLOW_DATA_ATTR: false,
  IN_PLACE: true,
};
const ELSEWHERE = /^([a-z][a-z0-9+.-]*:|\/\/)/i;
// They are taken out in any case; renamed first, the browser
// does not even complain of them to whoever reads its log.
const HANDLER = /[\s/]on[a-z]+\s*=/gi;
const COPIED_MS = 1500;

let ready = null;
let parts = null; // { marked, purify } once they are there

function load() {
  ready ??= Promise.all([import('marked'), import('dompurify')])
    .then(([{ Marked }, { default: purify }]) => {
      const options = {
        gfm: true,
        renderer: { html: ({ text }) => text.replace(HANDLER, ' data-was=') },
      };
      parts = { purify, card: new Marked(options), chat: new Marked({ ...options, breaks: true }) };
    })
    .catch(() => {
      ready = null; // the next text tries again; this one stays as it was written
    });
  return ready;
}

// Links open beside the console; relative ones lead where `resolve`
// says. Pictures from elsewhere would tell others who reads (the policy
// of the page refuses them too): their names stand in their place.
function mendLinks(root, resolve) {
  for (const a of root.querySelectorAll('a[href]')) {
    const to = a.getAttribute('href');
    if (to.startsWith('#')) continue;
    if (resolve && !ELSEWHERE.test(to)) a.setAttribute('href', resolve(to));
    a.target = '_blank';
    a.rel = 'noopener noreferrer';
  }
  for (const img of root.querySelectorAll('img')) {
    const src = img.getAttribute('src') ?? '';
    if (resolve && src !== '' && !ELSEWHERE.test(src)) img.setAttribute('src', resolve(src));
    else if (!/^(data:|blob:)/.test(src))
      img.replaceWith(document.createTextNode(img.alt ? `[${img.alt}]` : ''));
  }
}

// What is wider than the page scrolls by itself, by keyboard too; code can be copied.
function mendBlocks(root) {
  for (const table of root.querySelectorAll('table')) {
    const box = document.createElement('div');
    box.className = 'prose-wide';
    box.tabIndex = 0;
    table.replaceWith(box);
    box.append(table);
  }
  for (const pre of root.querySelectorAll('pre')) {
    const box = document.createElement('div');
    const copy = document.createElement('button');
    box.className = 'prose-code';
    pre.tabIndex = 0;
    copy.type = 'button';
    copy.className = 'button button-quiet button-small prose-copy';
    copy.textContent = t('ui.copy');
    copy.addEventListener('click', async () => {
      copy.textContent = t((await toClipboard(pre.textContent)) ? 'ui.copied' : 'ui.copy_failed');
      setTimeout(() => {
        copy.textContent = t('ui.copy');
      }, COPIED_MS);
    });
    pre.replaceWith(box);
    box.append(pre, copy);
  }
}

function Block({ html, resolve }) {
  const ref = useRef(null);
  useLayoutEffect(() => {
    // in a document of its own: nothing runs or loads before it is clean
    const root = document.createElement('template').content.ownerDocument.createElement('div');
    root.innerHTML = html;
    parts.purify.sanitize(root, CLEAN);
    mendLinks(root, resolve);
    mendBlocks(root);
    ref.current.replaceChildren(...root.childNodes);
  }, [html, resolve]);
  return <div class="prose-block" ref={ref} />;
}

// resolve(path): where a relative link or picture of the
// text is. breaks: a line's end is one, as in chats.
export function Markdown({ text, resolve, breaks = false }) {
  const [there, setThere] = useState(parts !== null);
  useEffect(() => {
    let gone = false;
    if (!there) load().then(() => !gone && setThere(parts !== null));
    return () => {
      gone = true;
    };
  }, []);
  const blocks = useMemo(() => {
    if (!there) return null;
    const marked = breaks ? parts.chat : parts.card;
    return marked
      .lexer(text)
      .filter((b) => b.type !== 'space')
      .map((b) => marked.parser([b]));
  }, [text, breaks, there]);
  if (blocks === null) return <div class="prose prose-raw">{text}</div>;
  return (
    <div class="prose">
      {blocks.map((html, i) => (
        <Block key={i} html={html} resolve={resolve} />
      ))}
    </div>
  );
}
