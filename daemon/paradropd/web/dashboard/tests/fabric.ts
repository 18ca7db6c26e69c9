/** A device in memory behind the fabric's interface: what the page says to it is recorded, what it answers is data. */

import { FabricError, type Handler, type Link } from "../src/fabric";
import type { ChangeRecord, ChuteStatus, LogLine } from "../src/values";
import { node } from "./values";

export class FakeDevice {
  chutes: ChuteStatus[] = [];
  changes: ChangeRecord[] = [];
  log: LogLine[] = [];
  pageSize = 10;
  /** Answers for procedures that are not lists. */
  answers = new Map<string, () => unknown>();
  calls: [string, readonly unknown[]][] = [];
  links: FakeLink[] = [];

  link(): FakeLink {
    const link = new FakeLink(this);
    this.links.push(link);
    return link;
  }

  publish(topic: string, ...args: unknown[]): void {
    for (const link of this.links) link.deliver(topic, args);
  }

  answer(name: string, args: readonly unknown[], keywords: Readonly<Record<string, unknown>>): unknown {
    this.calls.push([name, args]);
    if (name === "node.info") return node();
    if (name === "chutes.list") return this.chutes;
    if (name === "changes.list") return this.changes;
    if (name === "logs.read") return this.page(args[0] as string, keywords["after"] as number);
    return this.answers.get(name)?.();
  }

  private page(source: string, after: number): unknown {
    if (this.log.length === 0) throw new FabricError("refused", "there is no such log", "org.paradrop.error.log_not_found");
    const rest = this.log.filter((line) => line.seq > after);
    const lines = after < 0 ? rest.slice(-this.pageSize) : rest.slice(0, this.pageSize);
    const cursor = lines.at(-1)?.seq ?? Math.max(0, after);
    return { source, lines, cursor, more: cursor < (rest.at(-1)?.seq ?? 0), missed: 0 };
  }
}

export class FakeLink implements Link {
  readonly ended: Promise<void>;
  open = true;
  private readonly handlers = new Map<string, Handler>();
  private end: () => void = () => undefined;

  constructor(private readonly device: FakeDevice) {
    this.ended = new Promise((resolve) => (this.end = resolve));
  }

  call(name: string, args: readonly unknown[] = [], keywords: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (!this.open) return Promise.reject(new FabricError("lost", "gone"));
    return Promise.resolve().then(() => this.device.answer(name, args, keywords));
  }

  subscribe(topic: string, handler: Handler): Promise<void> {
    this.handlers.set(topic, handler);
    return Promise.resolve();
  }

  deliver(topic: string, args: unknown[]): void {
    if (this.open) this.handlers.get(topic)?.(...args);
  }

  close(): void {
    this.open = false;
    this.end();
  }
}
