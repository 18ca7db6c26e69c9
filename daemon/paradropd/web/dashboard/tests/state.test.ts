import { expect, test } from "vitest";

import { isNewFailure, KEPT, merged, progress } from "../src/state/changes";
import { changing, gone, listed, removed, updated } from "../src/state/chutes";
import { dismissed, raised, SHOWN, type Toast } from "../src/state/toasts";
import { change, chute } from "./values";

test("of two records of a change the higher revision stays, in whatever order they come", () => {
  const older = change({ revision: 3, state: "running" });
  const newer = change({ revision: 4, state: "done" });
  expect(merged(merged([], [older]), [newer])).toEqual([newer]);
  expect(merged(merged([], [newer]), [older])).toEqual([newer]);
  expect(merged([], [newer, older, newer])).toEqual([newer]);
});

test("changes are shown newest first and kept within a limit", () => {
  const many = Array.from({ length: KEPT + 5 }, (_, n) => change({ id: String(n), created: n }));
  const kept = merged([], many);
  expect(kept).toHaveLength(KEPT);
  expect([kept[0]?.id, kept.at(-1)?.id]).toEqual([String(KEPT + 4), "5"]);
});

test("progress tells the step that runs, and the one that failed before all others", () => {
  const step = (title: string, state: "done" | "running" | "failed" | "waiting") => ({ title, state, started: null, finished: null });
  const under = progress(change({ steps: [step("a", "done"), step("b", "running"), step("c", "waiting")] }));
  expect([under.done, under.total, under.current?.title]).toEqual([1, 3, "b"]);
  expect(progress(change({ steps: [step("a", "failed"), step("b", "running")] })).current?.title).toBe("a");
  expect(progress(change({}))).toEqual({ done: 0, total: 0, current: undefined });
});

test("a failure is news once", () => {
  const failed = change({ state: "failed", revision: 5 });
  expect(isNewFailure([change({ revision: 4 })], failed)).toBe(true);
  expect(isNewFailure([], change({ state: "rolled back" }))).toBe(true);
  expect(isNewFailure([failed], { ...failed, revision: 6 })).toBe(false);
  expect(isNewFailure([change({ revision: 9 })], failed)).toBe(false);
  expect(isNewFailure([], change({ state: "done" }))).toBe(false);
});

test("chutes are ordered by name, replaced by name and removed by name", () => {
  const chutes = listed([chute({ name: "hello" }), chute({ name: "clock" })]);
  const changed = updated(updated(chutes, chute({ name: "hello", state: "stopped" })), chute({ name: "door" }));
  expect(changed.map(({ name, state }) => [name, state])).toEqual([["clock", "running"], ["door", "running"], ["hello", "stopped"]]);
  expect(removed(changed, "door").map(({ name }) => name)).toEqual(["clock", "hello"]);
});

test("a chute is gone when it is not there, or when its releases count from one again", () => {
  const before = [chute({ name: "a", release: 2 }), chute({ name: "b", release: 2 }), chute({ name: "c", release: 2 })];
  expect(gone(before, [chute({ name: "b", release: 3 }), chute({ name: "c", release: 1 }), chute({ name: "d" })])).toEqual(["a", "c"]);
});

test("a chute is changing until its change is final", () => {
  expect(changing("hello", [change({ state: "planned" })])?.id).toBe("1");
  expect(changing("hello", [change({ state: "rolled back" }), change({ id: "2", chute: "clock" })])).toBeUndefined();
});

test("a message said twice is shown once, and only so many at a time", () => {
  const toast = (id: number, text: string): Toast => ({ id, tone: "bad", title: "Log", text });
  expect(raised([toast(1, "no"), toast(2, "other")], toast(3, "no")).map(({ id }) => id)).toEqual([2, 3]);
  const many = Array.from({ length: 9 }, (_, n) => toast(n, String(n))).reduce<readonly Toast[]>(raised, []);
  expect(many).toHaveLength(SHOWN);
  expect(dismissed(many, 8).map(({ id }) => id)).toEqual([5, 6, 7]);
});
