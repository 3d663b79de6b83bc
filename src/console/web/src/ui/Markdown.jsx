// Text that somebody else wrote (model cards, answers), as HTML that can do nothing: marked makes it, DOMPurify takes
// out all but words, tables, code and links. Both are fetched when the first such text is shown.
import { useEffect, useState } from 'preact/hooks';

const CLEAN = {
  USE_PROFILES: { html: true },
  FORBID_TAGS: ['style', 'form', 'input', 'button', 'select', 'textarea', 'video', 'audio', 'iframe', 'object', 'embed'],
  FORBID_ATTR: ['style', 'class', 'id', 'name', 'srcset'],
};

let ready = null;

function load() {
  ready ??= Promise.all([import('marked'), import('dompurify')]).then(([{ marked }, { default: purify }]) => {
    purify.addHook('afterSanitizeAttributes', (node) => {
      if (node.tagName === 'A') {
        node.setAttribute('target', '_blank');
        node.setAttribute('rel', 'noopener noreferrer');
      }
      // pictures from elsewhere would tell others who reads; the policy of the page refuses them too
      if (node.tagName === 'IMG' && !/^(data:|blob:)/.test(node.getAttribute('src') ?? ''))
        node.replaceWith(document.createTextNode(node.getAttribute('alt') ?? ''));
    });
    return (text) => purify.sanitize(marked.parse(text, { async: false, gfm: true }), CLEAN);
  });
  return ready;
}

export function Markdown({ text }) {
  const [html, setHtml] = useState(null);
  useEffect(() => {
    let gone = false;
    load().then((render) => !gone && setHtml(render(text)));
    return () => {
      gone = true;
    };
  }, [text]);
  if (html === null) return <div class="prose prose-raw">{text}</div>;
  return <div class="prose" dangerouslySetInnerHTML={{ __html: html }} />;
}
