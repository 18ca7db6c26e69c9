/** Short messages to the person at the page. Pure. */

export interface Toast {
  readonly id: number;
  readonly tone: "bad" | "info";
  readonly title: string;
  readonly text: string;
}

export type Toasts = readonly Toast[];

/** How many are shown at once. */
export const SHOWN = 4;

/** *toasts* with *toast* added; one that says the same is replaced, so that a repeated error does not fill the page. */
export function raised(toasts: Toasts, toast: Toast): Toasts {
  const others = toasts.filter((other) => other.title !== toast.title || other.text !== toast.text);
  return [...others, toast].slice(-SHOWN);
}

export function dismissed(toasts: Toasts, id: number): Toasts {
  return toasts.filter((toast) => toast.id !== id);
}
