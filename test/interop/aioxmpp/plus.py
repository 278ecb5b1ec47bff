"""A login with channel binding, by aioxmpp and aiosasl using pyOpenSSL, then a
short session with aioxmpp's services, which reject stanzas that violate their
schema.

    plus.py TYPE [direct] [1.2]

TYPE is tls-exporter (RFC 9266), tls-server-end-point or, with 1.2, tls-unique
(RFC 5929), wrong (a binding that does not match and must be rejected), or none
(SCRAM of a client that does not support bindings, which a server that offers
-PLUS must accept too).
"""

import asyncio
import hashlib
import os
import sys

import aiosasl
import aioxmpp
import aioxmpp.connector
import aioxmpp.security_layer
import OpenSSL
from cryptography.hazmat.primitives.serialization import Encoding

DOMAIN = os.environ["INTEROP_DOMAIN"]
CA = os.environ["INTEROP_CA"]
PASSWORD = os.environ["INTEROP_PASSWORD"]
TIMEOUT = 20


class Binding(aiosasl.channel_binding.ChannelBindingProvider):
    """Channel binding data of a pyOpenSSL connection."""

    def __init__(self, connection, name):
        self._connection = connection
        self._name = name

    @property
    def cb_name(self):
        return self._name.replace("wrong", "tls-exporter").encode()

    def extract_cb_data(self):
        if self._name == "wrong":
            return b"\0" * 32
        if self._name == "tls-unique":
            return self._connection.get_finished()
        if self._name == "tls-exporter":
            return self._connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        certificate = self._connection.get_peer_certificate().to_cryptography()
        # RFC 5929 4.1: the hash function of the signature, SHA-256 instead of weaker ones.
        name = certificate.signature_hash_algorithm.name if certificate.signature_hash_algorithm else "sha256"
        return hashlib.new("sha256" if name in ("md5", "sha1") else name, certificate.public_bytes(Encoding.DER)).digest()


class Scram(aioxmpp.security_layer.SASLProvider):
    """SCRAM with the given binding, and nothing else."""

    def __init__(self, name):
        self.name = name
        self.used = None
        self.missing = False

    async def execute(self, client_jid, features, xmlstream, tls_transport):
        async def credentials():
            return client_jid.localpart, PASSWORD

        if self.name == "none":
            mechanism = aiosasl.SCRAM(credentials)
        else:
            connection = tls_transport.get_extra_info("ssl_object")
            mechanism = aiosasl.SCRAMPLUS(credentials, Binding(connection, self.name))
        kind, token = self._find_supported(features, [mechanism])
        if kind is None:
            self.missing = True
            return False
        self.used = token
        return await self._execute(aioxmpp.sasl.SASLXMPPInterface(xmlstream), kind, token)


def client(name, provider, direct, version):
    """A client that trusts only this certificate."""
    def context():
        made = aioxmpp.security_layer.default_ssl_context()
        made.load_verify_locations(CA)
        if version == "1.2":
            made.set_max_proto_version(OpenSSL.SSL.TLS1_2_VERSION)
        return made

    host, _, port = os.environ["INTEROP_TLS" if direct else "INTEROP_STARTTLS"].rpartition(":")
    connector = aioxmpp.connector.XMPPOverTLSConnector() if direct else aioxmpp.connector.STARTTLSConnector()
    return aioxmpp.PresenceManagedClient(
        aioxmpp.JID.fromstr(os.environ["INTEROP_USER_" + name]),
        aioxmpp.security_layer.SecurityLayer(context, aioxmpp.security_layer.PKIXCertificateVerifier, True, [provider]),
        override_peer=[(host, int(port), connector)], max_initial_attempts=1)


async def scenario(binding, options):
    direct = "direct" in options
    version = "1.2" if "1.2" in options else "1.3"
    provider = Scram(binding)
    one = client("A", provider, direct, version)
    # Before it connects: otherwise the service does not request the roster.
    one.summon(aioxmpp.RosterClient)
    try:
        async with one.connected():
            print("aioxmpp logged in with", provider.used[0], "binding", binding)
            assert binding != "wrong", "a wrong binding was accepted"
            await session(one)
    except aiosasl.AuthenticationFailure as refused:
        assert binding == "wrong", refused
        print("refused:", refused)
    except Exception as failed:
        # Another server may offer -PLUS for other bindings.
        if provider.missing or os.environ.get("INTEROP_LENIENT") and "binding type" in str(failed):
            return 77
        raise
    return 0


async def session(one):
    """Roster, presence and messages with a second client."""
    roster = one.summon(aioxmpp.RosterClient)
    other = client("B", Scram("none"), False, "1.3")
    peer = other.summon(aioxmpp.RosterClient)
    other_bare = other.local_jid.bare()
    messages = asyncio.Queue()
    dispatcher = other.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
    dispatcher.register_callback(aioxmpp.MessageType.CHAT, None, messages.put_nowait)
    asked = asyncio.get_running_loop().create_future()
    peer.on_subscribe.connect(lambda stanza: asked.done() or asked.set_result(stanza))
    subscribed = asyncio.get_running_loop().create_future()
    roster.on_subscribed.connect(lambda stanza: subscribed.done() or subscribed.set_result(stanza))
    available = asyncio.get_running_loop().create_future()
    one.summon(aioxmpp.PresenceClient).on_available.connect(
        lambda jid, stanza: jid.bare() == other_bare and (available.done() or available.set_result(jid)))

    async with other.connected():
        await roster.set_entry(other_bare, name="Other", add_to_groups={"G & H"})
        roster.subscribe(other_bare)
        stanza = await asyncio.wait_for(asked, TIMEOUT)
        assert stanza.from_ == one.local_jid.bare(), stanza
        peer.approve(stanza.from_)
        await asyncio.wait_for(subscribed, TIMEOUT)
        assert await asyncio.wait_for(available, TIMEOUT) == other.local_jid

        message = aioxmpp.Message(type_=aioxmpp.MessageType.CHAT, to=other_bare)
        message.body[None] = "by aioxmpp"
        await one.send(message)
        got = await asyncio.wait_for(messages.get(), TIMEOUT)
        assert got.body.any() == "by aioxmpp" and got.from_ == one.local_jid, got

        disco = one.summon(aioxmpp.DiscoClient)
        info = await asyncio.wait_for(disco.query_info(aioxmpp.JID.fromstr(DOMAIN)), TIMEOUT)
        assert any(i.category == "server" for i in info.identities), info.identities
        await aioxmpp.ping.ping(one, aioxmpp.JID.fromstr(DOMAIN))
        version = await aioxmpp.version.query_version(one.stream, aioxmpp.JID.fromstr(DOMAIN))
        print("talking to", version.name, version.version)
        vcards = one.summon(aioxmpp.vcard.VCardService)
        card = await vcards.get_vcard(None)
        await vcards.set_vcard(card)


async def whole():
    return await asyncio.wait_for(scenario(sys.argv[1], sys.argv[2:]), 60)


if os.environ.get("INTEROP_DEBUG"):
    import logging
    logging.basicConfig(level=logging.DEBUG)
sys.exit(asyncio.run(whole()))
