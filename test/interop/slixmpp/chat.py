"""Messages between two accounts, to bare and full JIDs: their content arrives
unchanged, and strangers learn nothing."""

from client import DOMAIN, Client, account, check, demand, run


def error(stanza):
    return stanza["error"]["type"], stanza["error"]["condition"]


async def scenario():
    a = await Client(account("a") + "/a").start()
    b = await Client(account("b") + "/b").start()

    a.send_message(b.boundjid.bare, "bare", mtype="chat")
    got = await b.message("bare", frm=a.boundjid.full, kind="chat")
    check(got["to"] == b.boundjid.bare)
    b.send_message(got["from"], "full", mtype="chat")
    await a.message("full", frm=b.boundjid.full, kind="chat")

    # Text of every kind.
    for text in ("<>&'\"", "ünïcödé 漢字 \U0001f600", " spaces \n and\ttabs ", "x" * 8000, "]]>"):
        a.send_message(b.boundjid.full, text, mtype="normal")
        await b.message(text, kind="normal")

    # Extensions, prefixes, languages and attributes stay unchanged.
    a.send_raw("<message to='%s' type='chat' id='odd &quot;id&quot;' xml:lang='de' xmlns:p='urn:example:p'>"
               "<body>Hallo</body><body xml:lang='en'>Hello</body><thread>t-1</thread>"
               "<p:thing p:mark='1' plain='&lt;2'><p:inner/><other xmlns='urn:example:o'>text</other></p:thing>"
               "<active xmlns='http://jabber.org/protocol/chatstates'/></message>" % b.boundjid.full)
    got = await b.expect("the message with extensions", lambda s: s["id"] == 'odd "id"')
    check(got["from"] == a.boundjid.full and got["thread"] == "t-1", got)
    check(got.xml.get("{http://www.w3.org/XML/1998/namespace}lang") == "de", "xml:lang:", got)
    check(len(got.xml.findall("{jabber:client}body")) == 2, got)
    thing = got.xml.find("{urn:example:p}thing")
    check(thing is not None and thing.get("plain") == "<2" and thing.get("{urn:example:p}mark") == "1", got)
    check(thing.find("{urn:example:p}inner") is not None and thing.find("{urn:example:o}other").text == "text", got)
    check(got.xml.find("{http://jabber.org/protocol/chatstates}active") is not None, got)

    # A forged from is overwritten (RFC 6120 8.1.2.1).
    a.send_raw("<message to='%s' type='chat' id='forged' from='%s'><body>forged</body></message>" % (b.boundjid.full, a.boundjid.bare))
    check((await b.message("forged"))["from"] == a.boundjid.full)

    # Many messages arrive in order.
    for n in range(100):
        a.send_message(b.boundjid.full if n % 2 else b.boundjid.bare, "n%d" % n, mtype="chat")
    for n in range(100):
        got = await b.expect("the next of many", lambda s: s.name == "message")
        check(got["body"] == "n%d" % n, "out of order:", got["body"], "at", n)

    # headline reaches available resources, groupchat to a user is an error.
    a.send_message(b.boundjid.bare, "news", mtype="headline")
    await b.message("news", kind="headline")
    a.send_message(b.boundjid.bare, "room?", mtype="groupchat")
    check(error(await a.message(kind="error", frm=b.boundjid.bare)) == ("cancel", "service-unavailable"))

    # RFC 6121 8.5.3.2: chat to a full JID that is not online is delivered as to the
    # bare JID; an iq is returned.
    a.send_message(b.boundjid.bare + "/gone", "to a ghost", mtype="chat")
    await b.message("to a ghost")
    check(await a.outcome(a.iq("get", "<query xmlns='urn:example:q'/>", to=b.boundjid.bare + "/gone"))
          == ("service-unavailable", "cancel"))

    # A stranger gets the same response to every kind of request whether the account
    # exists or not (RFC 6120 13.10.2).
    nobody = "nobody-at-all@" + DOMAIN
    for payload in ("<query xmlns='urn:example:q'/>", "<query xmlns='jabber:iq:last'/>",
                    "<query xmlns='jabber:iq:roster'/>", "<query xmlns='jabber:iq:private'><x xmlns='urn:x'/></query>",
                    "<query xmlns='http://jabber.org/protocol/disco#info'/>",
                    "<query xmlns='http://jabber.org/protocol/disco#items'/>",
                    "<query xmlns='jabber:iq:version'/>", "<ping xmlns='urn:xmpp:ping'/>"):
        outcomes = [await a.outcome(a.iq("get", payload, to=to)) for to in (account("c"), nobody)]
        demand(outcomes[0] == outcomes[1], "RFC 6120 13.10.2", payload, "tells accounts apart:", outcomes)
    probes = []
    for to in (account("c"), nobody):
        a.send_presence(pto=to, ptype="probe")
        await a.barrier()
        probes.append([s.xml.get("type") for s in a.inbox if s.name == "presence" and s["from"].bare == to])
    demand(probes[0] == probes[1], "RFC 6120 13.10.2", "a probe tells accounts apart:", probes)

    # For a domain that cannot be reached there is an error (RFC 6120 10.4.3). Its
    # condition depends on federation.
    a.send_message("someone@elsewhere.invalid", "anybody there?", mtype="chat")
    got = await a.message(kind="error")
    check(error(got)[1] in ("remote-server-not-found", "remote-server-timeout"), got)

    # A response without a request is delivered or dropped, and gets no reply (RFC 6120
    # 8.2.3, 8.3.1).
    a.send_raw("<iq type='result' id='never-asked' to='%s'/>" % b.boundjid.full)
    a.send_raw("<iq type='error' id='never-asked-2' to='%s'><error type='cancel'><bad-request "
               "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>" % nobody)
    await a.barrier(b)
    await a.barrier()
    check(len(b.complaints) <= 1 and "never-asked" in "".join(b.complaints), b.complaints)
    b.complaints = []


run(scenario)
