/** Who is logged in in this tab: from the link or the form, through renewals, to the end. */

import { signal } from "@preact/signals";

import { type Account, AccountError, type Grant } from "./account";
import { FabricError, type Identity } from "./fabric";
import type { Role } from "./values";

export interface Login {
  readonly token: string;
  readonly name: string;
  readonly role: Role;
  /** Milliseconds of this browser's clock. */
  readonly until: number;
}

/** What the address bar brought, after its `#`. */
export type Invitation = { readonly kind: "setup" | "code"; readonly code: string };

const KEY = "paradrop.login";
const RENEW_RETRY_MS = 15_000;

/** Milliseconds until a token that is good for *left* milliseconds is renewed: with a fifth of its life to spare, to allow
 * for retries. The upper bound is that of `setTimeout`. */
export function renewIn(left: number): number {
  return Math.min(2 ** 31 - 1, Math.max(0, left * 0.8));
}

/** The invitation in a URL's *fragment* (with or without `#`), or nothing. */
export function invitation(fragment: string): Invitation | undefined {
  const parameters = new URLSearchParams(fragment.replace(/^#/, ""));
  for (const kind of ["setup", "code"] as const) {
    const code = parameters.get(kind);
    if (code) return { kind, code };
  }
  return undefined;
}

export class Session {
  readonly login = signal<Login | null>(null);
  /** Why the login form is shown again. */
  readonly notice = signal("");
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** With *fresh*, a login that this tab still has is left aside: somebody came with an invitation. */
  constructor(
    readonly account: Account,
    private readonly storage: Storage,
    fresh = false,
  ) {
    this.login.value = fresh ? null : this.stored();
    if (this.login.value !== null) this.schedule(renewIn(this.login.value.until - Date.now()));
  }

  accept(grant: Grant): void {
    const { token, name, role, lifetime } = grant;
    const login = { token, name, role, until: Date.now() + lifetime * 1000 };
    this.storage.setItem(KEY, JSON.stringify(login));
    this.notice.value = "";
    this.login.value = login;
    this.schedule(renewIn(lifetime * 1000));
  }

  /** Who to be on the fabric, with the newest token. */
  identity(): Identity {
    const login = this.login.value;
    if (login === null) throw new FabricError("denied", "");
    return { name: login.name, token: login.token };
  }

  /** Forgets the login; *reason* is shown beside the form. */
  end(reason: string): void {
    clearTimeout(this.timer);
    this.storage.removeItem(KEY);
    this.notice.value = reason;
    this.login.value = null;
  }

  /** Ends the login here and on the device. */
  async logout(): Promise<void> {
    const token = this.login.value?.token;
    this.end("");
    // Without an answer the token ends by its own time.
    if (token !== undefined) await this.account.logout(token).catch(() => undefined);
  }

  private schedule(wait: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.renew(), wait);
  }

  private async renew(): Promise<void> {
    const login = this.login.value;
    if (login === null) return;
    try {
      const grant = await this.account.renew(login.token);
      if (this.login.value === login) this.accept(grant);
    } catch (error) {
      if (this.login.value !== login) return;
      if (error instanceof AccountError && (error.status === 401 || error.status === 403)) this.end(error.message);
      else if (Date.now() > login.until) this.end("Your login has ended.");
      else this.schedule(RENEW_RETRY_MS);
    }
  }

  private stored(): Login | null {
    try {
      const login = JSON.parse(this.storage.getItem(KEY) ?? "null") as Login | null;
      return login !== null && login.until > Date.now() ? login : null;
    } catch {
      return null;
    }
  }
}
