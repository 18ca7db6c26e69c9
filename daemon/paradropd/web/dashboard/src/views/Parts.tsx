/** Parts that every view is made of. */

import type { ComponentChildren, JSX } from "preact";

import type { Look } from "../words";
import { Icon, type IconName } from "./Icon";

/** A state: word, icon and tone. */
export function Badge({ look, word }: { readonly look: Look; readonly word: string }): JSX.Element {
  return (
    <span class={`badge tone-${look.tone}`} data-testid="state" data-state={word}>
      <Icon name={look.icon} />
      {word}
    </span>
  );
}

interface BarProps {
  readonly role: "meter" | "progressbar";
  readonly label: string;
  /** Between 0 and 1. */
  readonly value: number;
  readonly text: string;
  readonly tone?: string;
}

export function Bar({ role, label, value, text, tone = "plain" }: BarProps): JSX.Element {
  const percent = Math.round(value * 100);
  return (
    <div
      class={`bar bar-${tone}`}
      role={role}
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={text}
    >
      <div class="bar-fill" style={{ transform: `scaleX(${percent / 100})` }} />
    </div>
  );
}

interface ToolProps {
  readonly icon: IconName;
  readonly label: string;
  /** What a screen reader says: the label with what it acts on. */
  readonly name: string;
  readonly testid: string;
  readonly disabled?: boolean;
  readonly onClick: () => void;
}

/** A button with an icon and a word. */
export function Tool({ icon, label, name, testid, disabled = false, onClick }: ToolProps): JSX.Element {
  return (
    <button type="button" class="tool" aria-label={name} data-testid={testid} disabled={disabled} onClick={onClick}>
      <Icon name={icon} />
      <span>{label}</span>
    </button>
  );
}

interface EmptyProps {
  readonly title: string;
  readonly testid: string;
  readonly children: ComponentChildren;
}

/** What is shown in place of nothing: it says what to do next. */
export function Empty({ title, testid, children }: EmptyProps): JSX.Element {
  return (
    <div class="empty" data-testid={testid}>
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}
