/** Puts the page together. */

import "./styles/base.css";
import "./styles/page.css";
import "./styles/chutes.css";
import "./styles/log.css";
import "./styles/login.css";

import { computed, effect, untracked } from "@preact/signals";
import { render } from "preact";

import { HttpAccount, type Account } from "./account";
import { Device } from "./device";
import { wampJoin, type Join } from "./fabric";
import { invitation, Session, type Invitation } from "./session";
import { App } from "./views/App";

/** Reads an invitation, and takes it out of the address bar and the history: it is good for a login. */
function invited(): Invitation | undefined {
  const found = invitation(location.hash);
  if (location.hash !== "") history.replaceState(null, "", location.pathname + location.search);
  return found;
}

function start(account: Account, join: Join): void {
  const invitation = invited();
  const session = new Session(account, sessionStorage, invitation !== undefined);
  const device = new Device(join, (reason) => session.end(reason));
  const name = computed(() => session.login.value?.name);
  const follow = (loggedIn: boolean): void => {
    device.connection.stop();
    device.clear();
    if (loggedIn) device.connection.start(() => session.identity());
  };
  // Only another person is a reason to connect anew: a renewed token is used the next time.
  effect(() => {
    const loggedIn = name.value !== undefined;
    untracked(() => follow(loggedIn));
  });
  addEventListener("online", () => device.connection.hurry());
  // An invitation pasted into the address bar of the open page.
  addEventListener("hashchange", () => location.reload());
  const root = document.getElementById("app");
  if (root !== null) render(<App device={device} session={session} invited={invitation} />, root);
}

async function main(): Promise<void> {
  if (import.meta.env.DEV && new URLSearchParams(location.search).has("demo")) {
    const demo = await import("./demo/demo");
    start(demo.account, demo.join);
    return;
  }
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  start(new HttpAccount("/api/v1"), wampJoin(`${scheme}//${location.host}/ws`));
}

void main();
