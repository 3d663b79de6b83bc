// tabs: [{ id, title, count }]; the panel is the page's:
// <TabPanel id=...>. Arrow keys go through them.
import { useRef } from 'preact/hooks';

export function Tabs({ tabs, value, onChange, label }) {
  const ref = useRef(null);
  const step = (e) => {
    const at = tabs.findIndex((one) => one.id === value);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const next = tabs[(to + tabs.length) % tabs.length];
    onChange(next.id);
    ref.current.querySelector(`#tab-${next.id}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={ref} onKeyDown={step}>
      {tabs.map((one) => (
        <button
          key={one.id}
          type="button"
          role="tab"
          id={`tab-${one.id}`}
          class="tab"
          aria-selected={one.id === value}
          aria-controls={one.id === value ? `panel-${one.id}` : undefined}
          tabIndex={one.id === value ? 0 : -1}
          onClick={() => onChange(one.id)}>
          {one.title}
          {one.count !== undefined && <span class="tab-count figures">{one.count}</span>}
        </button>
      ))}
    </div>
  );
}

export function TabPanel({ id, children }) {
  return (
    <div role="tabpanel" id={`panel-${id}`} aria-labelledby={`tab-${id}`} class="tab-panel">
      {children}
    </div>
  );
}
