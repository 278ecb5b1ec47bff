"""A client for all slixmpp scenarios, which keeps what it has received.

A scenario is a coroutine that is passed to run(). The environment has the
server and the accounts (see the README). The exit status is 0 if the scenario
succeeds, 77 if the server does not offer the feature, and otherwise 1, after a
trace of everything that was sent and received. No scenario proves by waiting
that something did *not* arrive: see Client.barrier.
"""

import asyncio
import logging
import os
import re
import ssl
import sys
import traceback
import uuid

import slixmpp
from slixmpp.exceptions import IqError

DOMAIN = os.environ["INTEROP_DOMAIN"]
CA = os.environ["INTEROP_CA"]
PASSWORD = os.environ["INTEROP_PASSWORD"]
TIMEOUT = 3 if os.environ.get("INTEROP_LENIENT") else 15  # seconds to wait for an expected stanza

_trace = []
_clients = []


def address(tls=False, network=False):
    """Host and port of the server: for STARTTLS, for direct TLS, or for direct TLS
    over a network that the scenario can cut."""
    host, _, port = os.environ["INTEROP_NETWORK" if network else "INTEROP_TLS" if tls else "INTEROP_STARTTLS"].rpartition(":")
    return host, int(port)


def account(name):
    """The bare JID of the account that the harness created for this name."""
    return os.environ["INTEROP_USER_" + name.upper()]


class NotOffered(Exception):
    """The server does not offer what the scenario needs."""


class Failure(Exception):
    """An unmet expectation of a scenario."""


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(w) for w in what))


def demand(condition, source, *what):
    """Checks a rule that some servers are known to violate. If INTEROP_LENIENT
    is set, a violation is only reported."""
    if not condition and os.environ.get("INTEROP_LENIENT"):
        print("differs from", source + ":", *what)
        return False
    check(condition, source + ":", *what)
    return True


class Client(slixmpp.ClientXMPP):
    """A slixmpp client that replies to no subscription by itself, keeps the
    messages, presences and pushes it received in `inbox`, and checks that
    every request it sends gets exactly one response with its id."""

    def __init__(self, jid, password=PASSWORD, plugins=(), mech=None, ca=CA):
        super().__init__(jid, password, sasl_mech=mech)
        self.label = jid
        self.auto_authorize = None
        self.auto_subscribe = False
        # The name that the certificate must have: slixmpp uses the name that it
        # connects to, which is an IP address here.
        self.default_domain = DOMAIN
        self.use_ipv6 = False
        self.use_aiodns = False
        self.whitespace_keepalive = False
        self.ca_certs = ca
        self.inbox = []
        self.stream_errors = []
        self.offered = []
        self.mechanism_failures = []
        self._waiting = []
        self._asked = {}
        self._pushes = set()
        self.complaints = []
        self.add_filter("in", self._received)
        self.add_filter("out", self._sent)
        self.add_event_handler("stream_error", self.stream_errors.append)
        self.add_event_handler(
            "failed_auth", lambda f: self.mechanism_failures.append((self["feature_mechanisms"].mech.name, f["condition"])))
        if mech:
            self._without_binding()
        for plugin in plugins:
            self.register_plugin(plugin)
        _clients.append(self)

    def _without_binding(self):
        """Has the client say that it knows no channel binding, where it may use
        one mechanism only. slixmpp 1.8 otherwise claims the server offered no
        binding ("y"), which RFC 5802 section 6 has a server refuse that did."""
        mechanisms = self["feature_mechanisms"]
        stock = mechanisms.sasl_callback
        mechanisms.sasl_callback = lambda required, optional: {**stock(required, optional), "channel_binding": b""}

    async def get_dns_records(self, domain, port=None):
        """Uses the given address instead of DNS."""
        return [(domain,) + self._server]

    # The trace of all input and output.

    def send_raw(self, data):
        _trace.append("%s C: %s" % (self.label, data if isinstance(data, str) else data.decode()))
        super().send_raw(data)

    def data_received(self, data):
        text = data.decode("utf-8", "replace")
        _trace.append("%s S: %s" % (self.label, text))
        self.offered += re.findall(r"<(?:\w+:)?mechanism(?: [^>]*)?>([^<]*)<", text)
        super().data_received(data)

    # Stanzas.

    def _sent(self, stanza):
        if isinstance(stanza, slixmpp.Iq) and stanza["type"] in ("get", "set"):
            self._asked[stanza["id"]] = self._asked.get(stanza["id"], 0) + 1
        return stanza

    def _received(self, stanza):
        if isinstance(stanza, slixmpp.Iq):
            if stanza["type"] in ("result", "error"):
                if self._asked.pop(stanza["id"], 0) != 1:
                    self.complaints.append("%s got an answer to nothing: %s" % (self.label, stanza))
                return stanza
            if stanza["id"] in self._pushes:
                self.complaints.append("%s got two requests with one id: %s" % (self.label, stanza))
            self._pushes.add(stanza["id"])
        if isinstance(stanza, (slixmpp.Iq, slixmpp.Message, slixmpp.Presence)):
            self.inbox.append(stanza)
            for done in self._waiting:
                if not done.done():
                    done.set_result(None)
            self._waiting = []
        return stanza

    async def expect(self, what, matches):
        """Waits for the first stanza of the inbox that matches, and removes it."""
        deadline = asyncio.get_running_loop().time() + TIMEOUT
        while True:
            for stanza in self.inbox:
                if matches(stanza):
                    self.inbox.remove(stanza)
                    return stanza
            more = asyncio.get_running_loop().create_future()
            self._waiting.append(more)
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(more, left)
            except asyncio.TimeoutError:
                raise Failure("%s never got %s; its inbox: %s" % (self.label, what, [str(s) for s in self.inbox])) from None

    async def message(self, body=None, frm=None, kind=None):
        return await self.expect(
            "a message %r from %s" % (body, frm),
            lambda s: isinstance(s, slixmpp.Message) and (body is None or s["body"] == body)
            and (frm is None or s["from"] == frm) and (kind is None or s["type"] == kind))

    async def presence(self, kind="available", frm=None):
        """Waits for presence; kind is its type, or "available" (with any show).
        A bare frm matches any of its resources."""
        def matches(s):
            if not isinstance(s, slixmpp.Presence):
                return False
            if (s.xml.get("type") or "available") != kind:
                return False
            return frm is None or s["from"] == frm or ("/" not in str(frm) and s["from"].bare == frm)
        return await self.expect("presence %s from %s" % (kind, frm), matches)

    async def push(self, jid, **fields):
        """Waits for a roster push for jid whose item has these attributes."""
        def matches(s):
            if not isinstance(s, slixmpp.Iq) or s["type"] != "set":
                return False
            items = s.xml.findall("{jabber:iq:roster}query/{jabber:iq:roster}item")
            return len(items) == 1 and items[0].get("jid") == jid and all(items[0].get(k) == v for k, v in fields.items())
        stanza = await self.expect("a roster push for %s with %s" % (jid, fields), matches)
        check(not stanza.xml.get("from") or stanza["from"].bare == self.boundjid.bare, "push from", stanza["from"])
        return stanza

    async def demand(self, source, expected):
        """Waits for something that some servers are known not to send: see demand."""
        try:
            return await expected
        except Failure as missed:
            demand(False, source, missed)

    def nothing(self, what, matches):
        """Fails if something in the inbox matches. Proves something only after
        a barrier."""
        found = [str(s) for s in self.inbox if matches(s)]
        check(not found, self.label, "got", what, ":", found)

    async def barrier(self, *others):
        """Returns when each of the others has everything that this client sent
        to it before: a message to a full JID cannot overtake what was sent
        earlier by the same sender (RFC 6120 10.1)."""
        for other in others or (self,):
            token = "barrier-" + uuid.uuid4().hex
            self.send_message(other.boundjid.full, token, mtype="normal")
            await other.message(token)

    async def ask(self, iq):
        """Sends a request and returns the response, or raises IqError."""
        return await iq.send(timeout=TIMEOUT)

    async def outcome(self, iq):
        """Sends a request and returns ("result", "") or the condition and the
        type of the error."""
        try:
            await iq.send(timeout=TIMEOUT)
        except IqError as err:
            return err.iq["error"]["condition"], err.iq["error"]["type"]
        return "result", ""

    def iq(self, kind, payload, to=None, ident=None):
        """Returns an iq with literal XML as its payload."""
        iq = self.Iq(stype=kind, sto=to, sid=ident or self.new_id())
        if payload:
            iq.append(slixmpp.xmlstream.ET.fromstring(payload))
        return iq

    # The session.

    async def start(self, tls=False, roster=True, presence=True, network=False, **kwargs):
        """Connects, logs in and binds. On request, also gets the roster, becomes
        available and waits for its own presence."""
        ended = asyncio.get_running_loop().create_future()

        def end(outcome):
            if not ended.done():
                ended.set_result(outcome)
        self.add_event_handler("session_start", lambda _: end("session_start"), disposable=True)
        self.add_event_handler("disconnected", lambda why: end("disconnected %s" % why), disposable=True)
        self._server = address(tls, network)
        self.connect(self._server, use_ssl=tls or network, **kwargs)
        outcome = await asyncio.wait_for(ended, TIMEOUT)
        wanted = self["feature_mechanisms"].use_mech
        if outcome != "session_start" and wanted and wanted not in self.offered:
            raise NotOffered(wanted, "offered are", self.offered)
        check(outcome == "session_start", self.label, "could not log in:", outcome, self.mechanism_failures)
        self.label = self.boundjid.full
        if roster:
            await self.get_roster(timeout=TIMEOUT)
        if presence:
            self.send_presence()
            await self.presence(frm=self.boundjid.full)
        return self

    async def refuse_login(self, tls=False):
        """Tries to log in, and fails if that works."""
        ended = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: ended.done() or ended.set_result("in"))
        self.add_event_handler("disconnected", lambda _: ended.done() or ended.set_result("out"))
        self._server = address(tls)
        self.connect(self._server, use_ssl=tls)
        check(await asyncio.wait_for(ended, TIMEOUT) == "out", self.label, "logged in")

    async def stop(self):
        """Closes the stream and waits for the server's close."""
        if not self.is_connected():
            return
        gone = self.disconnected
        self.disconnect(wait=TIMEOUT)
        await asyncio.wait_for(gone, TIMEOUT)

    def drop(self):
        """Drops the connection without closing the stream."""
        self.transport.abort()

    async def gone(self):
        """Waits until the server has ended the connection."""
        if self.is_connected():
            await asyncio.wait_for(self.disconnected, TIMEOUT)

    async def all_answered(self):
        """Waits until every request has its response."""
        deadline = asyncio.get_running_loop().time() + TIMEOUT
        while self._asked and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        self.answered()

    def answered(self):
        """Fails if a request has no response, or a response has no request."""
        check(not self.complaints, *self.complaints)
        check(not self._asked, self.label, "got no answer to", list(self._asked))


async def befriend(a, b):
    """Subscribes two available clients to each other, and removes the stanzas
    of that from their inboxes."""
    for one, other in ((a, b), (b, a)):
        one.send_presence_subscription(other.boundjid.bare, ptype="subscribe")
        await other.presence("subscribe", one.boundjid.bare)
        other.send_presence_subscription(one.boundjid.bare, ptype="subscribed")
        await one.presence("subscribed", other.boundjid.bare)
        await one.presence(frm=other.boundjid.full)
    await a.push(b.boundjid.bare, subscription="both")
    await b.push(a.boundjid.bare, subscription="both")
    await a.barrier(b)
    await b.barrier(a)
    a.inbox.clear()
    b.inbox.clear()


async def order(what):
    """Asks the harness for something and waits until it is done: to "stop" or
    "start" the server, or to "cut N" the connections of clients that were started
    with network=True, after N more bytes in both directions together. "lose N"
    cuts them so that the server does not notice. With a negative N, none is cut."""
    print("@" + what, flush=True)
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    check(line.strip() == "ok", "the harness said", repr(line))


def run(scenario, *args):
    """Runs a scenario and exits with its status."""
    if os.environ.get("INTEROP_DEBUG"):
        logging.basicConfig(level=logging.DEBUG)

    async def whole():
        await scenario(*args)
        for client in _clients:
            client.answered()
            await client.stop()
    try:
        asyncio.run(asyncio.wait_for(whole(), float(os.environ.get("INTEROP_SECONDS", "60"))))
    except BaseException as failed:
        for line in _trace:
            print(line, file=sys.stderr)
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(77 if isinstance(failed, NotOffered) else 1)
    sys.stdout.flush()
    os._exit(0)
