/**
 * A device in memory, to look at the page without one: `?demo` on the development server, never in the build.
 * `?demo=login`, `first`, `empty`, `lost` and `viewer` show those states.
 */

import { type Account, AccountError, type Grant } from "../account";
import { FabricError, type Handler, type Join, type Link } from "../fabric";
import { CHANGES_LIST, CHUTES_LIST, LOGS_READ, NODE_INFO, ON_CHANGE, ON_CHUTE, ON_LOG } from "../uris";
import type { ChangeKind, ChangeRecord, ChuteStatus, LogLine, LogPage, StepRecord } from "../values";
import { CHANGES, CHUTES, LINES, node } from "./scene";

const mode = new URLSearchParams(location.search).get("demo") ?? "";
const grant: Grant = { token: "demo", name: mode === "viewer" ? "guest" : "owner", role: mode === "viewer" ? "viewer" : "owner", lifetime: 3600 };

export const account: Account = {
  state: () => Promise.resolve({ name: "workshop-router", version: "1.0.0", first: mode === "first" }),
  first: () => Promise.resolve(grant),
  login: (_, password) =>
    password === "wrong" ? Promise.reject(new AccountError("Wrong name or password.", 401, 3)) : Promise.resolve(grant),
  link: () => Promise.resolve(grant),
  renew: () => Promise.resolve(grant),
  logout: () => Promise.resolve(),
};
if (mode === "login" || mode === "first") sessionStorage.clear();
else sessionStorage.setItem("paradrop.login", JSON.stringify({ ...grant, until: Date.now() + 3_600_000 }));

class DemoDevice implements Link {
  readonly ended = new Promise<void>(() => undefined);
  private readonly handlers = new Map<string, Handler>();
  private chutes: ChuteStatus[] = mode === "empty" ? [] : CHUTES;
  private changes: ChangeRecord[] = mode === "empty" ? [] : CHANGES;
  private readonly logs = new Map<string, LogLine[]>();
  private ids = 0;

  constructor() {
    for (const [source, stream, service, text] of LINES) this.print(source, stream, service, text);
    let tick = 40;
    setInterval(() => {
      tick += 1;
      this.print("chute.hello", "out", "main", `tick ${tick}`);
      if (tick % 7 === 0) this.print("chute.hello", "err", "main", "warning: clock drifted by 12 ms");
    }, 1500);
    if (mode !== "empty") setTimeout(() => void this.change("deploy", "clock"), 600);
  }

  call(name: string, args: readonly unknown[] = [], keywords: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (name === NODE_INFO) return Promise.resolve(node(this.chutes));
    if (name === CHUTES_LIST) return Promise.resolve(this.chutes);
    if (name === CHANGES_LIST) return Promise.resolve(this.changes);
    if (name === LOGS_READ) return Promise.resolve(this.page(args[0] as string, keywords as { after: number; limit: number }));
    const chute = args[0] as string;
    if (chute === "weather") return Promise.reject(new FabricError("refused", "There is no image 'weather-base' on this device."));
    return this.change(name.split(".")[1] as ChangeKind, chute);
  }

  subscribe(topic: string, handler: Handler): Promise<void> {
    this.handlers.set(topic, handler);
    return Promise.resolve();
  }

  close(): void {
    this.handlers.clear();
  }

  private page(source: string, { after, limit }: { after: number; limit: number }): LogPage {
    const all = this.logs.get(source) ?? [];
    const lines = after < 0 ? all.slice(after) : all.filter((line) => line.seq > after).slice(0, limit);
    return { source, lines, cursor: lines.at(-1)?.seq ?? Math.max(0, after), more: false, missed: 0 };
  }

  private print(source: string, stream: string, service: string, text: string): void {
    const lines = this.logs.get(source) ?? [];
    const seq = (lines.at(-1)?.seq ?? 0) + 1;
    this.logs.set(source, [...lines, { seq, time: Date.now() / 1000, text, stream, service }]);
    this.handlers.get(ON_LOG)?.(source, seq);
  }

  /** A change that goes on by itself, a step every second or so. */
  private change(kind: ChangeKind, chute: string): Promise<ChangeRecord> {
    this.ids += 1;
    const titles = kind === "deploy" ? ["Fetch the source", "Build main", "Stop 1.1.0", "Start main", "Wait until healthy"] : ["Stop main", "Start main"];
    const steps: StepRecord[] = titles.map((title) => ({ title, state: "waiting", started: null, finished: null }));
    const created = Date.now() / 1000;
    let record: ChangeRecord = {
      id: `demo-${this.ids}`, kind, chute, state: "accepted", created, version: kind === "deploy" ? "1.2.0" : "",
      actor: "owner", steps, reason: "", retry: false, finished: null, revision: 1,
    };
    const show = (changed: Partial<ChangeRecord>): void => {
      record = { ...record, ...changed, revision: record.revision + 1 };
      this.changes = [record, ...this.changes.filter((other) => other.id !== record.id)];
      this.handlers.get(ON_CHANGE)?.(record);
    };
    const advance = (step: number): void => {
      const now = Date.now() / 1000;
      const next = steps.map((old, index): StepRecord =>
        index < step ? { ...old, state: "done", started: now - 2, finished: now } : index === step ? { ...old, state: "running", started: now } : old,
      );
      const over = step === steps.length;
      show({ steps: next, state: over ? "done" : "running", finished: over ? now : null });
      if (over) this.settle(kind, chute);
      else setTimeout(() => advance(step + 1), 1600);
    };
    setTimeout(() => advance(0), 300);
    return Promise.resolve(record);
  }

  private settle(kind: ChangeKind, name: string): void {
    const old = this.chutes.find((chute) => chute.name === name);
    if (old === undefined) return;
    const stopped = kind === "stop";
    const changed: ChuteStatus = { ...old, state: stopped ? "stopped" : "running", want: stopped ? "stopped" : "running" };
    this.chutes = this.chutes.map((chute) => (chute.name === name ? changed : chute));
    this.handlers.get(ON_CHUTE)?.(changed);
  }
}

let joined: DemoDevice | undefined;
let attempts = 0;

export const join: Join = () => {
  attempts += 1;
  joined ??= new DemoDevice();
  const device = joined;
  if (mode !== "lost") return Promise.resolve(device);
  if (attempts > 1) return Promise.reject(new FabricError("lost", ""));
  const broken: Link = {
    call: (...request) => device.call(...request),
    subscribe: (...request) => device.subscribe(...request),
    close: () => device.close(),
    ended: new Promise((resolve) => setTimeout(resolve, 500)),
  };
  return Promise.resolve(broken);
};
