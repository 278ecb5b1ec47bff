"""Message carbons (XEP-0280): what one resource sends and receives is copied to
the account's other resources that have asked for it."""

import slixmpp
from client import Client, account, check, run


def copy(kind, body):
    """Matches a copy of a message that was "sent" or "received"."""
    def matches(stanza):
        if not isinstance(stanza, slixmpp.Message):
            return False
        inner = stanza.xml.find("{urn:xmpp:carbons:2}%s/{urn:xmpp:forward:0}forwarded/{jabber:client}message/{jabber:client}body" % kind)
        return inner is not None and inner.text == body
    return matches


def any_copy(stanza):
    """Matches a copy of any message but those of barriers."""
    return (isinstance(stanza, slixmpp.Message) and any(child.tag.startswith("{urn:xmpp:carbons:2}") for child in stanza.xml)
            and "<body>barrier-" not in str(stanza))


async def scenario():
    plugins = ("xep_0280", "xep_0334")
    desk = await Client(account("a") + "/desk", plugins=plugins).start()
    phone = await Client(account("a") + "/phone", plugins=plugins).start()
    other = await Client(account("a") + "/other", plugins=plugins).start()
    b = await Client(account("b") + "/b", plugins=plugins).start()
    events = []
    for kind in ("carbon_received", "carbon_sent"):
        phone.add_event_handler(kind, lambda stanza, kind=kind: events.append((kind, stanza[kind]["body"])))
    await desk["xep_0280"].enable()
    await phone["xep_0280"].enable()
    await phone.barrier(desk)  # the desk's node knows that the phone has enabled copies

    # What the desk sends, and what it receives by its full JID.
    desk.send_message(account("b"), "from the desk", mtype="chat")
    await b.message("from the desk", frm=desk.boundjid.full)
    got = await phone.expect("a copy", copy("sent", "from the desk"))
    check(got["from"] == account("a") and got["to"] == phone.boundjid.full and got["type"] == "chat", got)
    b.send_message(desk.boundjid.full, "to the desk", mtype="chat")
    await desk.message("to the desk", frm=b.boundjid.full)
    await phone.expect("a copy", copy("received", "to the desk"))
    check(events == [("carbon_sent", "from the desk"), ("carbon_received", "to the desk")], "slixmpp understood", events)

    # What is for all resources is not copied.
    b.send_message(account("a"), "to all", mtype="chat")
    for client in (desk, phone, other):
        await client.message("to all")

    # What is private is not copied, and what is no conversation.
    private = b.make_message(desk.boundjid.full, "private", mtype="chat")
    private.enable("carbon_private")
    private.enable("no-copy")
    private.send()
    b.send_message(desk.boundjid.full, "a headline", mtype="headline")
    for body in ("private", "a headline"):
        await desk.message(body)
    await desk.barrier(phone, other)
    for client in (desk, phone, other):
        client.nothing("a copy", any_copy)

    # After it has disabled copies it gets none, and its own messages are copied to others.
    await phone["xep_0280"].disable()
    b.send_message(desk.boundjid.full, "only for the desk", mtype="chat")
    await desk.message("only for the desk")
    phone.send_message(account("b"), "from the phone", mtype="chat")
    await desk.expect("a copy", copy("sent", "from the phone"))
    await desk.barrier(phone, other)
    phone.nothing("a copy", any_copy)
    other.nothing("a copy", any_copy)


run(scenario)
