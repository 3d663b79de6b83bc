// What is around every page: navigation at the side
// (on a phone it comes in from there), the bar above.
import { useEffect, useRef, useState } from 'preact/hooks';
import { lang, t } from '../lib/i18n.js';
import { Link, useRoute } from '../lib/router.js';
import { can, useMe } from '../lib/session.js';
import { groups, pages } from '../pages.js';
import { Button } from '../ui/Button.jsx';
import { Icon, Mark } from '../ui/Icon.jsx';
import { AccountMenu, LanguageMenu, ThemeMenu } from './Menus.jsx';
import { Palette, usePalette } from './Palette.jsx';

function Navigation({ page, onGone }) {
  const seen = pages.filter((p) => !p.hidden && can(p.role ?? 'viewer'));
  return (
    <nav class="nav" aria-label={t('app.nav')}>
      {Object.keys(groups).map((group) => {
        const own = seen.filter((p) => p.group === group);
        if (own.length === 0) return null;
        const title = groups[group][lang()];
        return (
          <div key={group} class="nav-group">
            {title && <h2 id={`nav-${group}`}>{title}</h2>}
            <ul aria-labelledby={title ? `nav-${group}` : undefined}>
              {own.map((p) => (
                <li key={p.name}>
                  <Link
                    href={`/${p.name}`}
                    class="nav-link"
                    aria-current={p === page ? 'page' : undefined}
                    onClick={onGone}>
                    <Icon name={p.icon} />
                    <span>{p.title[lang()]}</span>
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
    </nav>
  );
}

// On a phone: a dialog, so that the focus stays in it and Escape ends it.
function Drawer({ page, onClose }) {
  const ref = useRef(null);
  useEffect(() => ref.current.showModal(), []);
  return (
    <dialog
      ref={ref}
      class="drawer"
      aria-label={t('app.nav')}
      onCancel={(e) => {
        e.preventDefault();
        onClose();
      }}
      onClick={(e) => e.target === ref.current && onClose()}>
      <div class="drawer-frame">
        <div class="side-head">
          <Mark size={22} />
          <b>feitian</b>
          <Button kind="quiet" icon="close" label={t('app.close_nav')} onClick={onClose} />
        </div>
        <Navigation page={page} onGone={onClose} />
      </div>
    </dialog>
  );
}

export function Shell({ page, mainRef, children }) {
  const me = useMe();
  const route = useRoute();
  const [drawer, setDrawer] = useState(false);
  const palette = usePalette();
  useEffect(() => setDrawer(false), [route.path]);
  const skip = (e) => {
    e.preventDefault();
    mainRef.current.focus();
  };
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={skip}>
        {t('app.skip')}
      </a>
      <aside class="side">
        <div class="side-frame">
          <Link href="/" class="side-head">
            <Mark size={22} />
            <b>feitian</b>
          </Link>
          <Navigation page={page} />
        </div>
      </aside>
      <header class="top">
        <Button
          kind="quiet"
          icon="menu"
          label={t('app.open_nav')}
          class="top-menu"
          onClick={() => setDrawer(true)}
        />
        <span class="top-project" title={me.project.id}>
          <span class="muted">{t('app.project')}</span>
          <b>{me.project.name}</b>
        </span>
        <span class="top-room" />
        <button
          type="button"
          class="top-search"
          onClick={palette.open}
          aria-label={`${t('app.search')} Ctrl K`}>
          <Icon name="search" />
          <span>{t('app.search')}</span>
          <kbd>Ctrl K</kbd>
        </button>
        <LanguageMenu />
        <ThemeMenu />
        <AccountMenu />
      </header>
      <main id="main" class="main" ref={mainRef} tabIndex={-1}>
        {children}
      </main>
      {drawer && <Drawer page={page} onClose={() => setDrawer(false)} />}
      {palette.shown && <Palette onClose={palette.close} />}
    </div>
  );
}
