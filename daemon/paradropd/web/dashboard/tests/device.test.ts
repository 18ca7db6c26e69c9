import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { delay } from "../src/connection";
import { Device } from "../src/device";
import { FabricError, type Identity } from "../src/fabric";
import { FakeDevice } from "./fabric";
import { change, chute, lines, numbers } from "./values";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const identity = (): Identity => ({ name: "owner", token: "t" });
const turn = (milliseconds = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

describe("the delay before a reconnect", () => {
  test("doubles from one second to ten", () => {
    expect([1, 2, 3, 4, 5, 50].map((attempt) => delay(attempt, 0))).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000]);
  });

  test("is spread by a fifth", () => {
    expect([delay(1, 1), delay(5, 0.5)]).toEqual([800, 9000]);
  });
});

describe("the device", () => {
  test("shows what is listed, and what events say after that", async () => {
    const fake = new FakeDevice();
    fake.chutes = [chute({ name: "hello" }), chute({ name: "clock" })];
    fake.changes = [change({ id: "1", revision: 2 })];
    const device = new Device(() => Promise.resolve(fake.link()), () => undefined);
    device.connection.start(identity);
    await turn();
    expect(device.connection.state.value.word).toBe("connected");
    expect(device.node.value?.name).toBe("box");
    fake.publish("chutes.updated", chute({ name: "hello", state: "failed" }));
    fake.publish("chutes.removed", "clock");
    fake.publish("changes.updated", change({ id: "1", revision: 3, state: "failed", reason: "it exits at once" }));
    fake.publish("changes.updated", change({ id: "1", revision: 1 }));
    expect(device.chutes.value.map(({ name, state }) => [name, state])).toEqual([["hello", "failed"]]);
    expect(device.changes.value.map(({ revision, state }) => [revision, state])).toEqual([[3, "failed"]]);
    expect(device.toasts.value.map(({ title, text }) => [title, text])).toEqual([["hello: deploy failed", "it exits at once"]]);
  });

  test("shows how the link to its server is, and joins one", async () => {
    const fake = new FakeDevice();
    const device = new Device(() => Promise.resolve(fake.link()), () => undefined);
    device.connection.start(identity);
    await turn();
    expect(device.node.value?.uplink.state).toBe("not provisioned");
    const uplink = { state: "connecting", pdid: "acme.r1", server: "https://server.example:8443", since: 1, problem: "" };
    fake.publish("node.uplink", uplink);
    expect(device.node.value).toMatchObject({ pdid: "acme.r1", uplink });
    fake.answers.set("node.provision", () => ({ ...uplink, state: "online" }));
    await device.joinServer("server.example", "pd1.x.y");
    expect(fake.calls).toContainEqual(["node.provision", ["server.example", "pd1.x.y"]]);
    expect(device.node.value?.uplink.state).toBe("online");
    fake.answers.set("node.provision", () => {
      throw new FabricError("refused", "that token was used already");
    });
    await expect(device.joinServer("server.example", "pd1.x.y")).rejects.toThrow("that token was used already");
  });

  test("comes back after a broken link with everything listed anew and the log whole", async () => {
    const fake = new FakeDevice();
    fake.chutes = [chute({})];
    fake.log = lines(1, 5);
    const device = new Device(() => Promise.resolve(fake.link()), () => undefined);
    device.connection.start(identity);
    await turn();
    expect(numbers(device.tail.log.value.lines)).toEqual([1, 2, 3, 4, 5]);
    fake.links[0]?.close();
    await turn();
    expect(device.connection.state.value).toMatchObject({ word: "lost", attempt: 1 });
    fake.log = lines(1, 38);
    fake.chutes = [chute({}), chute({ name: "clock" })];
    await turn(1000);
    expect(device.connection.state.value.word).toBe("connected");
    expect(device.chutes.value.map(({ name }) => name)).toEqual(["clock", "hello"]);
    expect(numbers(device.tail.log.value.lines)).toEqual(numbers(lines(1, 38)));
    expect(device.toasts.value).toEqual([]);
  });

  test("a chute without a log shows its first line, and a chute deployed anew shows its own lines", async () => {
    const fake = new FakeDevice();
    fake.chutes = [chute({ release: 2 })];
    const device = new Device(() => Promise.resolve(fake.link()), () => undefined);
    device.connection.start(identity);
    await turn();
    expect([device.tail.log.value.cursor, device.toasts.value]).toEqual([0, []]);
    fake.log = lines(1, 3);
    fake.publish("logs.appended", "chute.hello", 3);
    await turn();
    expect(numbers(device.tail.log.value.lines)).toEqual([1, 2, 3]);
    fake.links[0]?.close();
    fake.log = lines(1, 2, { text: "of another" });
    fake.chutes = [chute({ release: 1 })];
    await turn(1000);
    expect(device.tail.log.value.lines.map(({ text }) => text)).toEqual(["of another", "of another"]);
  });

  test("reads the log now and then without being told to", async () => {
    const fake = new FakeDevice();
    fake.chutes = [chute({})];
    const device = new Device(() => Promise.resolve(fake.link()), () => undefined);
    device.connection.start(identity);
    await turn();
    fake.log = lines(1, 2);
    await turn(5000);
    expect(numbers(device.tail.log.value.lines)).toEqual([1, 2]);
  });

  test("tries again, ever more slowly, until the device answers", async () => {
    const fake = new FakeDevice();
    let attempts = 0;
    const device = new Device(() => {
      attempts += 1;
      return attempts < 4 ? Promise.reject(new FabricError("lost", "gone")) : Promise.resolve(fake.link());
    }, () => undefined);
    device.connection.start(identity);
    await turn(799);
    expect(attempts).toBe(1);
    await turn(201 + 2000);
    expect(attempts).toBe(3);
    device.connection.hurry();
    await turn();
    expect([attempts, device.connection.state.value.word]).toEqual([4, "connected"]);
  });

  test("a refused ticket ends the login and is not tried again", async () => {
    const reasons: string[] = [];
    let attempts = 0;
    const device = new Device(() => {
      attempts += 1;
      return Promise.reject(new FabricError("denied", "The token has ended."));
    }, (reason) => reasons.push(reason));
    device.connection.start(identity);
    await turn(60_000);
    expect([attempts, reasons, device.connection.state.value.word]).toEqual([1, ["The token has ended."], "idle"]);
  });

  test("an action is asked for by name, shown as it goes on, and refused with the device's sentence", async () => {
    const fake = new FakeDevice();
    fake.chutes = [chute({})];
    fake.answers.set("chutes.stop", () => change({ id: "7", kind: "stop", state: "accepted" }));
    fake.answers.set("chutes.start", () => {
      throw new FabricError("refused", "The chute is already running.");
    });
    const device = new Device(() => Promise.resolve(fake.link()), () => undefined);
    device.connection.start(identity);
    await turn();
    const stopped = device.act("stop", "hello");
    expect([...device.asked.value]).toEqual(["hello"]);
    await stopped;
    expect([...device.asked.value]).toEqual([]);
    expect(fake.calls).toContainEqual(["chutes.stop", ["hello"]]);
    expect(device.changes.value.map(({ id }) => id)).toEqual(["7"]);
    await device.act("start", "hello");
    expect(device.toasts.value.map(({ title, text }) => [title, text])).toEqual([["Could not start hello", "The chute is already running."]]);
  });

  test("a link that was stopped while it came up is closed", async () => {
    const fake = new FakeDevice();
    const device = new Device(() => Promise.resolve(fake.link()), () => undefined);
    device.connection.start(identity);
    device.connection.stop();
    await turn();
    expect([fake.links[0]?.open, device.connection.state.value.word]).toEqual([false, "idle"]);
  });
});
