/** One chute: what it is, how it is, and what can be done with it. */

import type { JSX } from "preact";

import type { Device } from "../device";
import { duration, moment } from "../format";
import { progress } from "../state/changes";
import { changing } from "../state/chutes";
import { chuteLog, type Action } from "../uris";
import type { ChangeRecord, ChuteStatus, ServiceStatus } from "../values";
import { CHUTE_LOOKS, KIND_TITLES } from "../words";
import { Icon } from "./Icon";
import { Badge, Bar, Tool } from "./Parts";

interface Props {
  readonly device: Device;
  readonly chute: ChuteStatus;
  readonly mayOperate: boolean;
}

export function ChuteCard({ device, chute, mayOperate }: Props): JSX.Element {
  const change = changing(chute.name, device.changes.value);
  const shown = device.tail.log.value.source === chuteLog(chute.name);
  return (
    <li class={shown ? "card card-shown" : "card"} data-testid={`chute-${chute.name}`}>
      <div class="card-head">
        <h3 class="card-name">{chute.name}</h3>
        <span class="muted" data-testid="version">
          {chute.version}
        </span>
        <Badge look={CHUTE_LOOKS[chute.state]} word={chute.state} />
        {change === undefined ? <Since device={device} chute={chute} /> : <span class="since">{progress(change).current?.title ?? change.state}</span>}
      </div>
      {chute.description !== "" && <p class="card-text">{chute.description}</p>}
      {chute.detail !== "" && (
        <p class={chute.state === "failed" ? "note note-bad" : "note"} data-testid="detail">
          {chute.detail}
        </p>
      )}
      {chute.services.length > 0 && (
        <ul class="services" aria-label={`Services of ${chute.name}`}>
          {chute.services.map((service) => (
            <Service key={service.name} service={service} />
          ))}
        </ul>
      )}
      <div class="card-foot">
        {mayOperate && <Actions device={device} chute={chute} busy={change !== undefined} />}
        <span class="gap" />
        {chute.web !== null && (
          <a class="tool" href={chute.web} target="_blank" rel="noopener" aria-label={`Open the page of ${chute.name}`} data-testid="web">
            <Icon name="link" />
            <span>Open</span>
          </a>
        )}
        <LogButton device={device} chute={chute.name} shown={shown} />
      </div>
      {change !== undefined && <Underway change={change} />}
    </li>
  );
}

/** How long it runs, for one that does. */
function Since({ device, chute: { since, state } }: { readonly device: Device; readonly chute: ChuteStatus }): JSX.Element | null {
  if (since === null || state === "stopped") return null;
  return (
    <span class="since" data-testid="since" title={`since ${moment(since)}`}>
      up {duration(device.now.value - since)}
    </span>
  );
}

function Service({ service }: { readonly service: ServiceStatus }): JSX.Element {
  const look = CHUTE_LOOKS[service.state];
  const facts = [
    service.restarts > 0 ? `${service.restarts} ${service.restarts === 1 ? "restart" : "restarts"}` : "",
    service.exit_code === null || service.state === "running" ? "" : `exit code ${service.exit_code}`,
    service.detail,
  ].filter((fact) => fact !== "");
  return (
    <li class="service" data-testid={`service-${service.name}`}>
      <span class={`service-state text-${look.tone}`}>
        <Icon name={look.icon} />
      </span>
      <span>{service.name}</span>
      <span class="muted">{[service.state, ...facts].join(" · ")}</span>
    </li>
  );
}

function Actions({ device, chute, busy }: { readonly device: Device; readonly chute: ChuteStatus; readonly busy: boolean }): JSX.Element {
  const connected = device.connection.state.value.word === "connected";
  const disabled = busy || !connected || device.asked.value.has(chute.name);
  const act = (action: Action) => () => void device.act(action, chute.name);
  return (
    <>
      {chute.want === "stopped" ? (
        <Tool icon="play" label="Start" name={`Start ${chute.name}`} testid="start" disabled={disabled} onClick={act("start")} />
      ) : (
        <Tool icon="stop" label="Stop" name={`Stop ${chute.name}`} testid="stop" disabled={disabled} onClick={act("stop")} />
      )}
      <Tool
        icon="restart"
        label="Restart"
        name={`Restart ${chute.name}`}
        testid="restart"
        disabled={disabled || chute.want === "stopped"}
        onClick={act("restart")}
      />
    </>
  );
}

function LogButton({ device, chute, shown }: { readonly device: Device; readonly chute: string; readonly shown: boolean }): JSX.Element {
  const show = (): void => {
    device.tail.open(chuteLog(chute));
    document.getElementById("log")?.scrollIntoView({ block: "nearest" });
  };
  return (
    <button type="button" class="tool" aria-pressed={shown} aria-label={`Log of ${chute}`} data-testid="show-log" onClick={show}>
      <Icon name="lines" />
      <span>Log</span>
    </button>
  );
}

/** A change under way, as the lower edge of the card: nothing has to move for it. */
function Underway({ change }: { readonly change: ChangeRecord }): JSX.Element {
  const { done, total, current } = progress(change);
  const label = `${KIND_TITLES[change.kind]} ${change.chute}`;
  return (
    <div class="card-progress">
      <Bar role="progressbar" label={label} value={total === 0 ? 0 : done / total} text={current?.title ?? change.state} tone="busy" />
    </div>
  );
}
