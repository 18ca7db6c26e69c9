import { expect, test } from "vitest";

import { ago, bytes, clock, duration, took, used } from "../src/format";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "0.98 KiB"],
  [1536, "1.50 KiB"],
  [68_367_155, "65.2 MiB"],
  [500 * 2 ** 20, "500 MiB"],
  [4 * 2 ** 30, "4.00 GiB"],
  [5000 * 2 ** 40, "5000 TiB"],
  [-1, "0 B"],
])("%d bytes read as %s", (size, text) => {
  expect(bytes(size)).toBe(text);
});

test.each([
  [0, "0 s"],
  [59.9, "59 s"],
  [60, "1 min"],
  [185, "3 min 5 s"],
  [3599, "59 min"],
  [7500, "2 h 5 min"],
  [86_400, "1 d"],
  [187_000, "2 d 3 h"],
  [-3, "0 s"],
])("%d seconds read as %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test.each([
  [100, 101, "just now"],
  [100, 130, "less than a minute ago"],
  [100, 165, "1 min ago"],
  [100, 100 + 299, "4 min ago"],
  [100, 100 + 7500, "2 h 5 min ago"],
  [100, 90, "just now"],
])("at %d, seen from %d, reads as %s", (time, now, text) => {
  expect(ago(time, now)).toBe(text);
});

test("what took less than a second is not shown as nothing", () => {
  expect([took(0), took(0.99), took(1)]).toEqual(["under 1 s", "under 1 s", "1 s"]);
});

test("a share stays between nothing and everything", () => {
  expect([used(100, 25), used(0, 0), used(100, 200), used(100, -5)]).toEqual([0.75, 0, 0, 1]);
});

test("a line's time is local and has milliseconds", () => {
  expect(clock(new Date(2026, 0, 2, 3, 4, 5, 67).getTime() / 1000)).toBe("03:04:05.067");
});
