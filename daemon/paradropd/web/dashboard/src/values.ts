/** What the device shows: the same values, with the same words, as `paradrop/values.py`. Times are seconds since the epoch, sizes bytes. */

export type ChuteState = "starting" | "running" | "unhealthy" | "restarting" | "stopped" | "failed";
export type ChangeKind = "deploy" | "start" | "stop" | "restart" | "remove";
export type ChangeState = "accepted" | "planned" | "running" | "done" | "failed" | "rolled back";
export type StepState = "waiting" | "running" | "done" | "failed";
export type Role = "owner" | "operator" | "viewer";

export interface ServiceStatus {
  readonly name: string;
  readonly state: ChuteState;
  readonly image: string;
  readonly restarts: number;
  readonly exit_code: number | null;
  readonly started: number | null;
  readonly detail: string;
}

export interface ChuteStatus {
  readonly name: string;
  readonly version: string;
  /** Counts the deploys of this chute on this device, from 1. */
  readonly release: number;
  readonly state: ChuteState;
  readonly want: "running" | "stopped";
  readonly description: string;
  readonly since: number | null;
  /** Path of the chute's page on the device's site. */
  readonly web: string | null;
  readonly services: readonly ServiceStatus[];
  readonly detail: string;
}

export interface StepRecord {
  readonly title: string;
  readonly state: StepState;
  readonly started: number | null;
  readonly finished: number | null;
}

export interface ChangeRecord {
  readonly id: string;
  readonly kind: ChangeKind;
  readonly chute: string;
  readonly state: ChangeState;
  readonly created: number;
  readonly version: string;
  readonly actor: string;
  readonly steps: readonly StepRecord[];
  readonly reason: string;
  readonly retry: boolean;
  readonly finished: number | null;
  /** Of two records of one change, the higher revision is the newer. */
  readonly revision: number;
}

export interface EngineInfo {
  readonly name: string;
  readonly version: string;
  readonly available: boolean;
  readonly isolates: readonly string[];
  readonly shares: readonly string[];
  readonly detail: string;
}

export type UplinkState = "not provisioned" | "connecting" | "online" | "refused";

/** How the device stands to a server. */
export interface Uplink {
  readonly state: UplinkState;
  readonly pdid: string | null;
  /** URL. */
  readonly server: string;
  readonly since: number | null;
  /** Why there is no link, in words. */
  readonly problem: string;
}

export interface NodeInfo {
  readonly name: string;
  readonly pdid: string | null;
  readonly version: string;
  readonly mode: string;
  readonly started: number;
  readonly now: number;
  readonly engine: EngineInfo;
  readonly site: string;
  readonly chutes: number;
  readonly running: number;
  readonly system: string;
  readonly machine: string;
  readonly processors: number;
  readonly load: number;
  readonly memory_total: number;
  readonly memory_available: number;
  readonly disk_total: number;
  readonly disk_free: number;
  readonly agent_memory: number;
  readonly uplink: Uplink;
}

export interface LogLine {
  readonly seq: number;
  readonly time: number;
  readonly text: string;
  /** `out`, `err`, or a level name of the daemon's own log. */
  readonly stream: string;
  readonly service: string;
}

export interface LogPage {
  readonly source: string;
  readonly lines: readonly LogLine[];
  /** Sequence number to pass as `after` for the next page. */
  readonly cursor: number;
  readonly more: boolean;
  /** How many lines after the asked cursor are gone, because the disk cap removed them. */
  readonly missed: number;
}
