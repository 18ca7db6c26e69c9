/** Short messages, over the page so that nothing moves. They stay until they are closed: an error is not to be missed. */

import type { JSX } from "preact";

import type { Device } from "../device";
import { Icon } from "./Icon";

export function Toasts({ device }: { readonly device: Device }): JSX.Element {
  return (
    <div class="toasts" role="region" aria-label="Messages" aria-live="assertive" data-testid="toasts">
      {device.toasts.value.map(({ id, tone, title, text }) => (
        <div key={id} class={`toast toast-${tone}`} data-testid="toast">
          <Icon name="alert" />
          <div class="toast-body">
            <p class="toast-title">{title}</p>
            {text !== "" && <p class="toast-text">{text}</p>}
          </div>
          <button type="button" class="tool" aria-label="Close this message" data-testid="dismiss" onClick={() => device.dismiss(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
