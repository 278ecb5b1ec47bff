"""The server restarts: clients get system-shutdown, reconnect by themselves,
and nothing is lost."""

import asyncio

from client import TIMEOUT, Client, account, befriend, check, demand, order, run


async def scenario():
    plugins = ("xep_0054", "xep_0203")
    a = await Client(account("a") + "/a", plugins=plugins).start()
    b = await Client(account("b") + "/b", plugins=plugins).start()
    await befriend(a, b)
    card = a["xep_0054"].make_vcard()
    card["FN"] = "Kept"
    await a["xep_0054"].publish_vcard(card)
    await a.client_roster.update("kept@" + a.boundjid.host, name="Kept", groups=["G"])
    a.send_message(account("c"), "over the restart", mtype="chat")
    await a.barrier()

    back = asyncio.get_running_loop().create_future()
    a.add_event_handler("disconnected", lambda _: a.connect(a._server), disposable=True)
    await order("stop")
    await asyncio.gather(a.gone(), b.gone())
    for client in (a, b):
        demand([e["condition"] for e in client.stream_errors] == ["system-shutdown"], "RFC 6120 4.9.3.20",
               client.label, "was told", client.stream_errors)
        client._asked.clear()
    a.inbox.clear()
    a.add_event_handler("session_start", lambda _: back.done() or back.set_result(None))
    await order("start")

    await asyncio.wait_for(back, 2 * TIMEOUT)
    check(a.boundjid.full == account("a") + "/a", a.boundjid)
    answer = await a.ask(a.iq("get", "<query xmlns='jabber:iq:roster'/>"))
    items = {i.get("jid"): i.get("subscription") for i in answer.xml.iter("{jabber:iq:roster}item")}
    check(items == {account("b"): "both", "kept@" + a.boundjid.host: "none"}, items)
    a.send_presence()
    answer = await a.ask(a.iq("get", "<vCard xmlns='vcard-temp'/>"))
    check(answer["vcard_temp"]["FN"] == "Kept", answer)

    b = await Client(account("b") + "/b", plugins=plugins).start()
    await b.presence(frm=a.boundjid.full)
    await a.presence(frm=b.boundjid.full)
    a.send_message(b.boundjid.full, "after", mtype="chat")
    await b.message("after")
    c = await Client(account("c") + "/c", plugins=plugins).start()
    got = await c.message("over the restart")
    check(got.xml.find("{urn:xmpp:delay}delay") is not None, got)


run(scenario)
