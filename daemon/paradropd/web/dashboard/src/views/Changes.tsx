/** What was changed on the device, as it happens. */

import type { JSX } from "preact";

import type { Device } from "../device";
import { ago, moment, took } from "../format";
import { progress } from "../state/changes";
import { isFinal } from "../state/chutes";
import type { ChangeRecord, StepRecord } from "../values";
import { CHANGE_LOOKS, KIND_TITLES, STEP_LOOKS } from "../words";
import { Icon } from "./Icon";
import { Badge, Bar, Empty } from "./Parts";

export function Changes({ device }: { readonly device: Device }): JSX.Element {
  const changes = device.changes.value;
  return (
    <section class="panel changes" aria-labelledby="changes-title" data-testid="changes">
      <div class="panel-head">
        <h2 id="changes-title">Changes</h2>
      </div>
      {changes.length > 0 ? (
        <ol class="change-list">
          {changes.map((change) => (
            <Change key={change.id} device={device} change={change} />
          ))}
        </ol>
      ) : (
        device.node.value !== null && (
          <Empty title="No changes yet" testid="no-changes">
            <p>Every deploy, start, stop, restart and removal is listed here, with its steps.</p>
          </Empty>
        )
      )}
    </section>
  );
}

function Change({ device, change }: { readonly device: Device; readonly change: ChangeRecord }): JSX.Element {
  const { done, total, current } = progress(change);
  const final = isFinal(change);
  const title = `${KIND_TITLES[change.kind]} ${change.chute}`;
  return (
    <li class="change" data-testid="change" data-change={change.id} data-kind={change.kind} data-chute={change.chute}>
      <div class="change-head">
        <span class="change-title">
          {title} {change.version !== "" && <span class="muted">{change.version}</span>}
        </span>
        <Badge look={CHANGE_LOOKS[change.state]} word={change.state} />
      </div>
      {!final && (
        <div class="change-progress">
          <Bar role="progressbar" label={title} value={total === 0 ? 0 : done / total} text={current?.title ?? change.state} tone="busy" />
          <span class="change-step" data-testid="step">
            {current?.title ?? "Waiting to begin"}
          </span>
          <span class="muted">{total > 0 && `${done} of ${total}`}</span>
        </div>
      )}
      {change.reason !== "" && (
        <p class={change.state === "failed" ? "note note-bad" : "note"} data-testid="reason">
          {change.reason}
          {change.retry && <span class="note-hint"> Trying again may help.</span>}
        </p>
      )}
      {total > 0 ? (
        <details class="steps" open={!final}>
          <summary>
            <Told device={device} change={change} />
          </summary>
          <ol>
            {change.steps.map((step, index) => (
              <Step key={index} step={step} />
            ))}
          </ol>
        </details>
      ) : (
        <p class="told">
          <Told device={device} change={change} />
        </p>
      )}
    </li>
  );
}

/** When it was, who asked, and how long it took. */
function Told({ device, change }: { readonly device: Device; readonly change: ChangeRecord }): JSX.Element {
  return (
    <span title={moment(change.created)}>
      {ago(change.created, device.now.value)}
      {change.actor !== "" && ` by ${change.actor}`}
      {change.finished !== null && `, took ${took(change.finished - change.created)}`}
    </span>
  );
}

function Step({ step }: { readonly step: StepRecord }): JSX.Element {
  const look = STEP_LOOKS[step.state];
  const time = step.started !== null && step.finished !== null ? took(step.finished - step.started) : "";
  return (
    <li class="step" data-state={step.state}>
      <span class={`text-${look.tone}`}>
        <Icon name={look.icon} />
      </span>
      <span class={step.state === "waiting" ? "muted" : ""}>{step.title}</span>
      <span class="muted step-took">{step.state === "done" ? time : step.state}</span>
    </li>
  );
}
