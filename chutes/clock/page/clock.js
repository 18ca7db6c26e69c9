// Shows the device's clock: asks for it every ten seconds, and counts on in between.

const [time, date, hello] = ["time", "date", "hello"].map((id) => document.getElementById(id));
let ahead = 0; // the device's clock less this machine's, in milliseconds

async function ask() {
  try {
    const answer = await (await fetch("api/time")).json();
    ahead = answer.time * 1000 - Date.now();
    hello.textContent = answer.hello
      ? `The chute “hello” has been up for ${answer.hello} seconds.`
      : "Waiting to hear from hello …";
  } catch {
    hello.textContent = "The device does not answer; trying again …";
  }
}

function show() {
  const now = new Date(Date.now() + ahead);
  time.textContent = now.toLocaleTimeString(undefined, { hour12: false });
  date.textContent = now.toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
}

await ask();
show();
setInterval(show, 250);
setInterval(ask, 10_000);
