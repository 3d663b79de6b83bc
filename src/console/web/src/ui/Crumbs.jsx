// Where one is in folders: parts: [{ title, href }], the last one is here.
import { Link } from '../lib/router.js';
import { Icon } from './Icon.jsx';

export function Crumbs({ label, parts }) {
  return (
    <nav class="crumbs" aria-label={label}>
      <ol>
        {parts.map(({ title, href }, i) => (
          <li key={i}>
            {i > 0 && <Icon name="right" size={12} />}
            {i === parts.length - 1 ? (
              <span aria-current="page">{title}</span>
            ) : (
              <Link href={href}>{title}</Link>
            )}
          </li>
        ))}
      </ol>
    </nav>
  );
}
