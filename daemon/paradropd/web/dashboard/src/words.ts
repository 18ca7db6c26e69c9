/** How each state looks: its icon and its tone always stand beside the word itself, so that nothing is said by colour alone. */

import type { IconName } from "./views/Icon";
import type { ChangeKind, ChangeState, ChuteState, StepState, UplinkState } from "./values";

export type Tone = "good" | "busy" | "warn" | "bad" | "quiet";

export interface Look {
  readonly tone: Tone;
  readonly icon: IconName;
}

export const CHUTE_LOOKS: Record<ChuteState, Look> = {
  starting: { tone: "busy", icon: "spinner" },
  running: { tone: "good", icon: "check" },
  unhealthy: { tone: "warn", icon: "alert" },
  restarting: { tone: "warn", icon: "spinner" },
  stopped: { tone: "quiet", icon: "stop" },
  failed: { tone: "bad", icon: "cross" },
};

export const CHANGE_LOOKS: Record<ChangeState, Look> = {
  accepted: { tone: "quiet", icon: "clock" },
  planned: { tone: "quiet", icon: "clock" },
  running: { tone: "busy", icon: "spinner" },
  done: { tone: "good", icon: "check" },
  failed: { tone: "bad", icon: "cross" },
  "rolled back": { tone: "warn", icon: "undo" },
};

export const STEP_LOOKS: Record<StepState, Look> = {
  waiting: { tone: "quiet", icon: "clock" },
  running: { tone: "busy", icon: "spinner" },
  done: { tone: "good", icon: "check" },
  failed: { tone: "bad", icon: "cross" },
};

export const UPLINK_LOOKS: Record<UplinkState, Look> = {
  "not provisioned": { tone: "quiet", icon: "stop" },
  connecting: { tone: "warn", icon: "spinner" },
  online: { tone: "good", icon: "check" },
  refused: { tone: "bad", icon: "cross" },
};

export const KIND_TITLES: Record<ChangeKind, string> = {
  deploy: "Deploy",
  start: "Start",
  stop: "Stop",
  restart: "Restart",
  remove: "Remove",
};
