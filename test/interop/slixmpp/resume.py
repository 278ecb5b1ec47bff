"""Stream management (XEP-0198): the network cuts a client's connections again
and again, in the session and at each stage of a login. The client resumes its
session. Messages go both ways meanwhile: none is lost, none arrives twice, and
they stay in order.

    resume.py cut|lose     see client.order
"""

import asyncio
import sys

from client import Client, account, befriend, check, order, run
from phone import Conversation, Phone

STEP, LOGIN = 250, 5500  # a login with a resumption takes some 5 KB


async def scenario(how):
    a = await Phone(account("a") + "/phone").start(network=True)
    b = await Client(account("b") + "/b").start()
    await befriend(a, b)
    talk = Conversation(a, b)
    outcomes = []
    for cut in range(0, LOGIN, STEP):
        await order("%s %d" % (how, cut))
        while a.is_connected():
            talk.go_on(1)
            await asyncio.sleep(0)
        talk.go_on(2)
        await b.barrier()
        await order("%s %d" % (how, cut))
        outcomes.append(await a.reconnect())
        talk.go_on(1)
        if outcomes[-1] == "cut":
            await order("%s -1" % how)
            outcomes.append(await a.reconnect())
    await order("%s -1" % how)
    if a.is_connected():  # or has been cut, and does not know it yet
        a.drop()
        await a.gone()
    outcomes.append(await a.reconnect())
    print("outcomes:", outcomes)
    check("new" not in outcomes and "resumed" in outcomes and "cut" in outcomes, outcomes)
    await talk.check()
    b.nothing("unavailable presence", lambda s: s.name == "presence" and s["type"] == "unavailable")

    # A session that the server does not know.
    a["xep_0198"].sm_id = "unknown"
    a.drop()
    await a.gone()
    check(await a.reconnect() == "new")
    a.send_presence()
    await b.presence("unavailable", a.boundjid.full)
    await b.presence(frm=a.boundjid.full)
    await a.barrier(b)
    check(a["xep_0198"].sm_id not in (None, "unknown"), "stream management is not enabled again")


run(scenario, *sys.argv[1:])
