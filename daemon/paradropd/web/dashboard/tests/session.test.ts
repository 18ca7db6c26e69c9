import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { type Account, AccountError, type Grant } from "../src/account";
import { invitation, renewIn, Session } from "../src/session";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const grant = (token: string): Grant => ({ token, name: "owner", role: "owner", lifetime: 100 });

class FakeAccount implements Account {
  renewed: string[] = [];
  ended: string[] = [];
  problem: AccountError | undefined;

  state = () => Promise.resolve({ name: "box", version: "1", first: false });
  first = () => Promise.resolve(grant("first"));
  login = () => Promise.resolve(grant("login"));
  link = () => Promise.resolve(grant("link"));
  renew = (token: string): Promise<Grant> => {
    this.renewed.push(token);
    return this.problem === undefined ? Promise.resolve(grant(`${token}+`)) : Promise.reject(this.problem);
  };
  logout = (token: string): Promise<void> => {
    this.ended.push(token);
    return Promise.reject(new AccountError("no answer", 0));
  };
}

class FakeStorage implements Storage {
  private readonly items = new Map<string, string>();
  get length(): number {
    return this.items.size;
  }
  clear = (): void => this.items.clear();
  getItem = (key: string): string | null => this.items.get(key) ?? null;
  key = (): string | null => null;
  removeItem = (key: string): void => void this.items.delete(key);
  setItem = (key: string, value: string): void => void this.items.set(key, value);
}

test.each([
  ["#setup=ab12", { kind: "setup", code: "ab12" }],
  ["#code=x%2By", { kind: "code", code: "x+y" }],
  ["#code=", undefined],
  ["#chutes", undefined],
  ["", undefined],
])("the fragment %s invites to %o", (fragment, expected) => {
  expect(invitation(fragment)).toEqual(expected);
});

test("a token is renewed with a fifth of its life to spare, and never later than a timer can wait", () => {
  expect([renewIn(1000), renewIn(-5), renewIn(1e15)]).toEqual([800, 0, 2 ** 31 - 1]);
});

describe("a session", () => {
  test("outlives a reload of the page, until its token ends", () => {
    const storage = new FakeStorage();
    new Session(new FakeAccount(), storage).accept(grant("a"));
    expect(new Session(new FakeAccount(), storage).identity()).toEqual({ name: "owner", token: "a" });
    vi.advanceTimersByTime(100_000);
    vi.setSystemTime(Date.now() + 1_000_000);
    expect(new Session(new FakeAccount(), storage).login.value).toBeNull();
  });

  test("an invitation comes before a login that the tab still has", () => {
    const storage = new FakeStorage();
    new Session(new FakeAccount(), storage).accept(grant("a"));
    expect(new Session(new FakeAccount(), storage, true).login.value).toBeNull();
  });

  test("renews its token in time", async () => {
    const account = new FakeAccount();
    const session = new Session(account, new FakeStorage());
    session.accept(grant("a"));
    await vi.advanceTimersByTimeAsync(79_999);
    expect(account.renewed).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect([account.renewed, session.identity().token]).toEqual([["a"], "a+"]);
  });

  test("tries a renewal again while the device does not answer, and ends with the token", async () => {
    const account = new FakeAccount();
    account.problem = new AccountError("The device does not answer.", 0);
    const session = new Session(account, new FakeStorage());
    session.accept(grant("a"));
    await vi.advanceTimersByTimeAsync(95_000);
    expect([account.renewed, session.login.value?.token]).toEqual([["a", "a"], "a"]);
    await vi.advanceTimersByTimeAsync(30_000);
    expect([session.login.value, session.notice.value]).toEqual([null, "Your login has ended."]);
  });

  test("ends when the device refuses to renew, with the device's sentence", async () => {
    const account = new FakeAccount();
    account.problem = new AccountError("You are not logged in.", 401);
    const session = new Session(account, new FakeStorage());
    session.accept(grant("a"));
    await vi.advanceTimersByTimeAsync(80_000);
    expect([session.login.value, session.notice.value]).toEqual([null, "You are not logged in."]);
  });

  test("a logout ends here even when the device does not answer, and leaves nothing behind", async () => {
    const account = new FakeAccount();
    const storage = new FakeStorage();
    const session = new Session(account, storage);
    session.accept(grant("a"));
    await session.logout();
    expect([session.login.value, storage.length, account.ended]).toEqual([null, 0, ["a"]]);
    await vi.advanceTimersByTimeAsync(200_000);
    expect(account.renewed).toEqual([]);
  });
});
