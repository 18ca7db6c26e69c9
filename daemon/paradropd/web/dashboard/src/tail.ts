/** Follows one log of the device by cursor: no line is lost and none comes twice, whatever happens to the link. */

import { signal } from "@preact/signals";

import { appended, caughtUp, grown, isBehind, opened, type Log } from "./state/logs";
import type { LogPage } from "./values";

/** Reads up to *limit* lines of *source* after the sequence number *after*; with `null`, the newest *limit* lines. */
export type ReadPage = (source: string, after: number | null, limit: number) => Promise<LogPage>;

const PAGE = 500;

export class Tail {
  readonly log = signal<Log>(opened(""));
  /** Whether a page was asked for and did not come yet. */
  readonly reading = signal(false);
  private wanted = false;

  constructor(
    private readonly read: ReadPage,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** Shows another log from now on. */
  open(source: string): void {
    if (this.log.value.source === source) return;
    this.log.value = opened(source);
    this.resume();
  }

  /** Forgets the lines and the cursor: the log itself was begun anew. */
  restart(): void {
    this.log.value = opened(this.log.value.source);
    this.resume();
  }

  /** Reads on from the cursor: after a new link, and whenever lines may be waiting. */
  resume(): void {
    this.wanted = true;
    void this.pump();
  }

  /** The device told that *source* grew up to *seq*. */
  grew(source: string, seq: number): void {
    const log = this.log.value;
    if (log.source !== source) return;
    this.log.value = grown(log, seq);
    if (log.cursor === null) this.wanted = true;
    void this.pump();
  }

  /** One page at a time, until there is no more. What grows meanwhile is read by the same loop. */
  private async pump(): Promise<void> {
    if (this.reading.value || this.log.value.source === "") return;
    this.reading.value = true;
    try {
      while (this.wanted || isBehind(this.log.value)) {
        this.wanted = false;
        const asked = caughtUp(this.log.value);
        this.log.value = asked;
        const page = await this.read(asked.source, asked.cursor, PAGE);
        this.log.value = appended(this.log.value, page);
        if (page.source !== this.log.value.source) continue;
        // A device that promises lines and sends none would otherwise be asked for ever; its next event asks again.
        if (page.lines.length === 0) break;
        this.wanted ||= page.more;
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.reading.value = false;
    }
  }
}
