/** The two forms of the login page: a login, and the first password of a new device. */

import { useSignal, type Signal } from "@preact/signals";
import type { JSX, TargetedEvent } from "preact";
import { useEffect } from "preact/hooks";

import { AccountError, type Grant } from "../account";
import type { Session } from "../session";
import { Note, said } from "./Note";

/** The name of the first account, and most often of the only one. */
const OWNER = "owner";

/** What is common to both: one request at a time, its error, and the pause that the device may demand after it. */
function useRequest(session: Session) {
  const busy = useSignal(false);
  const problem = useSignal("");
  const pause = useSignal(0);
  useEffect(() => {
    if (pause.value <= 0) return;
    const timer = setTimeout(() => (pause.value -= 1), 1000);
    return () => clearTimeout(timer);
  }, [pause, pause.value]);
  const send = async (request: () => Promise<Grant>): Promise<void> => {
    busy.value = true;
    problem.value = "";
    try {
      session.accept(await request());
    } catch (error) {
      problem.value = said(error);
      if (error instanceof AccountError) pause.value = Math.ceil(error.retryAfter);
    } finally {
      busy.value = false;
    }
  };
  return { busy, problem, pause, send };
}

export function LoginForm({ session }: { readonly session: Session }): JSX.Element {
  const name = useSignal(OWNER);
  const password = useSignal("");
  const { busy, problem, pause, send } = useRequest(session);
  const submit = (event: Event): void => {
    event.preventDefault();
    void send(() => session.account.login(name.value.trim(), password.value));
  };
  return (
    <form onSubmit={submit} data-testid="login-form">
      <Field label="Name" type="text" autocomplete="username" value={name} testid="login-name" />
      <Field label="Password" type="password" autocomplete="current-password" value={password} testid="login-password" />
      {problem.value !== "" && <Note testid="login-error">{problem.value}</Note>}
      <Submit label="Log in" pause={pause.value} disabled={busy.value || name.value.trim() === "" || password.value === ""} />
      <p class="hint">
        On the device itself, <code>pdtools dashboard</code> opens this page logged in.
      </p>
    </form>
  );
}

export function FirstForm({ session, code }: { readonly session: Session; readonly code: string }): JSX.Element {
  const typed = useSignal(code);
  const password = useSignal("");
  const again = useSignal("");
  const { busy, problem, pause, send } = useRequest(session);
  const differs = again.value !== "" && again.value !== password.value;
  const complete = typed.value.trim() !== "" && password.value !== "" && again.value === password.value;
  const submit = (event: Event): void => {
    event.preventDefault();
    void send(() => session.account.first(typed.value.trim(), password.value));
  };
  return (
    <form onSubmit={submit} data-testid="first-form">
      <p class="hint">Nobody has an account on this device yet. Choose the password of its <b>{OWNER}</b>, with 8 characters or more.</p>
      {code === "" && (
        <>
          <Field label="Set-up code" type="text" autocomplete="off" value={typed} testid="first-code" />
          <p class="hint">
            <code>pdtools dashboard</code>, on the device itself, prints a link that has the code in it.
          </p>
        </>
      )}
      {/* For password managers: the device gives the first account this name. */}
      <input type="text" autocomplete="username" value={OWNER} hidden readOnly />
      <Field label="Password" type="password" autocomplete="new-password" value={password} testid="first-password" />
      <Field label="Password again" type="password" autocomplete="new-password" value={again} testid="first-again" />
      {differs && <p class="hint text-bad">The two passwords are not the same.</p>}
      {problem.value !== "" && <Note testid="login-error">{problem.value}</Note>}
      <Submit label="Set the password" pause={pause.value} disabled={busy.value || !complete} />
    </form>
  );
}

interface FieldProps {
  readonly label: string;
  readonly type: "text" | "password";
  readonly autocomplete: "username" | "current-password" | "new-password" | "off";
  readonly value: Signal<string>;
  readonly testid: string;
}

export function Field({ label, type, autocomplete, value, testid }: FieldProps): JSX.Element {
  const common = {
    autocomplete,
    autocapitalize: "none",
    spellcheck: false,
    required: true,
    value: value.value,
    onInput: (event: TargetedEvent<HTMLInputElement>) => (value.value = event.currentTarget.value),
    "data-testid": testid,
  } as const;
  return (
    <label class="field">
      <span>{label}</span>
      {type === "password" ? <input {...common} type="password" /> : <input {...common} type="text" />}
    </label>
  );
}

interface SubmitProps {
  readonly label: string;
  readonly pause: number;
  readonly disabled: boolean;
}

function Submit({ label, pause, disabled }: SubmitProps): JSX.Element {
  return (
    <button type="submit" class="primary" disabled={disabled || pause > 0} data-testid="submit">
      {pause > 0 ? `Wait ${pause} s` : label}
    </button>
  );
}
