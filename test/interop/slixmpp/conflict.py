"""The same resource is bound twice: the older stream is closed with conflict
(RFC 6120 7.7.2.2), and for contacts the resource stays available."""

from client import Client, account, befriend, check, run


async def scenario():
    watcher = await Client(account("b") + "/watcher").start()
    older = await Client(account("a") + "/same").start()
    await befriend(older, watcher)

    newer = await Client(account("a") + "/same").start()
    await older.gone()
    check(newer.boundjid.full == account("a") + "/same", newer.boundjid)
    check(older.stream_errors and older.stream_errors[0]["condition"] == "conflict",
          "the older stream got", older.stream_errors)

    # The late end of the older stream does not affect the newer one.
    newer.send_presence(pstatus="still here")
    await watcher.expect("the newer one's presence", lambda s: s.name == "presence" and s["status"] == "still here")
    watcher.send_message(newer.boundjid.full, "to the newer", mtype="chat")
    await newer.message("to the newer")
    watcher.send_message(newer.boundjid.bare, "to the account", mtype="chat")
    await newer.message("to the account")
    await newer.barrier(watcher)
    watcher.inbox.clear()
    await newer.stop()
    await watcher.presence("unavailable", newer.boundjid.full)


run(scenario)
