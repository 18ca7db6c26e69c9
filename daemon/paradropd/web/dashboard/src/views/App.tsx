/** The page: the login, or the device. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import type { Device } from "../device";
import type { Invitation, Login, Session } from "../session";
import { Banner } from "./Banner";
import { Changes } from "./Changes";
import { Chutes } from "./Chutes";
import { Facts } from "./Facts";
import { Header } from "./Header";
import { Log } from "./Log";
import { LoginPage } from "./LoginPage";
import { Toasts } from "./Toasts";

interface Props {
  readonly device: Device;
  readonly session: Session;
  readonly invited: Invitation | undefined;
}

export function App({ device, session, invited }: Props): JSX.Element {
  const login = session.login.value;
  return login === null ? <LoginPage session={session} invited={invited} /> : <Dashboard device={device} session={session} login={login} />;
}

function Dashboard({ device, session, login }: { readonly device: Device; readonly session: Session; readonly login: Login }): JSX.Element {
  const name = device.node.value?.name;
  useEffect(() => {
    if (name !== undefined) document.title = name;
  }, [name]);
  return (
    <>
      <Header device={device} session={session} login={login} />
      <main class="page">
        <Facts device={device} mayAdminister={login.role === "owner"} />
        <Chutes device={device} mayOperate={login.role !== "viewer"} />
        <Log device={device} />
        <Changes device={device} />
      </main>
      <Banner device={device} />
      <Toasts device={device} />
    </>
  );
}
