"""The small extensions, as slixmpp uses them."""

import datetime
import re

from client import DOMAIN, Client, account, befriend, check, demand, run

PLUGINS = ("xep_0030", "xep_0012", "xep_0049", "xep_0054", "xep_0092", "xep_0115", "xep_0199", "xep_0202")


async def scenario():
    a = await Client(account("a") + "/a", plugins=PLUGINS).start()
    b = await Client(account("b") + "/b", plugins=PLUGINS).start()
    await befriend(a, b)

    # XEP-0030: the server, the own account, another client.
    info = (await a["xep_0030"].get_info(DOMAIN))["disco_info"]
    check(("server", "im") in {i[:2] for i in info["identities"]}, info)
    for feature in ("http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items",
                    "urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time", "jabber:iq:last", "jabber:iq:private",
                    "vcard-temp", "jabber:iq:register", "msgoffline"):
        check(feature in info["features"], "not advertised:", feature, "in", sorted(info["features"]))
    items = await a["xep_0030"].get_items(DOMAIN)
    check(items["type"] == "result")
    info = (await a["xep_0030"].get_info(account("a")))["disco_info"]
    check(("account", "registered") in {i[:2] for i in info["identities"]}, info)
    info = (await a["xep_0030"].get_info(b.boundjid.full))["disco_info"]
    check("urn:xmpp:ping" in info["features"], info)
    check((await a.outcome(a["xep_0030"].xmpp.iq("get",
          "<query xmlns='http://jabber.org/protocol/disco#info' node='no-such-node'/>", to=DOMAIN)))[0] == "item-not-found")

    # XEP-0199: server, own account, client to client.
    for to in (DOMAIN, None, a.boundjid.bare, b.boundjid.full):
        await a.ask(a.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=to))
    check(await a["xep_0199"].ping(DOMAIN, timeout=10) >= 0)

    # XEP-0092, XEP-0202.
    version = (await a["xep_0092"].get_version(DOMAIN))["software_version"]
    check(version["name"] and version["version"], version)
    print("talking to", version["name"], version["version"])
    time = await a["xep_0202"].get_entity_time(DOMAIN)
    # Parsed here: slixmpp cannot parse the <utc/> that XEP-0202 requires.
    utc = datetime.datetime.fromisoformat(time.xml.find(".//{urn:xmpp:time}utc").text)
    check(abs((datetime.datetime.now(datetime.timezone.utc) - utc).total_seconds()) < 3600, time)
    check(re.fullmatch(r"Z|[+-]\d\d:\d\d", time.xml.find(".//{urn:xmpp:time}tzo").text), time)

    # XEP-0012: uptime of the server; idle time of a contact; when a contact
    # was last online.
    last = (await a["xep_0012"].get_last_activity(DOMAIN))["last_activity"]
    check(last["seconds"] >= 0, last)
    b.send_presence(ptype="unavailable", pstatus="gone fishing")
    await b.stop()
    await a.presence("unavailable", b.boundjid.full)
    last = (await a["xep_0012"].get_last_activity(account("b")))["last_activity"]
    check(0 <= last["seconds"] < 300, last)
    check(last["status"] in ("gone fishing", "", None), last)  # stored by the node that it left, soon
    got = await a.outcome(a.iq("get", "<query xmlns='jabber:iq:last'/>", to=account("c")))
    check(got[0] in ("forbidden", "service-unavailable", "subscription-required"), "a stranger's last activity:", got)

    # XEP-0049.
    store = "<query xmlns='jabber:iq:private'>%s</query>"
    await a.ask(a.iq("set", store % "<prefs xmlns='urn:example:prefs' v='1'><a>&lt;b&gt;</a></prefs>"))
    await a.ask(a.iq("set", store % "<other xmlns='urn:example:other'/>"))
    answer = await a.ask(a.iq("get", store % "<prefs xmlns='urn:example:prefs'/>"))
    prefs = answer.xml.find(".//{urn:example:prefs}prefs")
    check(prefs is not None and prefs.get("v") == "1" and prefs[0].text == "<b>", answer)
    answer = await a.ask(a.iq("get", store % "<never xmlns='urn:example:never'/>"))
    never = answer.xml.find(".//{urn:example:never}never")
    check(never is not None and len(never) == 0, answer)
    got = await a.outcome(a.iq("get", store % "<prefs xmlns='urn:example:prefs'/>", to=account("b")))
    check(got[0] in ("forbidden", "service-unavailable"), "another's private data:", got)

    # The legacy session, and an unknown request.
    await a.ask(a.iq("set", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"))
    for to in (None, DOMAIN, a.boundjid.bare):
        for kind in ("get", "set"):
            got = await a.outcome(a.iq(kind, "<q xmlns='urn:example:unknown'/>", to=to))
            check(got == ("service-unavailable", "cancel"), to, kind, got)


run(scenario)
