// A state in one word. tone: ok, warn, bad, info, or none. dot: a point of the colour before it.
export function Badge({ tone = 'none', dot = false, children, title }) {
  return (
    <span class={`badge badge-${tone}`} title={title}>
      {dot && <i class="dot" aria-hidden="true" />}
      {children}
    </span>
  );
}
