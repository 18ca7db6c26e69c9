/** The fabric as the dashboard needs it, and its implementation over WAMP. Only this module imports `wampy`. */

import { Errors, Wampy } from "wampy";

import { local, REALM } from "./uris";

export interface Identity {
  readonly name: string;
  readonly token: string;
}

export type Handler = (...args: readonly unknown[]) => void;

/** One session on the device's realm. It ends once and does not come back: see `connection.ts` for that. */
export interface Link {
  /** Calls a procedure of the device. Rejects with a {@link FabricError} on an error, without an answer in time, and when the link ends. */
  call(name: string, args?: readonly unknown[], keywords?: Readonly<Record<string, unknown>>): Promise<unknown>;
  subscribe(topic: string, handler: Handler): Promise<void>;
  close(): void;
  /** Resolves when the session is over, for whatever reason. */
  readonly ended: Promise<void>;
}

/** Joins the realm as *identity*. Rejects with a {@link FabricError}; its `kind` is `denied` when the ticket was refused. */
export type Join = (identity: Identity) => Promise<Link>;

export class FabricError extends Error {
  constructor(
    /** `lost`: no link or no answer, trying again helps; `denied`: log in again; `refused`: the device said no, and why. */
    readonly kind: "lost" | "denied" | "refused",
    message: string,
    readonly uri = "",
  ) {
    super(message);
  }
}

/** No answer after this long means that the link is dead: a browser cannot see a half-open one by itself. */
const DEADLINE_MS = 30_000;
const JOIN_DEADLINE_MS = 10_000;
const REFUSED_TICKET = /auth|denied|credential|ticket|principal|not_permitted/i;

/** A {@link Join} over WebSocket to *url*, by ticket (WAMP, section "Ticket-based Authentication"). */
export function wampJoin(url: string): Join {
  return async ({ name, token }) => {
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const peer = new Wampy(url, {
      realm: REALM,
      authid: name,
      authmethods: ["ticket"],
      onChallenge: () => token,
      autoReconnect: false,
      // Names of chutes have dashes, which the strict URIs of WAMP have not.
      uriValidation: "loose",
      onClose: () => end(),
    });
    try {
      // wampy 8.0 leaves connect() pending when the socket closes before WELCOME without an error.
      await deadline(Promise.race([peer.connect(), ended.then(() => Promise.reject(lost()))]), JOIN_DEADLINE_MS);
    } catch (error) {
      discard(peer);
      throw translated(error);
    }
    return new WampLink(peer, ended);
  };
}

class WampLink implements Link {
  constructor(
    private readonly peer: Wampy,
    readonly ended: Promise<void>,
  ) {}

  async call(name: string, args: readonly unknown[] = [], keywords: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    try {
      const payload = { argsList: [...args], argsDict: { ...keywords } };
      const result = await deadline(this.peer.call(local(name), payload), DEADLINE_MS);
      return result.argsList?.[0];
    } catch (error) {
      throw translated(error);
    }
  }

  async subscribe(topic: string, handler: Handler): Promise<void> {
    try {
      await deadline(
        this.peer.subscribe(local(topic), ({ argsList }) => handler(...(argsList ?? []))),
        DEADLINE_MS,
      );
    } catch (error) {
      throw translated(error);
    }
  }

  close(): void {
    discard(this.peer);
  }
}

function discard(peer: Wampy): void {
  peer.disconnect().catch(() => undefined);
}

function lost(): FabricError {
  return new FabricError("lost", "The device does not answer.");
}

async function deadline<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(lost()), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** wampy's errors in our words. The device's own sentence is the first argument of a WAMP ERROR (`paradrop/base/exceptions.py`). */
function translated(error: unknown): FabricError {
  if (error instanceof FabricError) return error;
  if (error instanceof Errors.AbortError) {
    const said = (error.details as { message?: unknown } | undefined)?.message;
    const text = typeof said === "string" && said !== "" ? said : "Your login is no longer valid.";
    return REFUSED_TICKET.test(error.errorUri) ? new FabricError("denied", text, error.errorUri) : lost();
  }
  if (error instanceof Errors.WampError) {
    const [said] = error.argsList ?? [];
    const text = typeof said === "string" && said !== "" ? said : `The device refused: ${error.errorUri}`;
    return new FabricError("refused", text, error.errorUri);
  }
  return lost();
}
