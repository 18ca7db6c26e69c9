/** Logging in: the device's HTTP interface `/api/v1`. */

import type { Role } from "./values";

/** What is known before a login. */
export interface SiteState {
  readonly name: string;
  readonly version: string;
  /** Whether nobody has an account yet: the first password is to be chosen. */
  readonly first: boolean;
}

/** What a login gives. */
export interface Grant {
  readonly token: string;
  readonly name: string;
  readonly role: Role;
  /** Seconds the token is good for, from now. Relative, because the device's clock may not be the browser's. */
  readonly lifetime: number;
}

export interface Account {
  state(): Promise<SiteState>;
  /** Sets the first password; *code* is from the link the device printed. */
  first(code: string, password: string): Promise<Grant>;
  login(name: string, password: string): Promise<Grant>;
  /** Logs in by a one-time link. */
  link(code: string): Promise<Grant>;
  renew(token: string): Promise<Grant>;
  logout(token: string): Promise<void>;
}

export class AccountError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 when the device did not answer. */
    readonly status: number,
    /** Seconds to wait before another try, when the device asks for that. */
    readonly retryAfter = 0,
  ) {
    super(message);
  }
}

/** The {@link Account} of the device at *base*, for example `/api/v1`. */
export class HttpAccount implements Account {
  constructor(private readonly base: string) {}

  async state(): Promise<SiteState> {
    const response = await this.request("GET", "state");
    return (await response.json()) as SiteState;
  }

  first(code: string, password: string): Promise<Grant> {
    return this.grant("first", { code, password });
  }

  login(name: string, password: string): Promise<Grant> {
    return this.grant("login", { name, password });
  }

  link(code: string): Promise<Grant> {
    return this.grant("link", { code });
  }

  renew(token: string): Promise<Grant> {
    return this.grant("renew", {}, token);
  }

  async logout(token: string): Promise<void> {
    await this.request("POST", "logout", {}, token);
  }

  private async grant(path: string, body: object, token?: string): Promise<Grant> {
    const response = await this.request("POST", path, body, token);
    const { expires, ...rest } = (await response.json()) as Omit<Grant, "lifetime"> & { expires: number };
    const date = Date.parse(response.headers.get("Date") ?? "");
    const now = (Number.isNaN(date) ? Date.now() : date) / 1000;
    return { ...rest, lifetime: Math.max(0, expires - now) };
  }

  private async request(method: string, path: string, body?: object, token?: string): Promise<Response> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
    let response: Response;
    try {
      const sent = body === undefined ? {} : { body: JSON.stringify(body) };
      response = await fetch(`${this.base}/${path}`, { method, headers, cache: "no-store", ...sent });
    } catch {
      throw new AccountError("The device does not answer.", 0);
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }
}

async function refusal(response: Response): Promise<AccountError> {
  const retryAfter = Number(response.headers.get("Retry-After") ?? "0") || 0;
  let message = `The device answered with status ${response.status}.`;
  try {
    const body = (await response.json()) as { error?: { message?: unknown } };
    if (typeof body.error?.message === "string") message = body.error.message;
  } catch {
    // Not from the device's own interface (a proxy in between): the status is all there is to say.
  }
  return new AccountError(message, response.status, retryAfter);
}
