/** The log of one chute, or of the daemon, live. */

import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { Device } from "../device";
import { services } from "../state/logs";
import { chuteLog, DAEMON_LOG } from "../uris";
import { Icon } from "./Icon";
import { LogLines } from "./LogLines";

const EVERY_SERVICE = "";

export function Log({ device }: { readonly device: Device }): JSX.Element {
  const service = useSignal(EVERY_SERVICE);
  const following = useSignal(true);
  const names = useComputed(() => services(device.tail.log.value));
  const { source } = device.tail.log.value;
  const chosen = names.value.includes(service.value) ? service.value : EVERY_SERVICE;

  const open = (next: string): void => {
    service.value = EVERY_SERVICE;
    following.value = true;
    device.tail.open(next);
  };
  return (
    <section class="panel log" id="log" aria-labelledby="log-title" data-testid="log">
      <div class="panel-head">
        <h2 id="log-title">Log</h2>
        <SourceChoice device={device} source={source} onChoose={open} />
        {names.value.length > 1 && (
          <select
            class="choice"
            aria-label="Service"
            data-testid="log-service"
            value={chosen}
            onChange={(event) => (service.value = event.currentTarget.value)}
          >
            <option value={EVERY_SERVICE}>all services</option>
            {names.value.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        )}
        <span class="gap" />
        <button
          type="button"
          class="tool"
          aria-pressed={following.value}
          aria-label="Follow the log"
          data-testid="follow"
          onClick={() => (following.value = !following.value)}
        >
          <Icon name="down" />
          <span class="wide">{following.value ? "Following" : "Follow"}</span>
        </button>
      </div>
      <LogLines device={device} service={chosen} named={chosen === EVERY_SERVICE && names.value.length > 1} following={following} />
    </section>
  );
}

interface ChoiceProps {
  readonly device: Device;
  readonly source: string;
  readonly onChoose: (source: string) => void;
}

function SourceChoice({ device, source, onChoose }: ChoiceProps): JSX.Element {
  const sources = [...device.chutes.value.map((chute) => [chuteLog(chute.name), chute.name] as const), [DAEMON_LOG, "paradropd"] as const];
  const known = source === "" || sources.some(([value]) => value === source);
  return (
    <select
      class="choice"
      aria-label="Log of"
      data-testid="log-source"
      value={source}
      onChange={(event) => onChoose(event.currentTarget.value)}
    >
      {!known && <option value={source}>{source.replace(/^chute\./, "")} (removed)</option>}
      {sources.map(([value, label]) => (
        <option key={value} value={value}>
          {label}
        </option>
      ))}
    </select>
  );
}
