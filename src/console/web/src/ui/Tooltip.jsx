// More about a word, on hover and on focus. Not for what one must know: phones have no hover.
import { useId, useRef, useState } from 'preact/hooks';
import { inWindow } from './place.js';

export function Tooltip({ text, children, focusable = true }) {
  const id = useId();
  const box = useRef(null);
  const tip = useRef(null);
  const [open, setOpen] = useState(false);
  const show = () => {
    const b = box.current.getBoundingClientRect();
    tip.current.showPopover();
    const own = tip.current.getBoundingClientRect();
    const above = b.top > own.height + 8;
    tip.current.style.top = `${above ? b.top - own.height - 6 : b.bottom + 6}px`;
    tip.current.style.left = `${inWindow(b.left + (b.width - own.width) / 2, own.width)}px`;
    setOpen(true);
  };
  const hide = () => {
    if (open) tip.current.hidePopover();
    setOpen(false);
  };
  return (
    <>
      <span
        ref={box}
        class="tip-of"
        tabIndex={focusable ? 0 : undefined}
        aria-describedby={id}
        onMouseEnter={show}
        onMouseLeave={hide}
        onFocusIn={show}
        onFocusOut={hide}
        onKeyDown={(e) => e.key === 'Escape' && hide()}>
        {children}
      </span>
      <div ref={tip} id={id} class="tip" popover="manual" role="tooltip">
        {text}
      </div>
    </>
  );
}
