"""A complete session, checked in detail: every request gets one response, with
exactly its id, from the addressee of the request to its sender, in order, for
any id."""

from client import DOMAIN, Client, account, check, demand, run
from slixmpp.xmlstream import ET

IDS = ["1", "0", "a b", " padded ", "ünïcödé-漢字-\U0001f600", "<&>\"'", "x" * 1000, "../../etc/passwd", "%s%n", "null"]
REQUESTS = [
    ("get", "<query xmlns='jabber:iq:roster'/>", None),
    ("get", "<ping xmlns='urn:xmpp:ping'/>", DOMAIN),
    ("get", "<ping xmlns='urn:xmpp:ping'/>", None),
    ("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", DOMAIN),
    ("get", "<query xmlns='jabber:iq:version'/>", DOMAIN),
    ("get", "<vCard xmlns='vcard-temp'/>", None),
    ("set", "<query xmlns='jabber:iq:private'><x xmlns='urn:x'/></query>", None),
    ("get", "<query xmlns='jabber:iq:private'><x xmlns='urn:x'/></query>", None),
    ("get", "<q xmlns='urn:example:unknown'/>", None),
    ("get", "<q xmlns='urn:example:unknown'/>", DOMAIN),
    ("set", "<q xmlns='urn:example:unknown'/>", "nobody-at-all@" + DOMAIN),
    ("get", "<q xmlns='urn:example:unknown'/>", "nobody-at-all@" + DOMAIN + "/r"),
    ("get", "<q xmlns='urn:example:unknown'/>", "elsewhere.invalid"),
    ("set", "<query xmlns='jabber:iq:roster'><item jid='r@" + DOMAIN + "' name='n'/></query>", None),
    ("set", "<query xmlns='jabber:iq:roster'><item jid='r@" + DOMAIN + "' subscription='remove'/></query>", None),
]


def attribute(text):
    """Returns text as the value of an attribute."""
    for char, escaped in (("&", "&amp;"), ("<", "&lt;"), ("'", "&apos;")):
        text = text.replace(char, escaped)
    return text


async def scenario():
    a = await Client(account("a") + "/a").start()
    answers = []
    a.add_filter("in", lambda s: answers.append(s.xml) or s)
    wanted = []
    requests = [(i, IDS[i] if i < len(IDS) else "id-%d" % i, REQUESTS[i % len(REQUESTS)]) for i in range(5 * len(REQUESTS))]
    for number, ident, (kind, payload, to) in requests:
        iq = "<iq type='%s' id='%s'%s>%s</iq>" % (kind, attribute(ident), " to='%s'" % to if to else "", payload)
        wanted.append((ident, to))
        a._asked[ident] = 1
        a.send_raw(iq)
    await a.all_answered()
    await a.barrier()

    got = [x for x in answers if x.tag == "{jabber:client}iq" and x.get("type") in ("result", "error")]
    check(sorted(x.get("id") for x in got if x.get("id") != "x") == sorted(i for i, _ in wanted),
          "ids asked and answered differ:", sorted({i for i, _ in wanted} ^ {x.get("id") for x in got}))
    for ident, to in wanted:
        answer = next(x for x in got if x.get("id") == ident)
        check(answer.get("to") in (None, a.boundjid.full), "answered to", answer.get("to"))
        frm = answer.get("from")
        check(frm == to or (to is None and frm in (None, a.boundjid.bare)), "asked", to, "answered by", frm, ET.tostring(answer))
        errors = answer.findall("{jabber:client}error")
        check(len(errors) == (answer.get("type") == "error"), ET.tostring(answer))
        for error in errors:
            check(error.get("type") in ("auth", "cancel", "continue", "modify", "wait"), ET.tostring(answer))
            conditions = [c for c in error if c.tag.startswith("{urn:ietf:params:xml:ns:xmpp-stanzas}") and not c.tag.endswith("}text")]
            check(len(conditions) == 1, "not one condition:", ET.tostring(answer))

    # RFC 6120 10.1: requests between two entities are processed in order.
    for peer in (None, DOMAIN):
        asked = [i for i, to in wanted if to == peer]
        order = [x.get("id") for x in got if x.get("id") in asked]
        check(order == asked, "answered out of order")

    # A tab or line end in an attribute survives only as a reference (XML 1.0 section
    # 3.3.3), which the response needs too.
    a.send_raw("<iq type='get' id='tab&#9;nl&#10;end'><ping xmlns='urn:xmpp:ping'/></iq>")
    await a.barrier()
    a.complaints = []
    demand("tab\tnl\nend" in [x.get("id") for x in answers], "RFC 6120 8.1.3", "id with tab came back as",
           [x.get("id") for x in answers if (x.get("id") or "").startswith("tab")])

    # Invalid requests: no id, no type, no child or two.
    bad = []
    a.add_filter("in", lambda s: bad.append(s.xml) or s)
    a.complaints = []
    for iq in ("<iq type='get' id='bad-1'/>",
               "<iq type='set' id='bad-2'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>",
               "<iq id='bad-3'><ping xmlns='urn:xmpp:ping'/></iq>",
               "<iq type='what' id='bad-4'><ping xmlns='urn:xmpp:ping'/></iq>"):
        a.send_raw(iq)
    await a.barrier()
    a.complaints = []
    for ident in ("bad-1", "bad-2", "bad-3", "bad-4"):
        answer = [x for x in bad if x.get("id") == ident]
        if demand(len(answer) == 1 and answer[0].get("type") == "error", "RFC 6120 8.2.3", ident, "gave", [ET.tostring(x) for x in answer]):
            check(answer[0].find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}bad-request") is not None, ET.tostring(answer[0]))


run(scenario)
