"""Messages for an account that is offline are delivered later, in order, once,
and with the time at which they were sent."""

from client import Client, account, check, demand, run

PLUGINS = ("xep_0203", "xep_0085")


async def scenario():
    a = await Client(account("a") + "/a", plugins=PLUGINS).start()
    for n in range(20):
        a.send_message(account("b"), "waits %d" % n, mtype="chat" if n % 2 else "normal")
    # Also to a full JID that is not online.
    a.send_message(account("b") + "/away", "waits 20", mtype="chat")
    # Not stored: a message with only a chat state, a headline.
    a.send_raw("<message to='%s' type='chat' id='typing'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>" % account("b"))
    a.send_message(account("b"), "old news", mtype="headline")
    await a.barrier()
    a.nothing("an error for what was stored", lambda s: s.name == "message")

    # A resource of negative priority does not get them.
    b = await Client(account("b") + "/b", plugins=PLUGINS).start(presence=False)
    b.send_presence(ppriority=-1)
    await b.presence(frm=b.boundjid.full)
    await b.barrier()
    b.nothing("offline messages below priority 0", lambda s: s.name == "message")

    b.send_presence(ptype="unavailable")
    b.send_presence(ppriority=0)
    for n in range(21):
        got = await b.expect("the next stored message", lambda s: s.name == "message" and s["body"])
        check(got["body"] == "waits %d" % n, "out of order:", got["body"], "at", n)
        check(got["from"] == a.boundjid.full, got)
        check(got["delay"]["stamp"] is not None and got.xml.find("{urn:xmpp:delay}delay") is not None, "no stamp:", got)
    await b.barrier()
    demand("composing" not in str(b.inbox), "XEP-0160 3", "a chat state alone was stored")
    b.nothing("what is not stored", lambda s: s.name == "message" and s["body"])

    # They are delivered only once.
    await b.stop()
    b = await Client(account("b") + "/b", plugins=PLUGINS).start()
    await b.barrier()
    b.nothing("a stored message a second time", lambda s: s.name == "message")


run(scenario)
