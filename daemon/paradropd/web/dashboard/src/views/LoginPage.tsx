/** The page before a login: the form that fits the state of the device. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import type { SiteState } from "../account";
import type { Invitation, Session } from "../session";
import { FirstForm, LoginForm } from "./LoginForms";
import { Logo } from "./Icon";
import { Note, said } from "./Note";

interface Props {
  readonly session: Session;
  readonly invited: Invitation | undefined;
}

export function LoginPage({ session, invited }: Props): JSX.Element {
  const site = useSignal<SiteState | null>(null);
  const problem = useSignal("");
  const tries = useSignal(0);
  /** Whether a one-time link is being used up; the form waits until that is decided. */
  const linking = useSignal(invited?.kind === "code");

  useEffect(() => {
    if (invited?.kind !== "code") return;
    session.account
      .link(invited.code)
      .then((grant) => session.accept(grant))
      .catch((error: unknown) => (session.notice.value = said(error)))
      .finally(() => (linking.value = false));
  }, [session, invited, linking]);
  useEffect(() => {
    problem.value = "";
    session.account
      .state()
      .then((state) => {
        site.value = state;
        document.title = state.name;
      })
      .catch((error: unknown) => (problem.value = said(error)));
  }, [session, site, problem, tries.value]);

  return (
    <main class="login">
      <div class="login-box" data-testid="login-page">
        <Logo />
        <h1>{site.value?.name ?? "Paradrop"}</h1>
        {session.notice.value !== "" && <Note testid="login-notice">{session.notice.value}</Note>}
        {problem.value !== "" && (
          <>
            <Note testid="login-error">{problem.value}</Note>
            <button type="button" class="primary" onClick={() => (tries.value += 1)}>
              Try again
            </button>
          </>
        )}
        {linking.value && <p class="muted">Logging in …</p>}
        {site.value !== null && !linking.value && <Form site={site.value} session={session} invited={invited} />}
      </div>
    </main>
  );
}

function Form({ site, session, invited }: Props & { readonly site: SiteState }): JSX.Element {
  if (!site.first) return <LoginForm session={session} />;
  return <FirstForm session={session} code={invited?.kind === "setup" ? invited.code : ""} />;
}
