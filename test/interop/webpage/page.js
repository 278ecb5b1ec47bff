// A web client with Strophe.js. The test calls its functions.

const { Strophe, $msg, $pres } = window;

let connection;
const messages = []; // texts, in the order in which they arrived
const presences = []; // "address type"

// endpoint returns the URL that the server's host-meta document has (XEP-0156).
async function endpoint(host) {
  const meta = await (await fetch(`https://${host}/.well-known/host-meta.json`)).json();
  return meta.links.find((link) => link.rel === "urn:xmpp:alt-connections:websocket").href;
}

// logIn logs in, or resumes the session that this tab had before the page was loaded. It
// resolves with the full JID.
async function logIn(host, jid, password) {
  connection = new Strophe.Connection(await endpoint(host), { enableStreamManagement: true });
  await new Promise((resolve, reject) => {
    connection.connect(jid, password, (status, reason) => {
      if (status === Strophe.Status.CONNECTED) resolve();
      if ([Strophe.Status.CONNFAIL, Strophe.Status.AUTHFAIL, Strophe.Status.DISCONNECTED].includes(status)) reject(new Error(`status ${status}, ${reason}`));
    });
    connection.addHandler((e) => {
      messages.push(e.querySelector("body")?.textContent);
      return true;
    }, null, "message");
    connection.addHandler((e) => {
      presences.push(`${e.getAttribute("from")} ${e.getAttribute("type") ?? "available"}`);
      return true;
    }, null, "presence");
  });
  if (!connection.hasResumed()) connection.send($pres());
  return connection.jid;
}

function say(to, text) {
  connection.send($msg({ to, type: "chat" }).c("body").t(text));
}
