/** Keeps a link to the device up for as long as somebody is logged in. */

import { signal } from "@preact/signals";

import { FabricError, type Identity, type Join, type Link } from "./fabric";

export type ConnectionState =
  | { readonly word: "idle" }
  | { readonly word: "connecting" }
  | { readonly word: "connected" }
  /** `attempt` counts from 1; `retryAt` is in milliseconds of `Date.now()`. */
  | { readonly word: "lost"; readonly attempt: number; readonly retryAt: number };

const FIRST_DELAY = 1000;
const LONGEST_DELAY = 10_000;

/** Milliseconds to wait before reconnect *attempt* (from 1): 1 s doubling to 10 s, less up to a fifth so that many pages do not
 * come back at once. *random* is between 0 and 1. */
export function delay(attempt: number, random: number): number {
  const full = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (attempt - 1));
  return Math.round(full * (1 - random / 5));
}

export interface Observer {
  /** A link is there: subscribe, list everything again and read on. A rejection counts as a lost link. */
  linked(link: Link): Promise<void>;
  /** The login is not valid any more. */
  denied(message: string): void;
}

export class Connection {
  readonly state = signal<ConnectionState>({ word: "idle" });
  private link: Link | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private again: (() => void) | undefined;
  /** Grows with every start and stop; whatever awaited across one finds itself outdated. */
  private era = 0;

  constructor(
    private readonly join: Join,
    private readonly observer: Observer,
    private readonly random: () => number = Math.random,
  ) {}

  /** The link there is now. */
  get current(): Link | undefined {
    return this.link;
  }

  /** Connects, and reconnects until {@link stop}. *identity* is asked before each attempt, because a token is renewed meanwhile. */
  start(identity: () => Identity): void {
    this.stop();
    this.state.value = { word: "connecting" };
    void this.attempt(identity, this.era, 0);
  }

  stop(): void {
    this.era += 1;
    clearTimeout(this.timer);
    this.again = undefined;
    this.link?.close();
    this.link = undefined;
    this.state.value = { word: "idle" };
  }

  private async attempt(identity: () => Identity, era: number, failures: number): Promise<void> {
    let link: Link | undefined;
    try {
      link = await this.join(identity());
      if (era !== this.era) {
        link.close();
        return;
      }
      this.link = link;
      await this.observer.linked(link);
      if (era !== this.era) return;
      this.state.value = { word: "connected" };
      await link.ended;
      failures = 0;
    } catch (error) {
      if (era !== this.era) return;
      link?.close();
      if (error instanceof FabricError && error.kind === "denied") {
        this.stop();
        this.observer.denied(error.message);
        return;
      }
    }
    if (era === this.era) this.retry(identity, era, failures + 1);
  }

  private retry(identity: () => Identity, era: number, failures: number): void {
    this.link = undefined;
    const wait = delay(failures, this.random());
    const again = (): void => {
      clearTimeout(this.timer);
      this.again = undefined;
      void this.attempt(identity, era, failures);
    };
    this.again = again;
    this.state.value = { word: "lost", attempt: failures, retryAt: Date.now() + wait };
    this.timer = setTimeout(again, wait);
  }

  /** Tries again now instead of after the delay. */
  hurry(): void {
    this.again?.();
  }
}
