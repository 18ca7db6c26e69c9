import { describe, expect, test } from "vitest";

import { appended, CAPACITY, caughtUp, grown, isBehind, opened, services } from "../src/state/logs";
import { Tail } from "../src/tail";
import type { LogPage } from "../src/values";
import { lines, numbers, page, settled } from "./values";

describe("the lines of a log", () => {
  test("the same page twice adds nothing", () => {
    const once = appended(opened("chute.hello"), page(1, 3));
    expect(numbers(appended(once, page(1, 3)).lines)).toEqual([1, 2, 3]);
  });

  test("a page that overlaps adds only what is after the cursor", () => {
    const log = appended(appended(opened("chute.hello"), page(1, 3)), page(2, 5));
    expect(numbers(log.lines)).toEqual([1, 2, 3, 4, 5]);
    expect(log.cursor).toBe(5);
  });

  test("an empty page changes nothing", () => {
    const log = appended(opened("chute.hello"), page(1, 3));
    expect(appended(log, page(1, 0, { cursor: 3 }))).toEqual(log);
  });

  test("a log that was begun anew takes the place of the old one", () => {
    const log = appended(grown(appended(opened("chute.hello"), page(1, 9)), 9), page(1, 2, { more: true }));
    expect([numbers(log.lines), log.cursor, isBehind(log)]).toEqual([[1, 2], 2, false]);
  });

  test("a page of another log is ignored", () => {
    const log = opened("chute.clock");
    expect(appended(log, page(1, 3))).toBe(log);
  });

  test("the newest lines are held, within the limit", () => {
    const log = appended(opened("chute.hello"), page(1, CAPACITY + 10));
    expect([log.lines.length, log.lines[0]?.seq]).toEqual([CAPACITY, 11]);
  });

  test("what the disk cap removed before it was read is counted; what was there before the page was opened is not", () => {
    const log = appended(opened("chute.hello"), page(5, 6, { missed: 4 }));
    expect(log.missed).toBe(0);
    expect(appended(log, page(9, 9, { missed: 2 })).missed).toBe(2);
  });

  test("a log too far behind starts again near its end, with no gap in what is shown", () => {
    const log = appended(opened("chute.hello"), page(1, 10));
    const near = grown(log, 10 + CAPACITY);
    expect(caughtUp(near)).toBe(near);
    const far = caughtUp(grown(log, 11 + CAPACITY));
    expect([far.cursor, far.lines.length, isBehind(far)]).toEqual([11, 0, true]);
  });

  test("services are those that printed", () => {
    const log = appended(opened("chute.hello"), page(1, 2, { lines: [...lines(1, 1, { service: "web" }), ...lines(2, 2), ...lines(3, 3, { service: "" })] }));
    expect(services(log)).toEqual(["main", "web"]);
  });
});

/** A log behind a reader that can be broken, and records where it was asked from. */
class FakeLog {
  last = 0;
  broken = false;
  size = 4;
  askedAfter: (number | null)[] = [];

  read = (source: string, after: number | null): Promise<LogPage> => {
    this.askedAfter.push(after);
    if (this.broken) return Promise.reject(new Error("gone"));
    const first = after === null ? Math.max(1, this.last - this.size + 1) : after + 1;
    const end = Math.min(this.last, first + this.size - 1);
    return Promise.resolve(page(first, end, { source, cursor: Math.max(end, after ?? 0), more: end < this.last }));
  };
}

describe("a tail", () => {
  test("opens at the end and reads on by cursor when the log grows", async () => {
    const log = new FakeLog();
    log.last = 10;
    const tail = new Tail(log.read, (error) => expect.unreachable(String(error)));
    tail.open("chute.hello");
    await settled();
    expect(numbers(tail.log.value.lines)).toEqual([7, 8, 9, 10]);
    log.last = 21;
    tail.grew("chute.hello", 21);
    await settled();
    expect(numbers(tail.log.value.lines)).toEqual([7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
    expect(log.askedAfter).toEqual([null, 10, 14, 18]);
  });

  test("after a broken link nothing is lost and nothing comes twice", async () => {
    const log = new FakeLog();
    log.last = 3;
    const errors: unknown[] = [];
    const tail = new Tail(log.read, (error) => errors.push(error));
    tail.open("chute.hello");
    await settled();
    log.broken = true;
    log.last = 9;
    tail.grew("chute.hello", 9);
    await settled();
    expect(errors).toHaveLength(1);
    log.broken = false;
    log.last = 12;
    tail.resume();
    await settled();
    expect(numbers(tail.log.value.lines)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test("a log that cannot be read yet is read from its first event on", async () => {
    const log = new FakeLog();
    log.broken = true;
    const tail = new Tail(log.read, () => undefined);
    tail.open("chute.hello");
    await settled();
    log.broken = false;
    log.last = 2;
    tail.grew("chute.hello", 2);
    await settled();
    expect(numbers(tail.log.value.lines)).toEqual([1, 2]);
  });

  test("another log opened while a page is under way shows only its own lines", async () => {
    const log = new FakeLog();
    log.last = 2;
    const tail = new Tail(log.read, (error) => expect.unreachable(String(error)));
    tail.open("chute.hello");
    tail.open("chute.clock");
    await settled();
    expect([tail.log.value.source, numbers(tail.log.value.lines)]).toEqual(["chute.clock", [1, 2]]);
  });

  test("events of other logs are not its business, and lines that do not come are not asked for again and again", async () => {
    const log = new FakeLog();
    log.last = 1;
    const tail = new Tail(log.read, (error) => expect.unreachable(String(error)));
    tail.open("chute.hello");
    await settled();
    tail.grew("chute.clock", 9);
    tail.grew("chute.hello", 5);
    await settled();
    expect(log.askedAfter).toEqual([null, 1]);
  });
});
