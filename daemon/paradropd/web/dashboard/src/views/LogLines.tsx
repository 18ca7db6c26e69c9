/** The lines of a log in a box that stays at its end for as long as nobody scrolls up. */

import type { Signal } from "@preact/signals";
import type { JSX, TargetedEvent } from "preact";
import { memo } from "preact/compat";
import { useLayoutEffect, useRef } from "preact/hooks";
import stripAnsi from "strip-ansi";

import type { Device } from "../device";
import { clock, moment } from "../format";
import { services } from "../state/logs";
import type { LogLine } from "../values";
import { Icon } from "./Icon";

/** So close to the end (in pixels) counts as being there. */
const SLACK = 24;
/** Streams of a chute, and levels of the daemon's own log, that are tinted. */
const TINTS: Readonly<Record<string, string>> = {
  err: "line line-bad",
  error: "line line-bad",
  fatal: "line line-bad",
  critical: "line line-bad",
  security: "line line-bad",
  warn: "line line-warn",
  warning: "line line-warn",
  build: "line line-quiet",
};

interface Props {
  readonly device: Device;
  /** Show only this service's lines; empty for all. */
  readonly service: string;
  /** Whether each line names its service. */
  readonly named: boolean;
  readonly following: Signal<boolean>;
}

export function LogLines({ device, service, named, following }: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  /** The last line there was when following stopped. */
  const left = useRef(0);
  const log = device.tail.log.value;
  const lines = service === "" ? log.lines : log.lines.filter((line) => line.service === service);
  const widest = named ? Math.max(0, ...services(log).map((name) => name.length)) : 0;
  const fresh = following.value ? 0 : lines.filter((line) => line.seq > left.current).length;

  useLayoutEffect(() => {
    if (!following.value) return;
    left.current = log.lines.at(-1)?.seq ?? 0;
    toEnd(box.current);
  });
  useLayoutEffect(() => {
    const resized = new ResizeObserver(() => {
      if (following.value) toEnd(box.current);
    });
    if (box.current !== null) resized.observe(box.current);
    return () => resized.disconnect();
  }, [following]);
  const size = useRef("");
  const scrolled = ({ currentTarget }: TargetedEvent<HTMLDivElement>): void => {
    const { scrollTop, scrollHeight, clientHeight, clientWidth } = currentTarget;
    const atEnd = scrollHeight - scrollTop - clientHeight < SLACK;
    // A box of another size scrolls by itself: that is nobody who wants to read further up.
    const same = size.current === `${clientWidth} ${clientHeight}`;
    size.current = `${clientWidth} ${clientHeight}`;
    if (same || atEnd) following.value = atEnd;
  };
  return (
    <div class="lines-frame" style={{ "--service": `${widest}ch` }}>
      <div class="lines" role="log" aria-live="off" aria-label="Log lines" tabIndex={0} ref={box} onScroll={scrolled} data-testid="log-lines">
        {log.missed > 0 && <p class="lines-gap">{log.missed} lines are gone: the device keeps its logs within a limit.</p>}
        {lines.map((line) => (
          <Line key={line.seq} line={line} named={named} />
        ))}
        {lines.length === 0 && log.cursor !== null && (
          <p class="lines-empty" data-testid="no-lines">
            Nothing was printed yet. New lines appear here at once.
          </p>
        )}
      </div>
      {!following.value && (
        <button type="button" class="latest" data-testid="latest" onClick={() => (following.value = true)}>
          <Icon name="down" />
          {fresh === 0 ? "Go to the end" : `${fresh} new ${fresh === 1 ? "line" : "lines"}`}
        </button>
      )}
    </div>
  );
}

function toEnd(box: HTMLDivElement | null): void {
  if (box !== null) box.scrollTop = box.scrollHeight;
}

const Line = memo(function Line({ line, named }: { readonly line: LogLine; readonly named: boolean }): JSX.Element {
  const time = clock(line.time);
  return (
    <div class={TINTS[line.stream.toLowerCase()] ?? "line"} data-stream={line.stream} data-seq={line.seq}>
      <time class="line-time" title={moment(line.time)}>
        {time.slice(0, -4)}
        <span class="wide">{time.slice(-4)}</span>
      </time>
      {named && <span class="line-service">{line.service}</span>}
      <span class="line-text">{stripAnsi(line.text)}</span>
    </div>
  );
});
