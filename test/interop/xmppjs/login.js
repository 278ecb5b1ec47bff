// xmpp.js logs in with SASL2, Bind 2 and inline stream management, gets a token (FAST), logs
// in by the token alone, and after its connection was cut resumes its session with its login.

import { webcrypto } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { client, xml } from "@xmpp/client";
import WebSocket from "ws";

// Node.js has these from version 20 and 22 on.
globalThis.crypto ??= webcrypto;
globalThis.WebSocket ??= WebSocket;

const env = process.env;
const service = process.argv[2];
const userAgent = xml("user-agent", { id: "d4565fa7-4d72-4749-b3d3-740edbf87770" }, xml("software", {}, "xmpp.js"));

const user = (address) => address.split("@")[0];

function check(ok, what) {
  if (!ok) throw new Error(what);
}

// open returns a client with these credentials, and what it sends and receives.
function open(username, credentials, agent) {
  const x = client({ service, domain: env.INTEROP_DOMAIN, resource: "js", credentials: { username, ...credentials }, userAgent: agent });
  const log = { sent: [], received: [], errors: [] };
  x.on("send", (e) => log.sent.push(e));
  x.on("element", (e) => log.received.push(e));
  x.on("error", (e) => log.errors.push(e));
  return { x, log };
}

// once resolves with the first event for which accept returns true.
function once(x, event, accept = () => true) {
  return new Promise((resolve) => {
    const listener = (value) => {
      if (!accept(value)) return;
      x.removeListener(event, listener);
      resolve(value);
    };
    x.on(event, listener);
  });
}

// cut closes the connection under a socket without a word: by TCP, TLS or WebSocket.
function cut(socket) {
  const inner = socket.socket ?? socket;
  if (inner.terminate) inner.terminate();
  else inner.destroy();
}

// mechanisms returns those of the logins that a client has sent.
const mechanisms = (log) => log.sent.filter((e) => e.name === "authenticate").map((e) => e.attrs.mechanism);
const last = (list, name) => list.filter((e) => e.name === name).at(-1);

async function main() {
  // By password: everything is negotiated with the login.
  const a = open(user(env.INTEROP_USER_A), { password: env.INTEROP_PASSWORD }, userAgent);
  const address = await a.x.start();
  check(address.resource.startsWith("js/"), `resource ${address.resource}`);
  check(mechanisms(a.log).join() === "SCRAM-SHA-1", `mechanisms ${mechanisms(a.log)}`);
  const success = last(a.log.received, "success");
  check(success.getChild("bound", "urn:xmpp:bind:0")?.getChild("enabled", "urn:xmpp:sm:3"), `no <enabled/>: ${success}`);
  check(a.x.streamManagement.enabled, "xmpp.js does not use stream management");
  check(!a.log.sent.some((e) => e.name === "iq"), "a request to bind");
  const token = await a.x.fast.fetchToken();
  check(token?.token && token.mechanism === "HT-SHA-256-NONE" && new Date(token.expiry) > new Date(), "no token");

  // Messages are acknowledged in both directions.
  const b = open(user(env.INTEROP_USER_B), { password: env.INTEROP_PASSWORD }, xml("user-agent", { id: "0b8f0a9e-1f5c-4d52-8d6b-6a9d3b1d5a11" }));
  const other = await b.x.start();
  const arrived = once(b.x, "stanza", (e) => e.is("message"));
  const acked = once(a.x.streamManagement, "ack", (e) => e.is("message"));
  await a.x.send(xml("message", { to: other.toString(), type: "chat" }, xml("body", {}, "hi")));
  check((await arrived).getChildText("body") === "hi", "another message");
  await acked;
  check(b.x.streamManagement.inbound === 1, `${b.x.streamManagement.inbound} stanzas counted`);
  await a.x.stop();

  // By the token, without the password: the same resource.
  const c = open(user(env.INTEROP_USER_A), { token }, userAgent);
  const again = await c.x.start();
  check(again.toString() === address.toString(), `${again}, before ${address}`);
  check(mechanisms(c.log).join() === "HT-SHA-256-NONE", `mechanisms ${mechanisms(c.log)}`);

  // The connection is cut: xmpp.js comes back by the token, and resumes its session in the
  // same request. It has missed nothing.
  const resumed = once(c.x.streamManagement, "resumed");
  const missed = once(c.x, "stanza", (e) => e.is("message"));
  cut(c.x.socket);
  await b.x.send(xml("message", { to: again.toString(), type: "chat" }, xml("body", {}, "missed")));
  await resumed;
  check(mechanisms(c.log).join() === "HT-SHA-256-NONE,HT-SHA-256-NONE", `mechanisms ${mechanisms(c.log)}`);
  const back = last(c.log.received, "success");
  check(back.getChild("resumed", "urn:xmpp:sm:3") && !back.getChild("bound", "urn:xmpp:bind:0"), `not resumed: ${back}`);
  check(c.x.jid.toString() === address.toString(), `${c.x.jid}, before ${address}`);
  check((await missed).getChildText("body") === "missed", "another message");
  const answer = await c.x.iqCaller.get(xml("ping", "urn:xmpp:ping"), env.INTEROP_DOMAIN);
  check(answer !== null, "no response");
  await c.x.stop();

  // A token that is not valid: xmpp.js falls back to the password.
  const d = open(user(env.INTEROP_USER_A), { password: env.INTEROP_PASSWORD, token: { ...token, token: token.token + "x" } }, userAgent);
  await d.x.start();
  check(mechanisms(d.log).join() === "HT-SHA-256-NONE,SCRAM-SHA-1", `mechanisms ${mechanisms(d.log)}`);
  check((await d.x.fast.fetchToken())?.token !== token.token, "no new token");
  await d.x.stop();
  await b.x.stop();
  for (const { log } of [a, b, c, d]) for (const e of log.errors) check(e.code === "ECONNRESET", e);
  await sleep(0);
}

main().then(
  () => process.exit(0),
  (e) => {
    console.error(e);
    process.exit(1);
  },
);
