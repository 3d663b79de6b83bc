// The frame of a page: its name, what it is for, what can be done.
import { useEffect, useRef } from 'preact/hooks';
import { useTitle } from '../lib/hooks.js';
import { Link } from '../lib/router.js';
import { t } from '../lib/i18n.js';
import { Icon } from './Icon.jsx';

// wide: all the room there is; all other pages share one left edge and width.
// back: { href, title }: of what this is a part. tools: beside the name (badges). actions: buttons.
export function Page({ title, text, back, tools, actions, children, wide = false }) {
  useTitle(title);
  return (
    <article class={wide ? 'page page-wide' : 'page'}>
      {back && (
        <nav class="page-back" aria-label={t('ui.back')}>
          <Link href={back.href}>
            <Icon name="back" size={14} /> {back.title}
          </Link>
        </nav>
      )}
      <header class="page-head">
        <div class="page-name">
          <div class="page-title">
            <h1>{title}</h1>
            {tools}
          </div>
          {text && <p class="muted">{text}</p>}
        </div>
        {actions && <div class="page-actions">{actions}</div>}
      </header>
      {children}
    </article>
  );
}

// flush: what is in it reaches the edges (tables, charts do their own margins).
export function Section({
  title,
  text,
  actions,
  children,
  flush = false,
  bare = false,
  id,
  class: own = '',
}) {
  const name = useRef(id ?? `s${Math.random().toString(36).slice(2, 8)}`).current;
  return (
    <section class={`section ${own}`} aria-labelledby={title ? `${name}-title` : undefined} id={id}>
      {(title || actions) && (
        <header class="section-head">
          <div>
            {title && <h2 id={`${name}-title`}>{title}</h2>}
            {text && <p class="muted">{text}</p>}
          </div>
          {actions && <div class="section-actions">{actions}</div>}
        </header>
      )}
      <div class={bare ? 'section-bare' : flush ? 'section-body section-flush' : 'section-body'}>
        {children}
      </div>
    </section>
  );
}

// Figures in a row: items: [{ label, value, text, tone, href }].
export function Figures({ items, label }) {
  return (
    <dl class="tiles" aria-label={label}>
      {items.map((item) => (
        <div key={item.label} class={`tile ${item.tone ? `tile-${item.tone}` : ''}`}>
          <dt>{item.href ? <Link href={item.href}>{item.label}</Link> : item.label}</dt>
          <dd class="tile-value figures">{item.value}</dd>
          {item.text && <dd class="tile-text muted">{item.text}</dd>}
        </div>
      ))}
    </dl>
  );
}

// Names and values below each other: rows: [[name, value], ...]; rows that are false are left out.
export function Facts({ rows }) {
  return (
    <dl class="facts">
      {rows.filter(Boolean).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value ?? '–'}</dd>
        </div>
      ))}
    </dl>
  );
}

// What is shown on the screen is read aloud when it changes.
export function Live({ children }) {
  return (
    <div class="hidden" role="status" aria-live="polite">
      {children}
    </div>
  );
}

// Puts the focus on its heading when `when` changes: after a step within a page.
export function useFocusOn(when) {
  const ref = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else ref.current?.focus();
  }, [when]);
  return ref;
}
