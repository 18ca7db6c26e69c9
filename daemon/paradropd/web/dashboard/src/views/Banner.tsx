/** Says that the device is out of reach, and what happens next. Floats over the page so that nothing moves. */

import type { JSX } from "preact";

import type { Device } from "../device";
import { Icon } from "./Icon";

export function Banner({ device }: { readonly device: Device }): JSX.Element | null {
  const state = device.connection.state.value;
  if (state.word !== "lost") return null;
  const seconds = Math.max(0, Math.round((state.retryAt - device.wall.value) / 1000));
  return (
    <div class="banner" role="alert" data-testid="lost">
      <Icon name="alert" />
      <span>
        <strong>Connection lost.</strong> What you see may be out of date.{" "}
        <span class="banner-next">{seconds === 0 ? "Trying again …" : `Trying again in ${seconds} s.`}</span>
      </span>
      <button type="button" class="tool" data-testid="retry" onClick={() => device.connection.hurry()}>
        Try now
      </button>
    </div>
  );
}
