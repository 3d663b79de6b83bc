// Button: kind "primary" (one on a page), "" (others), "danger", "quiet"
// (no frame). icon: a name; with no children it is a square whose
// `label` is read aloud and shown on hover. busy: it works, and waits.
import { Link } from '../lib/router.js';
import { Icon } from './Icon.jsx';
import { Spinner } from './Spinner.jsx';

export function Button({
  kind = '',
  icon,
  label,
  busy = false,
  disabled = false,
  small = false,
  href,
  type = 'button',
  children,
  class: own = '',
  ...rest
}) {
  const bare = children === undefined || children === null || children === false;
  const name = [
    'button',
    kind && `button-${kind}`,
    small && 'button-small',
    bare && 'button-square',
    own,
  ]
    .filter(Boolean)
    .join(' ');
  const inside = (
    <>
      {busy ? <Spinner /> : icon && <Icon name={icon} />}
      {!bare && <span>{children}</span>}
    </>
  );
  const named = { 'aria-label': label, title: bare ? label : undefined, class: name };
  if (href !== undefined)
    return (
      <Link href={href} {...named} {...rest}>
        {inside}
      </Link>
    );
  return (
    <button
      type={type}
      disabled={disabled}
      aria-busy={busy}
      aria-disabled={busy}
      {...named}
      {...rest}
      onClick={busy ? (e) => e.preventDefault() : rest.onClick}>
      {inside}
    </button>
  );
}
