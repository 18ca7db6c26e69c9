/** The device's facts, as one compact strip. Every cell is there from the start, so that nothing moves when they arrive. */

import type { ComponentChildren, JSX } from "preact";

import type { Device } from "../device";
import { bytes, duration, moment, used } from "../format";
import type { EngineInfo, NodeInfo } from "../values";
import { Bar } from "./Parts";
import { Server } from "./Server";

/** From this share on, memory and disk are shown as running out. */
const TIGHT = 0.9;

export function Facts({ device, mayAdminister }: { readonly device: Device; readonly mayAdminister: boolean }): JSX.Element {
  const node = device.node.value;
  return (
    <section class="facts" aria-label="Device facts" data-testid="facts">
      <Engine engine={node?.engine} />
      <Server device={device} mayJoin={mayAdminister} />
      <Fact title="Uptime" testid="fact-uptime">
        {node && <Uptime device={device} started={node.started} />}
      </Fact>
      <Fact title="Load" testid="fact-load" note={node ? processors(node) : ""}>
        {node?.load.toFixed(2)}
      </Fact>
      <Share title="Memory" testid="fact-memory" total={node?.memory_total} free={node?.memory_available} />
      <Share title="Disk" testid="fact-disk" total={node?.disk_total} free={node?.disk_free} />
      <Fact title="Agent memory" testid="fact-agent">
        {node && bytes(node.agent_memory)}
      </Fact>
      <Fact title="Paradrop" testid="fact-version" note={node ? node.mode : ""}>
        {node?.version}
      </Fact>
      <Fact title="System" testid="fact-system" note={node?.machine ?? ""}>
        {node?.system}
      </Fact>
    </section>
  );
}

interface FactProps {
  readonly title: string;
  readonly testid: string;
  readonly note?: string;
  readonly wide?: boolean;
  readonly children: ComponentChildren;
}

function Fact({ title, testid, note = "", wide = false, children }: FactProps): JSX.Element {
  return (
    <div class={wide ? "fact fact-wide" : "fact"} data-testid={testid}>
      <div class="fact-title">{title}</div>
      <div class="fact-value">{children ?? <span class="muted">–</span>}</div>
      <div class="fact-note">{note}</div>
    </div>
  );
}

function Engine({ engine }: { readonly engine: EngineInfo | undefined }): JSX.Element {
  if (engine === undefined) {
    return (
      <Fact title="Engine" testid="fact-engine" wide>
        {null}
      </Fact>
    );
  }
  return (
    <div class="fact fact-wide" data-testid="fact-engine">
      <div class="fact-title">Engine</div>
      <div class="fact-value">
        {engine.name} <span class="muted">{engine.version}</span>
        {!engine.available && <span class="text-bad"> not available</span>}
      </div>
      <div class="fact-note">
        {!engine.available && engine.detail !== "" && <div class="text-bad">{engine.detail}</div>}
        {engine.isolates.length > 0 && <div>isolates {engine.isolates.join(", ")}</div>}
        {engine.shares.length > 0 && <div class="text-warn">shares {engine.shares.join(", ")}</div>}
      </div>
    </div>
  );
}

function Uptime({ device, started }: { readonly device: Device; readonly started: number }): JSX.Element {
  return <span title={`since ${moment(started)}`}>{duration(device.now.value - started)}</span>;
}

interface ShareProps {
  readonly title: string;
  readonly testid: string;
  readonly total: number | undefined;
  readonly free: number | undefined;
}

function Share({ title, testid, total = 0, free = 0 }: ShareProps): JSX.Element {
  const share = used(total, free);
  const text = total === 0 ? "" : `${bytes(free)} of ${bytes(total)} free`;
  return (
    <div class="fact" data-testid={testid} title={text}>
      <div class="fact-title">{title}</div>
      <div class="fact-value">{total === 0 ? <span class="muted">–</span> : `${Math.round(share * 100)} %`}</div>
      <Bar role="meter" label={`${title} used`} value={share} text={text} tone={share >= TIGHT ? "bad" : "plain"} />
      <div class="fact-note">{total > 0 && `${bytes(free)} free`}</div>
    </div>
  );
}

function processors({ processors: count }: NodeInfo): string {
  return count === 1 ? "1 processor" : `${count} processors`;
}
