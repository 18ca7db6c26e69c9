/** The device as the page knows it: what it listed, kept up to date by its events. */

import { computed, signal } from "@preact/signals";

import { Connection, type Observer } from "./connection";
import { FabricError, type Join, type Link } from "./fabric";
import * as changes from "./state/changes";
import * as chutes from "./state/chutes";
import { dismissed, raised, type Toast, type Toasts } from "./state/toasts";
import { Tail } from "./tail";
import * as uris from "./uris";
import type { ChangeRecord, ChuteStatus, LogPage, NodeInfo, Uplink } from "./values";

/** How often the facts are asked for again. It is also how a half-open link is found out. */
const REFRESH_MS = 5000;

export class Device implements Observer {
  readonly node = signal<NodeInfo | null>(null);
  readonly chutes = signal<chutes.Chutes>([]);
  readonly changes = signal<changes.Changes>([]);
  readonly toasts = signal<Toasts>([]);
  /** Chutes for which an action was asked and not answered yet. */
  readonly asked = signal<ReadonlySet<string>>(new Set());
  /** Milliseconds of the browser's clock, each second. */
  readonly wall = signal(Date.now());
  private readonly skew = signal(0);
  /** Seconds since the epoch by the device's clock, which may not be the browser's. */
  readonly now = computed(() => this.wall.value / 1000 + this.skew.value);
  readonly connection: Connection;
  readonly tail: Tail;
  private toastIds = 0;

  constructor(
    join: Join,
    private readonly loggedOut: (reason: string) => void,
  ) {
    this.connection = new Connection(join, this);
    this.tail = new Tail(
      (source, after, limit) => this.readLog(source, after, limit),
      (error) => this.complain("Log", error),
    );
    setInterval(() => (this.wall.value = Date.now()), 1000);
    setInterval(() => void this.refresh(), REFRESH_MS);
  }

  async linked(link: Link): Promise<void> {
    try {
      await this.follow(link);
    } catch (error) {
      this.complain("Could not read from the device", error);
      throw error;
    }
  }

  denied(message: string): void {
    this.loggedOut(message);
  }

  /** Forgets everything: the next person may see other things. */
  clear(): void {
    this.node.value = null;
    this.chutes.value = [];
    this.changes.value = [];
    this.toasts.value = [];
    this.tail.open("");
  }

  /** Subscribes first and lists then: what happens in between arrives as an event, and merging puts it right. */
  private async follow(link: Link): Promise<void> {
    await Promise.all([
      link.subscribe(uris.ON_CHUTE, (chute) => {
        this.chutes.value = chutes.updated(this.chutes.value, chute as ChuteStatus);
      }),
      link.subscribe(uris.ON_CHUTE_REMOVED, (name) => this.list(chutes.removed(this.chutes.value, name as string))),
      link.subscribe(uris.ON_CHANGE, (change) => this.changed(change as ChangeRecord)),
      link.subscribe(uris.ON_UPLINK, (uplink) => this.linkedUp(uplink as Uplink)),
      link.subscribe(uris.ON_LOG, (source, seq) => this.tail.grew(source as string, seq as number)),
    ]);
    const [node, list, records] = await Promise.all([
      link.call(uris.NODE_INFO),
      link.call(uris.CHUTES_LIST),
      link.call(uris.CHANGES_LIST, [changes.KEPT]),
    ]);
    this.informed(node as NodeInfo);
    this.list(chutes.listed(list as ChuteStatus[]));
    this.changes.value = changes.merged(this.changes.value, records as ChangeRecord[]);
    this.tail.open(this.tail.log.value.source || this.firstLog());
    this.tail.resume();
  }

  /** Asks for *action* on *chute*; the change that follows is shown as it goes on. */
  async act(action: uris.Action, chute: string): Promise<void> {
    this.asked.value = new Set([...this.asked.value, chute]);
    try {
      const record = await this.link().call(uris.ACTIONS[action], [chute]);
      this.changes.value = changes.merged(this.changes.value, [record as ChangeRecord]);
    } catch (error) {
      this.complain(`Could not ${action} ${chute}`, error, true);
    } finally {
      this.asked.value = new Set([...this.asked.value].filter((name) => name !== chute));
    }
  }

  /** Joins the server at *url* with a claim token. Rejects with the reason, and nothing has changed then. */
  async joinServer(url: string, token: string): Promise<void> {
    this.linkedUp((await this.link().call(uris.NODE_PROVISION, [url, token])) as Uplink);
  }

  raise(tone: Toast["tone"], title: string, text: string): void {
    this.toastIds += 1;
    this.toasts.value = raised(this.toasts.value, { id: this.toastIds, tone, title, text });
  }

  dismiss(id: number): void {
    this.toasts.value = dismissed(this.toasts.value, id);
  }

  /** Shows *next*. The log of a chute that went away went with it: one of the same name begins anew. */
  private list(next: chutes.Chutes): void {
    const gone = chutes.gone(this.chutes.value, next).map(uris.chuteLog);
    this.chutes.value = next;
    if (gone.includes(this.tail.log.value.source)) this.tail.restart();
  }

  private changed(record: ChangeRecord): void {
    if (changes.isNewFailure(this.changes.value, record)) {
      this.raise("bad", `${record.chute}: ${record.kind} ${record.state}`, record.reason);
    }
    this.changes.value = changes.merged(this.changes.value, [record]);
  }

  private async readLog(source: string, after: number | null, limit: number): Promise<LogPage> {
    try {
      // A negative number asks for the last so many lines.
      return (await this.link().call(uris.LOGS_READ, [source], { after: after ?? -limit, limit })) as LogPage;
    } catch (error) {
      // A chute that has not printed anything has no log yet.
      if (error instanceof FabricError && error.uri === uris.NO_LOG) return { source, lines: [], cursor: 0, more: false, missed: 0 };
      throw error;
    }
  }

  private async refresh(): Promise<void> {
    const link = this.connection.current;
    if (link === undefined) return;
    try {
      this.informed((await link.call(uris.NODE_INFO)) as NodeInfo);
      // An event may be lost, a line may not.
      this.tail.resume();
    } catch (error) {
      if (error instanceof FabricError && error.kind === "lost") link.close();
      else this.complain("Device facts", error);
    }
  }

  private linkedUp(uplink: Uplink): void {
    if (this.node.value !== null) this.node.value = { ...this.node.value, pdid: uplink.pdid, uplink };
  }

  private informed(node: NodeInfo): void {
    this.skew.value = node.now - Date.now() / 1000;
    this.node.value = node;
  }

  private link(): Link {
    const link = this.connection.current;
    if (link === undefined) throw new FabricError("lost", "There is no connection to the device.");
    return link;
  }

  private firstLog(): string {
    const [first] = this.chutes.value;
    return first === undefined ? uris.DAEMON_LOG : uris.chuteLog(first.name);
  }

  /** A broken link is shown by the banner, and not by a message for each thing that it broke behind a person's back. */
  private complain(title: string, error: unknown, requested = false): void {
    if (error instanceof FabricError && error.kind === "lost" && !requested) return;
    this.raise("bad", title, error instanceof Error ? error.message : String(error));
  }
}
