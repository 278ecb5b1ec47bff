"""One account, two resources: both log in, receive each other's presence, and
send messages to each other and to themselves."""

from client import Client, account, demand, run


async def scenario():
    one = await Client(account("a") + "/one").start()
    two = await Client(account("a") + "/two").start(presence=False)

    # RFC 6121 4.2.2: initial presence is sent to the account's other available
    # resources, and the new one receives theirs.
    two.send_presence(pstatus="second")
    await one.presence(frm=two.boundjid.full)
    await two.presence(frm=one.boundjid.full)

    # To full JIDs, in both directions, and to oneself.
    one.send_message(two.boundjid.full, "to two", mtype="chat")
    got = await two.message("to two", frm=one.boundjid.full, kind="chat")
    two.send_message(one.boundjid.full, "to one", mtype="chat")
    await one.message("to one", frm=two.boundjid.full, kind="chat")
    one.send_message(one.boundjid.full, "to myself", mtype="chat")
    await one.message("to myself", frm=one.boundjid.full)

    # To the bare JID: the highest priority gets it (and possibly the others).
    two.send_presence(ppriority=5)
    await one.presence(frm=two.boundjid.full)
    one.send_message(account("a"), "to the account", mtype="chat")
    got = await two.message("to the account", frm=one.boundjid.full)
    demand(got["to"] == account("a"), "RFC 6121 8.5", "to was rewritten:", got["to"])

    # RFC 6120 10.3.1: a message without `to` is for the sender's bare JID.
    one.send_raw("<message type='chat' id='no-to'><body>to nobody</body></message>")
    await two.message("to nobody", frm=one.boundjid.full)

    # A resource of negative priority gets no messages to the bare JID (RFC 6121 8.5.2).
    two.send_presence(ppriority=-1)
    await one.presence(frm=two.boundjid.full)
    one.send_message(account("a"), "not for two", mtype="chat")
    await one.message("not for two")
    await one.barrier(two)
    two.nothing("a message below priority 0", lambda s: s.name == "message" and s["body"] == "not for two")
    one.send_message(two.boundjid.full, "by full JID", mtype="chat")
    await two.message("by full JID")

    # An unavailable resource gets only what is sent to its full JID.
    two.send_presence(ptype="unavailable")
    await one.presence("unavailable", frm=two.boundjid.full)
    one.send_message(account("a"), "only one", mtype="chat")
    await one.message("only one")
    await one.barrier(two)
    two.nothing("a message while unavailable", lambda s: s.name == "message" and s["body"] == "only one")

    # The next presence is initial again.
    two.inbox.clear()
    two.send_presence()
    await two.presence(frm=one.boundjid.full)
    await one.presence(frm=two.boundjid.full)

    # After a lost connection, contacts get unavailable presence too.
    two.drop()
    await one.presence("unavailable", frm=two.boundjid.full)


run(scenario)
