"""The roster: results, pushes to every interested resource, replacement of
items, removal, errors."""

from client import DOMAIN, Client, account, check, demand, run

QUERY = "<query xmlns='jabber:iq:roster'>%s</query>"


async def scenario():
    one = await Client(account("a") + "/one").start()
    empty = await one.ask(one.iq("get", QUERY % ""))
    query = empty.xml.find("{jabber:iq:roster}query")
    check(query is not None and len(query) == 0, "an empty roster is", empty)

    two = await Client(account("a") + "/two").start()
    deaf = await Client(account("a") + "/deaf").start(roster=False)
    friend = "friend@" + DOMAIN

    async def put(item):
        await one.ask(one.iq("set", QUERY % item))

    def groups(push):
        return sorted(g.text for g in push.xml.iter("{jabber:iq:roster}group"))

    # With the library's own functions.
    await one.client_roster.update(friend, name="Friend & Co", groups=["Work", "Climbing"])
    for client in (one, two):
        push = await client.push(friend, name="Friend & Co", subscription="none")
        check(groups(push) == ["Climbing", "Work"], groups(push))

    # A replaced item keeps nothing: no name, one group.
    await put("<item jid='%s'><group>Ünïcödé</group></item>" % friend)
    for client in (one, two):
        push = await client.push(friend, subscription="none")
        item = push.xml.find(".//{jabber:iq:roster}item")
        check(not item.get("name"), "a missing name is a deleted name:", push)
        check(groups(push) == ["Ünïcödé"], groups(push))

    # Attributes that a client must not set are ignored (RFC 6121 2.1.2).
    await put("<item jid='%s' subscription='both' ask='subscribe' name='x'/>" % friend)
    push = await one.push(friend, name="x")
    item = push.xml.find(".//{jabber:iq:roster}item")
    check(item.get("subscription") == "none" and item.get("ask") is None, push)

    for what, query, wanted in (
            ("two items", "<item jid='x@%s'/><item jid='y@%s'/>" % (DOMAIN, DOMAIN), "bad-request"),
            ("no item", "", "bad-request"),
            ("a group twice", "<item jid='x@%s'><group>g</group><group>g</group></item>" % DOMAIN, "bad-request"),
            ("an empty group", "<item jid='x@%s'><group/></item>" % DOMAIN, "not-acceptable"),
            ("an unknown removed", "<item jid='unknown@%s' subscription='remove'/>" % DOMAIN, "item-not-found")):
        got = await one.outcome(one.iq("set", QUERY % query))
        demand(got[0] == wanted, "RFC 6121 2.3.3, 2.5.3", what, "gave", got, "wanted", wanted)
    got = await one.outcome(one.iq("set", QUERY % "<item jid='x@a.example'/>", to=account("b")))
    check(got[0] in ("forbidden", "service-unavailable"), "another user's roster:", got)

    await one.ask(one.iq("set", QUERY % ("<item jid='%s' subscription='remove'/>" % friend)))
    for client in (one, two):
        await client.push(friend, subscription="remove")
    empty = await two.ask(two.iq("get", QUERY % ""))
    check(friend not in str(empty), "not removed:", empty)
    demand(len(empty.xml.find("{jabber:iq:roster}query")) == 0, "RFC 6121 2.3.3", "what was refused is there:", empty)

    await one.barrier(deaf)
    deaf.nothing("a push without having asked for the roster", lambda s: s.name == "iq")


run(scenario)
