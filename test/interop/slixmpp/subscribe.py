"""Subscriptions: requests, approvals in both directions, presence,
cancellation by both sides, requests to an account that is offline, removal of
the item, and pre-approval if the server offers it."""

from client import Client, account, befriend, check, demand, run

QUERY = "<query xmlns='jabber:iq:roster'>%s</query>"


async def scenario():
    a = await Client(account("a") + "/a").start()
    b = await Client(account("b") + "/b").start()
    a_bare, b_bare = account("a"), account("b")

    # First in one direction. The request appears in the sender's roster at once.
    a.send_presence_subscription(b_bare + "/ignored", ptype="subscribe")
    await a.push(b_bare, subscription="none", ask="subscribe")
    request = await b.presence("subscribe", a_bare)
    check("/" not in str(request["from"]), "from", request["from"])
    roster = await b.ask(b.iq("get", QUERY % ""))
    check(a_bare not in str(roster), "none + pending in is hidden:", roster)
    b.send_presence_subscription(a_bare, ptype="subscribed")
    await b.push(a_bare, subscription="from")
    await a.presence("subscribed", b_bare)
    await a.push(b_bare, subscription="to")
    await a.presence(frm=b.boundjid.full)

    # A second request: only the server may reply; the contact does not get it.
    a.send_presence_subscription(b_bare, ptype="subscribe")
    await a.barrier(b)
    b.nothing("a request already granted", lambda s: s.xml.get("type") == "subscribe")

    # Then in the other direction.
    b.send_presence_subscription(a_bare, ptype="subscribe")
    await a.presence("subscribe", b_bare)
    a.send_presence_subscription(b_bare, ptype="subscribed")
    await b.presence("subscribed", a_bare)
    await b.presence(frm=a.boundjid.full)
    await a.push(b_bare, subscription="both")
    await b.push(a_bare, subscription="both")

    # Presence with extensions, and unavailable presence.
    a.send_presence(pshow="away", pstatus="a < b & c", ppriority=7)
    got = await b.presence(frm=a.boundjid.full)
    check(got["show"] == "away" and got["status"] == "a < b & c" and got["priority"] == 7, got)
    b.send_presence(ptype="unavailable", pstatus="bye")
    check((await a.presence("unavailable", b.boundjid.full))["status"] == "bye")
    b.send_presence()
    await a.presence(frm=b.boundjid.full)
    got = await b.presence(frm=a.boundjid.full)
    check(got["status"] == "a < b & c", "the last presence comes whole:", got)

    # b cancels: unavailable comes before unsubscribed (RFC 6121 3.2.2).
    a.inbox.clear()
    b.send_presence_subscription(a_bare, ptype="unsubscribed")
    await a.push(b_bare, subscription="from")
    kinds = [s.xml.get("type") for s in a.inbox if s.name == "presence"]
    check(sorted(kinds) == ["unavailable", "unsubscribed"], "on cancelling:", kinds)
    demand(kinds == ["unavailable", "unsubscribed"], "RFC 6121 3.2.2", "on cancelling:", kinds)
    await b.push(a_bare, subscription="to")
    a.inbox.clear()

    # b unsubscribes (RFC 6121 3.3).
    b.inbox.clear()
    b.send_presence_subscription(a_bare, ptype="unsubscribe")
    await a.presence("unsubscribe", b_bare)
    await a.push(b_bare, subscription="none")
    await b.push(a_bare, subscription="none")
    await b.demand("RFC 6121 3.3.3", b.presence("unavailable", a.boundjid.full))
    a.inbox.clear()
    b.inbox.clear()

    # A removed item ends both directions (RFC 6121 2.5.2).
    await befriend(a, b)
    await a.ask(a.iq("set", QUERY % ("<item jid='%s' subscription='remove'/>" % b_bare)))
    await a.push(b_bare, subscription="remove")
    await b.presence("unsubscribe", a_bare)
    await b.presence("unsubscribed", a_bare)
    await b.presence("unavailable", a.boundjid.full)
    await a.demand("RFC 6121 3.3.3", a.presence("unavailable", b.boundjid.full))
    await b.push(a_bare, subscription="none")

    # A request to an account that is offline is stored completely, and delivered at
    # every login until the account replies.
    c = account("c")
    a.send_raw("<presence type='subscribe' id='wait-1' to='%s'><status>let me in</status>"
               "<nick xmlns='http://jabber.org/protocol/nick'>Á</nick></presence>" % c)
    await a.push(c, ask="subscribe")
    for _ in range(2):
        late = await Client(c + "/late").start()
        got = await late.presence("subscribe", a_bare)
        check(got["status"] == "let me in", got)
        check(got.xml.find("{http://jabber.org/protocol/nick}nick") is not None, "not whole:", got)
        await late.stop()
    late = await Client(c + "/late").start()
    await late.presence("subscribe", a_bare)
    late.send_presence_subscription(a_bare, ptype="unsubscribed")
    await a.presence("unsubscribed", c)
    await a.push(c, subscription="none")
    await late.stop()
    late = await Client(c + "/late").start()
    await late.barrier()
    late.nothing("a request it had refused", lambda s: s.xml.get("type") == "subscribe")

    # RFC 6121 3.4: pre-approval.
    if "preapproval" not in late.features:
        print("the server does not offer pre-approval: left out")
        return
    late.send_presence_subscription(b_bare, ptype="subscribed")
    await late.demand("RFC 6121 3.4.2", late.push(b_bare, subscription="none", approved="true"))
    b.send_presence_subscription(c, ptype="subscribe")
    await b.presence("subscribed", c)
    await b.push(c, subscription="to")
    await b.presence(frm=late.boundjid.full)
    await late.push(b_bare, subscription="from")
    late.nothing("a request approved in advance", lambda s: s.xml.get("type") == "subscribe")


run(scenario)
