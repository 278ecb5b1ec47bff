"""A planned restart of the server. Two phones resume their sessions on the server
that starts: one that was connected, and one that had lost its connection before,
with messages that it had not acknowledged. Messages go both ways meanwhile: none
is lost, none arrives twice, and they stay in order. Nobody sees that the phones
were away."""

import asyncio

from client import account, befriend, check, order, run
from phone import Conversation, Phone


async def scenario():
    a = await Phone(account("a") + "/phone").start(network=True)
    b = await Phone(account("b") + "/phone").start(tls=True)
    await befriend(a, b)
    talk = Conversation(a, b)
    talk.go_on(3)
    await order("lose 0")  # the server does not notice
    while a.is_connected():
        talk.go_on(1)
        await asyncio.sleep(0)
    talk.go_on(2)
    await b.barrier()

    await order("stop")
    await b.gone()
    check([e["condition"] for e in b.stream_errors] == ["system-shutdown"], b.label, "was told", b.stream_errors)
    await order("start")
    await order("lose -1")
    check(await b.reconnect() == "resumed", "b has a new session")
    talk.go_on(1)
    await b.barrier()
    check(await a.reconnect() == "resumed", "a has a new session")
    talk.go_on(1)
    await talk.check()
    for client in (a, b):
        client.nothing("unavailable presence", lambda s: s.name == "presence" and s["type"] == "unavailable")


run(scenario)
