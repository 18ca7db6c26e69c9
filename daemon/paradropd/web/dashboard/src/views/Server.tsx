/** The device's server: how the link to it is, and a form to join one. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { Device } from "../device";
import { UPLINK_LOOKS } from "../words";
import { Field } from "./LoginForms";
import { Note, said } from "./Note";
import { Badge } from "./Parts";

interface Props {
  readonly device: Device;
  readonly mayJoin: boolean;
}

export function Server({ device, mayJoin }: Props): JSX.Element {
  const uplink = device.node.value?.uplink;
  const alone = uplink?.state === "not provisioned";
  return (
    <div class="fact fact-wide" data-testid="fact-server">
      <div class="fact-title">Server</div>
      <div class="fact-value">
        {uplink === undefined ? <span class="muted">–</span> : <Badge look={UPLINK_LOOKS[uplink.state]} word={uplink.state} />}
      </div>
      <div class="fact-note">
        {uplink !== undefined && !alone && <div>{uplink.pdid} of {uplink.server}</div>}
        {uplink !== undefined && uplink.problem !== "" && <div class="text-bad">{uplink.problem}</div>}
        {alone && mayJoin && <JoinForm device={device} />}
      </div>
    </div>
  );
}

function JoinForm({ device }: { readonly device: Device }): JSX.Element {
  const url = useSignal("");
  const token = useSignal("");
  const busy = useSignal(false);
  const problem = useSignal("");
  const join = async (): Promise<void> => {
    busy.value = true;
    problem.value = "";
    try {
      await device.joinServer(url.value.trim(), token.value.trim());
    } catch (error) {
      problem.value = said(error);
    } finally {
      busy.value = false;
    }
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    void join();
  };
  return (
    <details class="join">
      <summary data-testid="join">Join a server</summary>
      <form onSubmit={submit} data-testid="join-form">
        <Field label="URL" type="text" autocomplete="off" value={url} testid="join-url" />
        <Field label="Claim token" type="password" autocomplete="off" value={token} testid="join-token" />
        {problem.value !== "" && <Note testid="join-error">{problem.value}</Note>}
        <button type="submit" class="tool" disabled={busy.value || url.value.trim() === "" || token.value.trim() === ""} data-testid="join-submit">
          Join
        </button>
      </form>
    </details>
  );
}
