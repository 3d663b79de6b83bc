// Where what opens over a page stands.
const EDGE = 8;

// The left edge of something this wide that should begin at `left`, never over the window's edge.
export const inWindow = (left, width) =>
  Math.max(EDGE, Math.min(left, window.innerWidth - width - EDGE));
