/** The head of the page: which device this is, whether it is reached, and who is looking. */

import type { JSX } from "preact";

import type { ConnectionState } from "../connection";
import type { Device } from "../device";
import type { Login, Session } from "../session";
import type { Look } from "../words";
import { Icon, Logo } from "./Icon";

const LOOKS: Record<ConnectionState["word"], Look & { readonly text: string }> = {
  idle: { tone: "quiet", icon: "clock", text: "not connected" },
  connecting: { tone: "busy", icon: "spinner", text: "connecting" },
  connected: { tone: "good", icon: "check", text: "connected" },
  lost: { tone: "bad", icon: "alert", text: "connection lost" },
};

interface Props {
  readonly device: Device;
  readonly session: Session;
  readonly login: Login;
}

export function Header({ device, session, login }: Props): JSX.Element {
  const { word } = device.connection.state.value;
  const look = LOOKS[word];
  return (
    <header class="header">
      <Logo />
      <h1 class="device-name" data-testid="device-name">
        {device.node.value?.name ?? "Paradrop"}
      </h1>
      <span class={`badge tone-${look.tone}`} role="status" data-testid="connection" data-state={word}>
        <Icon name={look.icon} />
        <span class="wide">{look.text}</span>
      </span>
      <div class="who">
        <span class="who-name" data-testid="account">
          {login.name} {login.role !== login.name && <span class="muted">{login.role}</span>}
        </span>
        <button
          type="button"
          class="tool"
          data-testid="logout"
          aria-label="Log out"
          title={`Logged in as ${login.name}`}
          onClick={() => void session.logout()}
        >
          <Icon name="leave" />
          <span class="wide">Log out</span>
        </button>
      </div>
    </header>
  );
}
