"""A client that does not wait for responses: a complete login and the first
message in one write, then a burst in one write. No library does this, so this
uses Python's sockets and TLS.

    pipeline.py starttls|direct restart|whole

"restart" waits for <success/>, as RFC 6120 6.4.6 requires; "whole" sends the
new stream header immediately after <auth/>, as in XEP-0305.
"""

import base64
import collections
import re
import socket
import ssl
import sys
import xml.etree.ElementTree as ET

from client import CA, DOMAIN, PASSWORD, TIMEOUT, account, address, check, demand, Failure

HEADER = "<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" % DOMAIN


class Wire:
    """Parses a stream element by element. An XML declaration starts a new one."""

    def __init__(self, tls):
        self.sock = socket.create_connection(address(tls), TIMEOUT)
        self.trace = []
        self.elements = collections.deque()
        if tls:
            self.secure()

    def secure(self):
        context = ssl.create_default_context(cafile=CA)
        self.sock = context.wrap_socket(self.sock, server_hostname=DOMAIN, suppress_ragged_eofs=False)

    def send(self, text):
        self.trace.append("C: " + text)
        self.sock.sendall(text.encode())

    def read(self):
        """Returns the next complete first-level element, or the root at the end
        of the stream."""
        while not self.elements:
            data = self.sock.recv(65536).decode()
            self.trace.append("S: " + data)
            check(data, "the server closed the connection")
            for stream in filter(None, re.split(r"(?=<\?xml )", data)):
                self.feed(stream)
        return self.elements.popleft()

    def feed(self, data):
        if data.startswith("<?xml "):
            self.parser = ET.XMLPullParser(("start", "end"))
            self.depth = 0
        self.parser.feed(data)
        for event, element in self.parser.read_events():
            self.depth += 1 if event == "start" else -1
            if event == "end" and self.depth <= 1:
                self.elements.append(element)

    def until(self, tag, ident=None):
        while True:
            element = self.read()
            if element.tag.endswith("}" + tag) and (ident is None or element.get("id") == ident):
                return element


def scenario(wire, tls, whole):
    if not tls:
        # Nothing may follow <starttls/> in the same write (RFC 6120 5.4.2.3); the
        # header may precede it.
        wire.send(HEADER + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        wire.until("proceed")
        wire.secure()
    name = account("a").partition("@")[0]
    plain = base64.b64encode(("\0%s\0%s" % (name, PASSWORD)).encode()).decode()
    auth = HEADER + "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>" % plain
    if not whole:
        wire.send(auth)
        wire.until("success")
        auth = ""
    wire.send(auth + HEADER + "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>pipe</resource></bind></iq>"
              + "<iq type='set' id='session'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
              + "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>"
              + "<message to='%s' id='self' type='chat'><body>first</body></message>" % account("a"))
    if whole:
        wire.until("success")
    for ident in ("bind", "session", "roster"):
        check(wire.until("iq", ident).get("type") == "result", ident)
    check(wire.until("message").get("id") == "self")

    # A burst in one write gets all responses in order, also with white space between
    # the requests and with splits anywhere.
    burst = "".join("<iq type='get' id='p%d'><ping xmlns='urn:xmpp:ping'/></iq>%s" % (n, " \n"[n % 2]) for n in range(500))
    wire.send(burst)
    for n in range(500):
        check(wire.until("iq").get("id") == "p%d" % n, "answer", n)
    for char in "<iq type='get' id='slow'><ping xmlns='urn:xmpp:ping'/></iq>":
        wire.send(char)
    wire.until("iq", "slow")

    # The closing tag and what precedes it, in one write.
    wire.send("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>")
    wire.until("iq", "last")
    check(wire.until("stream") is not None)
    try:
        while data := wire.sock.recv(65536):
            wire.trace.append("S: " + data.decode())
    except ssl.SSLEOFError:
        demand(False, "RFC 6120 4.4", "closed without close_notify")


tls, whole = sys.argv[1] == "direct", sys.argv[2] == "whole"
wire = Wire(tls)
try:
    scenario(wire, tls, whole)
except Failure as missed:
    print("\n".join(wire.trace), file=sys.stderr)
    demand(not whole, "XEP-0305", "pipelined over the restart:", missed)
    if not whole:
        raise
except BaseException:
    print("\n".join(wire.trace), file=sys.stderr)
    raise
