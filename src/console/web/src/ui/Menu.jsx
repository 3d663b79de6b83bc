// A button with a list of things to do. items: [{ label, icon, onClick
// | href, danger, disabled, checked } or null for a line]. A popover:
// it ends by Escape or a click elsewhere, and nothing clips it.
import { useId, useRef, useState } from 'preact/hooks';
import { navigate } from '../lib/router.js';
import { t } from '../lib/i18n.js';
import { Button } from './Button.jsx';
import { Icon } from './Icon.jsx';
import { inWindow } from './place.js';

const GAP = 4;

// Below the button, or above where there is no room, never over the window's edge.
function place(list, button) {
  const b = button.getBoundingClientRect();
  const l = list.getBoundingClientRect();
  const below = b.bottom + GAP + l.height <= window.innerHeight || b.top < l.height;
  list.style.top = `${below ? b.bottom + GAP : b.top - GAP - l.height}px`;
  list.style.left = `${inWindow(b.right - l.width, l.width)}px`;
}

export function Menu({ label, icon = 'more', kind = 'quiet', small = true, items, children }) {
  const list = useRef(null);
  const button = useRef(null);
  const id = useId();
  const [open, setOpen] = useState(false);
  const entries = () => [...list.current.querySelectorAll('[role^="menuitem"]:not(:disabled)')];
  const toggled = (e) => {
    const now = e.newState === 'open';
    setOpen(now);
    if (!now) return;
    place(list.current, button.current);
    entries()[0]?.focus();
  };
  const step = (e) => {
    const all = entries();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[e.key];
    if (e.key === 'Tab') list.current.hidePopover();
    if (to === undefined) return;
    e.preventDefault();
    all[(to + all.length) % all.length]?.focus();
  };
  const choose = (item) => {
    list.current.hidePopover();
    button.current.querySelector('button')?.focus();
    if (item.href) navigate(item.href);
    else item.onClick();
  };
  return (
    <span class="menu" ref={button} onClick={(e) => e.stopPropagation()}>
      <Button
        kind={kind}
        small={small}
        icon={icon}
        label={label}
        aria-haspopup="menu"
        aria-expanded={open}
        popovertarget={id}>
        {children}
      </Button>
      <div
        ref={list}
        id={id}
        class="menu-list"
        popover="auto"
        role="menu"
        aria-label={label ?? t('ui.more')}
        onToggle={toggled}
        onKeyDown={step}>
        {items
          .filter((item) => item !== false && item !== undefined)
          .map((item, i) =>
            item === null ? (
              <hr key={i} role="separator" />
            ) : (
              <button
                key={i}
                type="button"
                role={item.checked === undefined ? 'menuitem' : 'menuitemradio'}
                tabIndex={-1}
                aria-checked={item.checked}
                disabled={item.disabled}
                class={item.danger ? 'menu-item menu-danger' : 'menu-item'}
                onClick={() => choose(item)}>
                {item.icon ? (
                  <Icon name={item.icon} />
                ) : (
                  <span class="menu-room">{item.checked && <Icon name="check" />}</span>
                )}
                <span>{item.label}</span>
                {item.text && <span class="menu-text muted">{item.text}</span>}
              </button>
            ),
          )}
      </div>
    </span>
  );
}

// The last column of a table: what can be done with a row. label(row): the button's name;
// items(row): the menu's, in which what is false is left out. Without any there is no button.
export function menuColumn(label, items) {
  return {
    key: 'menu',
    title: '',
    align: 'end',
    class: 'cell-tight',
    render: (row) => {
      const list = (items(row) || []).filter(Boolean);
      return list.length > 0 && <Menu label={label(row)} items={list} />;
    },
  };
}
