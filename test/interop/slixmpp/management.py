"""A client that uses stream management (XEP-0198), carbons, client state and
message archives if the server offers them also works without them.

    management.py on|off
"""

import sys

from client import Client, account, check, run


async def scenario(mode):
    plugins = ("xep_0030", "xep_0198", "xep_0199", "xep_0280", "xep_0352", "xep_0313") if mode == "on" else ()
    a = await Client(account("a") + "/a", plugins=plugins).start()
    b = await Client(account("b") + "/b", plugins=plugins).start()
    for n in range(20):
        a.send_message(b.boundjid.full, "one %d" % n, mtype="chat")
        b.send_message(a.boundjid.bare, "two %d" % n, mtype="chat")
    for n in range(20):
        check((await b.message(frm=a.boundjid.full))["body"] == "one %d" % n)
        check((await a.message(frm=b.boundjid.full))["body"] == "two %d" % n)
    if mode == "on":
        try:
            await a["xep_0280"].enable()
        except Exception as err:
            check("service-unavailable" in str(err) or "feature-not-implemented" in str(err), err)
    if "stream_management" in a.features:
        print("stream management is on")
        a["xep_0198"].request_ack()
        b["xep_0198"].request_ack()
    await a.barrier(b)
    await a.stop()
    await b.stop()


run(scenario, *sys.argv[1:])
