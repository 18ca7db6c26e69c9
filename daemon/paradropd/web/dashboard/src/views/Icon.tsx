/** Small line drawings. Decoration only: the word always stands beside them, or in the button's label. */

import type { JSX } from "preact";

const SHAPES = {
  alert: <path d="M8 2.5 14.2 13.2H1.8L8 2.5ZM8 6.6v3M8 11.4v.1" />,
  check: <path d="m3.2 8.4 3.1 3.1 6.5-7" />,
  clock: <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 4.9V8l2 1.6" />,
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  cross: <path d="m4 4 8 8M12 4l-8 8" />,
  down: <path d="M8 3v9.5M4 8.7l4 4 4-4" />,
  leave: <path d="M6.2 2.8H3.4v10.4h2.8M10 5l3 3-3 3M12.6 8H6.2" />,
  lines: <path d="M2.5 4h11M2.5 8h11M2.5 12h6.5" />,
  link: <path d="M6.6 3.4H3.4v9.2h9.2V9.4M9.2 2.8h4v4M13 3 7.4 8.6" />,
  play: <path d="M4.6 2.9v10.2L13 8 4.6 2.9Z" />,
  restart: <path d="M13 8a5 5 0 1 1-1.6-3.7M13.2 2.4v3.2H10" />,
  spinner: <path d="M8 2.2A5.8 5.8 0 1 1 2.2 8" />,
  stop: <path d="M4 4h8v8H4z" />,
  undo: <path d="M3 6.4h6.4a3.4 3.4 0 0 1 0 6.8H6M5.6 3.4 2.6 6.4l3 3" />,
} satisfies Record<string, JSX.Element>;

export type IconName = keyof typeof SHAPES;

export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class={name === "spinner" ? "icon spinning" : "icon"} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {SHAPES[name]}
    </svg>
  );
}

export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect class="logo-back" width="32" height="32" rx="8" />
      <path class="logo-fill" d="M6 15a10 9 0 0 1 20 0Z" />
      <path class="logo-line" d="M7 16l7 6M25 16l-7 6M16 16v6" />
      <rect class="logo-fill" x="12.5" y="21" width="7" height="6" rx="1.5" />
    </svg>
  );
}
