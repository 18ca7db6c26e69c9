/** The chutes of the device. */

import type { JSX } from "preact";

import type { Device } from "../device";
import { ChuteCard } from "./ChuteCard";
import { Empty } from "./Parts";

interface Props {
  readonly device: Device;
  readonly mayOperate: boolean;
}

export function Chutes({ device, mayOperate }: Props): JSX.Element {
  const chutes = device.chutes.value;
  const running = chutes.filter((chute) => chute.state === "running").length;
  return (
    <section class="panel chutes" aria-labelledby="chutes-title" data-testid="chutes">
      <div class="panel-head">
        <h2 id="chutes-title">Chutes</h2>
        {chutes.length > 0 && (
          <span class="muted">
            {running} of {chutes.length} running
          </span>
        )}
      </div>
      {chutes.length > 0 ? (
        <ul class="cards">
          {chutes.map((chute) => (
            <ChuteCard key={chute.name} device={device} chute={chute} mayOperate={mayOperate} />
          ))}
        </ul>
      ) : (
        device.node.value !== null && <NoChutes mayOperate={mayOperate} />
      )}
    </section>
  );
}

function NoChutes({ mayOperate }: { readonly mayOperate: boolean }): JSX.Element {
  return (
    <Empty title="No chutes yet" testid="no-chutes">
      {mayOperate ? (
        <>
          <p>A chute is a service this device runs. Deploy the example from a terminal:</p>
          <pre class="command">pdtools deploy chutes/hello</pre>
          <p>
            Or start your own with <code>pdtools chute init</code>.
          </p>
        </>
      ) : (
        <p>Somebody with the role operator or owner can deploy one.</p>
      )}
    </Empty>
  );
}
