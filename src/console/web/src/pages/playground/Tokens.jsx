// An answer as its tokens, coloured by how likely each was; the alternatives of the one under the
// mouse, or that the arrow keys are at.
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { number, percent, t } from '../../lib/i18n.js';

const STEPS = [0.1, 0.3, 0.5, 0.7, 0.9]; // class 0 is below the first, 5 above the last

const LEAST = 0.0001; // that is written out

const stepOf = (p) => STEPS.filter((s) => p >= s).length;

// Blanks that one could not see.
const shown = (text) =>
  text
    .replaceAll('\n', '⏎')
    .replaceAll('\t', '⇥')
    .replace(/^ +$/, (s) => '␣'.repeat(s.length));

function Likely({ token, chosen }) {
  const p = Math.exp(token.logprob);
  return (
    <tr class={chosen ? 'pg-chosen' : undefined}>
      <th scope="row">
        <code>{shown(token.text)}</code>
      </th>
      <td class="pg-bar">
        <meter min="0" max="1" value={p} />
      </td>
      <td class="figures">
        {p < LEAST ? `< ${percent(LEAST, 2)}` : percent(p, p > 0.0995 ? 0 : 2)}
      </td>
    </tr>
  );
}

function Card({ token, anchor }) {
  const ref = useRef();
  useLayoutEffect(() => {
    const box = ref.current;
    const host = box.offsetParent;
    if (!anchor || !host) return;
    const left = Math.min(anchor.offsetLeft, host.clientWidth - box.offsetWidth);
    box.style.left = `${Math.max(0, left)}px`;
    box.style.top = `${anchor.offsetTop + anchor.offsetHeight + 4}px`;
  }, [anchor, token]);
  const rest = token.top.filter((x) => x.text !== token.text);
  return (
    <div class="pg-card" ref={ref} aria-live="polite">
      <table>
        <caption class="hidden">{t('playground.tokens.other')}</caption>
        <tbody>
          <Likely token={token} chosen />
          {rest.map((x, i) => (
            <Likely key={i} token={x} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Tokens({ tokens }) {
  const [at, setAt] = useState(-1);
  const box = useRef();
  const id = useId();
  const mean = tokens.reduce((sum, x) => sum + Math.exp(x.logprob), 0) / tokens.length;

  const onKey = (e) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
    const to =
      { Home: 0, End: tokens.length - 1 }[e.key] ??
      (move ? Math.max(0, Math.min(tokens.length - 1, at + move)) : null);
    if (e.key === 'Escape') setAt(-1);
    if (to === null) return;
    e.preventDefault();
    setAt(to);
    box.current.children[to].scrollIntoView({ block: 'nearest' });
  };
  const onOver = (e) => {
    const i = e.target.dataset?.i;
    if (i !== undefined) setAt(Number(i));
  };

  return (
    <div class="pg-tokens" onMouseLeave={() => setAt(-1)}>
      <div
        class="pg-run"
        ref={box}
        role="listbox"
        tabIndex={0}
        onKeyDown={onKey}
        onMouseOver={onOver}
        aria-label={t('playground.tokens.label')}
        onFocus={() => at < 0 && setAt(0)}
        onBlur={() => setAt(-1)}
        aria-activedescendant={at >= 0 ? `${id}-${at}` : undefined}>
        {tokens.map((x, i) => {
          const p = Math.exp(x.logprob);
          return (
            <span
              key={i}
              id={`${id}-${i}`}
              data-i={i}
              role="option"
              aria-selected={i === at}
              aria-label={`${x.text} ${percent(p, 1)}`}
              class={`pg-t pg-p${stepOf(p)}`}>
              {x.text === '\n' ? '⏎\n' : x.text}
            </span>
          );
        })}
      </div>
      {at >= 0 && tokens[at] && <Card token={tokens[at]} anchor={box.current?.children[at]} />}
      <p class="pg-legend">
        <span>
          {t('playground.tokens.mean', { n: number(tokens.length), p: percent(mean, 1) })}
        </span>
        <span class="pg-scale" aria-hidden="true">
          {t('playground.tokens.low')}
          {[0, 1, 2, 3, 4, 5].map((i) => (
            <i key={i} class={`pg-p${i}`} />
          ))}
          {t('playground.tokens.high')}
        </span>
      </p>
    </div>
  );
}
