"""A slixmpp client with stream management (XEP-0198) that resumes its session, and
a conversation of two clients that shows that nothing is lost. It uses direct TLS:
slixmpp 1.8.3 does not notice that a connection ends in the handshake after
STARTTLS.
"""

import asyncio

import slixmpp
from client import TIMEOUT, Client, check
from slixmpp.plugins.base import register_plugin
from slixmpp.plugins.xep_0198 import XEP_0198
from slixmpp.plugins.xep_0198.stanza import Resume


class StreamManagement(XEP_0198):
    """Works around what slixmpp 1.8.3 does wrong."""

    def _handle_outgoing(self, stanza):
        # It forgets what is not acknowledged when it requests a resumption.
        if isinstance(stanza, Resume):
            self.enabled_out = True
            return stanza
        return super()._handle_outgoing(stanza)

    def _handle_resumed(self, resumed):
        # It puts what it sends again after what was sent meanwhile.
        self.xmpp.features.add("stream_management")
        self.enabled_in = True
        self._handle_ack(resumed)
        for _, stanza in self.unacked_queue:
            self.xmpp.send_raw(str(stanza))
        self.xmpp.event("session_resumed", resumed)


class Phone(Client):
    """A client that is often without a network."""

    def __init__(self, jid):
        super().__init__(jid, plugins=("xep_0198",), mech="PLAIN")
        self.unsent = []
        self.add_event_handler("session_resumed", self._send_unsent)

    def say(self, to, body):
        """Sends a message, at once or when the session is resumed. slixmpp loses
        one that is in its queue when the connection ends."""
        message = self.make_message(to, body, mtype="chat")
        if not self._session_started:
            self.unsent.append(message)
            return
        self["xep_0198"]._handle_outgoing(message)
        self.send_raw(str(message))

    def _send_unsent(self, _):
        for message in self.unsent:
            self["xep_0198"]._handle_outgoing(message)
            self.send_raw(str(message))
        self.unsent.clear()

    async def reconnect(self):
        """Connects and logs in once. Returns how that ended: the session is
        "resumed", or there is a "new" one, or the connection was "cut"."""
        ended = asyncio.get_running_loop().create_future()
        handlers = {}
        for event, outcome in (("session_resumed", "resumed"), ("session_start", "new"), ("disconnected", "cut"), ("connection_failed", "cut")):
            handlers[event] = lambda _, outcome=outcome: ended.done() or ended.set_result(outcome)
            self.add_event_handler(event, handlers[event])
        self.connect(self._server, use_ssl=True)
        outcome = await asyncio.wait_for(ended, TIMEOUT)
        for event, handler in handlers.items():
            self.del_event_handler(event, handler)
        if outcome == "cut":
            self.cancel_connection_attempt()  # it would make another one by itself
            await self.gone()
        return outcome


class Conversation:
    """Messages with numbers, both ways."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.count = 0
        self.missed = []  # what b has sent while a had no connection

    def go_on(self, messages):
        for _ in range(messages):
            self.a.say(self.b.boundjid.full, "a %d" % self.count)
            self.b.send_message(self.a.boundjid.full, "b %d" % self.count, mtype="chat")
            if not self.a.is_connected():
                self.missed.append("b %d" % self.count)
            self.count += 1

    async def check(self):
        """Checks that each message has arrived once, in order."""
        await self.a.barrier(self.b)
        await self.b.barrier(self.a)
        for client, name in ((self.a, "b"), (self.b, "a")):
            got = [s["body"] for s in client.inbox if isinstance(s, slixmpp.Message)]
            want = ["%s %d" % (name, n) for n in range(self.count)]
            for n, body in enumerate(want):
                check(got.count(body) == 1, client.label, "received", repr(body), got.count(body), "times")
                check(got[n] == body, client.label, "received", repr(got[n]), "instead of", repr(body))
            check(len(got) == len(want), client.label, "received", got[len(want):], "too")
        for stanza in self.a.inbox:
            if isinstance(stanza, slixmpp.Message) and stanza["body"] in self.missed:
                check(stanza.xml.find("{urn:xmpp:delay}delay") is not None, "no time:", stanza)


register_plugin(StreamManagement)
