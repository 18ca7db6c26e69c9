/** What went wrong, where the person is looking. */

import type { ComponentChildren, JSX } from "preact";

import { Icon } from "./Icon";

export function Note({ testid, children }: { readonly testid: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <p class="note note-bad note-icon" role="alert" data-testid={testid}>
      <Icon name="alert" />
      <span>{children}</span>
    </p>
  );
}

/** The sentence of an error. */
export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
