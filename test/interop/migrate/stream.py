"""A small XMPP client, which sends text and looks for text in what it receives."""

import base64
import hashlib
import hmac
import os
import re
import socket
import ssl

TIMEOUT = 30  # seconds


class Stream:
    def __init__(self, port, user, password, tls=False, mechanism="PLAIN"):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.buffer, self.requests = "", 0
        self.features = self.open()
        {"PLAIN": self.plain, "SCRAM-SHA-1": self.scram}[mechanism](user, password)
        self.open()
        self.request("set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")

    def open(self):
        self.send(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' "
            "xmlns:stream='http://etherx.jabber.org/streams' to='localhost'>"
        )
        return self.until("</stream:features>")

    def plain(self, user, password):
        self.auth("PLAIN", f"\0{user}\0{password}")
        self.until("<success")
        self.until(">")
        self.buffer = ""

    def scram(self, user, password):
        first = f"n={user},r={base64.b64encode(os.urandom(12)).decode()}"
        self.auth("SCRAM-SHA-1", "n,," + first)
        challenge = self.payload("challenge")
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha1", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
        key = hmac.digest(salted, b"Client Key", "sha1")
        last = "c=biws,r=" + values["r"]
        message = f"{first},{challenge},{last}".encode()
        signature = hmac.digest(hashlib.sha1(key).digest(), message, "sha1")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        response = base64.b64encode(f"{last},p={proof}".encode()).decode()
        self.send(f"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{response}</response>")
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha1"), message, "sha1")
        assert self.payload("success") == "v=" + base64.b64encode(server).decode()

    def auth(self, mechanism, text):
        text = base64.b64encode(text.encode()).decode()
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>")

    def payload(self, name):
        text = self.until(f"</{name}>")
        return base64.b64decode(re.search(f"<{name}[^>]*>(.*)</{name}>", text).group(1)).decode()

    def send(self, text):
        self.socket.sendall(text.encode())

    def receive(self):
        data = self.socket.recv(1 << 16)
        assert data, "the server has closed the connection after " + self.buffer
        self.buffer += data.decode()

    def until(self, text):
        """Returns what was received, up to the text."""
        while text not in self.buffer:
            self.receive()
        before, self.buffer = self.buffer.split(text, 1)
        return before + text

    def request(self, kind, payload):
        """Returns the response. What was received before it stays."""
        self.requests += 1
        name = f"q{self.requests}"
        self.send(f"<iq type='{kind}' id='{name}'>{payload}</iq>")
        pattern = re.compile(rf"<iq(?=[^>]*\bid=['\"]{name}['\"])[^>]*?(/>|>.*?</iq>)", re.S)
        while not (found := pattern.search(self.buffer)):
            self.receive()
        self.buffer = self.buffer.replace(found.group(0), "")
        assert "type='error'" not in found.group(0), found.group(0)
        return found.group(0)

    def close(self):
        self.send("</stream:stream>")
        self.until("</stream:stream>")
        self.socket.close()
