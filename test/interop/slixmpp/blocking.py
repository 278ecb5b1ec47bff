"""The blocking command (XEP-0191): a blocked contact sees a user that is
offline, and gets errors. All resources of the user get pushes. Unblocking shows
the user again."""

from client import Client, account, befriend, check, run

UNREACHABLE = ("service-unavailable", "cancel")


async def error_for(client, to):
    """Sends a message and returns the error that it causes."""
    message = client.make_message(to, "hello", mtype="chat")
    message["id"] = client.new_id()
    message.send()
    return await client.expect("an error", lambda s: s.name == "message" and s["type"] == "error" and s["id"] == message["id"])


async def scenario():
    plugins = ("xep_0191", "xep_0199")
    desk = await Client(account("a") + "/desk", plugins=plugins).start()
    b = await Client(account("b") + "/b", plugins=plugins).start()
    await befriend(desk, b)
    phone = await Client(account("a") + "/phone", plugins=plugins).start()
    await b.presence(frm=phone.boundjid.full)
    await phone.presence(frm=b.boundjid.full)
    pushes = []
    phone.add_event_handler("blocked", lambda iq: pushes.append(("blocked", iq["block"]["items"])))
    phone.add_event_handler("unblocked", lambda iq: pushes.append(("unblocked", iq["unblock"]["items"])))
    for client in (desk, phone):
        check((await client["xep_0191"].get_blocked())["blocklist"]["items"] == set())

    await desk["xep_0191"].block(account("b"))
    for client in (desk, phone):
        await client.expect("a push", lambda s: s.name == "iq" and s.xml.find("{urn:xmpp:blocking}block") is not None)
        await b.presence("unavailable", client.boundjid.full)
    check(pushes == [("blocked", {account("b")})], "slixmpp understood", pushes)
    check((await phone["xep_0191"].get_blocked())["blocklist"]["items"] == {account("b")})

    # The blocked contact gets errors, as from a user that is offline, and nothing arrives.
    b.inbox.clear()
    for to in (account("a"), phone.boundjid.full):
        error = await error_for(b, to)
        check(error["error"]["condition"] == "service-unavailable", error)
        got = await b.outcome(b.iq("get", "<query xmlns='jabber:iq:version'/>", to=to))
        check(got == UNREACHABLE, "a request to", to, "got", got)
    desk.send_presence(pshow="dnd")
    await phone.presence(frm=desk.boundjid.full)
    b.send_presence(pshow="dnd")
    await b.presence(frm=b.boundjid.full)

    # "the server MUST return a <not-acceptable/> stanza error" with <blocked/> to the user.
    error = await error_for(desk, account("b"))
    check(error["error"]["condition"] == "not-acceptable", error)
    check(error.xml.find("{jabber:client}error/{urn:xmpp:blocking:errors}blocked") is not None, error)
    await desk.barrier(phone)
    for client in (desk, phone):
        client.nothing("something of a blocked contact", lambda s: s["from"].bare == account("b") and s["type"] != "error")
    b.nothing("presence of a user that has blocked it", lambda s: s["from"].bare == account("a") and s["type"] != "error")

    # A new session: the list is kept.
    await desk.stop()
    desk = await Client(account("a") + "/desk", plugins=plugins).start()
    check((await desk["xep_0191"].get_blocked())["blocklist"]["items"] == {account("b")})
    desk.nothing("presence of a blocked contact", lambda s: s.name == "presence" and s["from"].bare == account("b"))

    await phone["xep_0191"].unblock(account("b"))
    for client in (desk, phone):
        await client.expect("a push", lambda s: s.name == "iq" and s.xml.find("{urn:xmpp:blocking}unblock") is not None)
        await b.presence(frm=client.boundjid.full)
    check(pushes[1:] == [("unblocked", {account("b")})], "slixmpp understood", pushes)
    check((await desk["xep_0191"].get_blocked())["blocklist"]["items"] == set())
    b.send_message(account("a"), "again", mtype="chat")
    await desk.message("again", frm=b.boundjid.full)
    desk.send_message(account("b"), "yes", mtype="chat")
    await b.message("yes", frm=desk.boundjid.full)
    await b.barrier(desk)


run(scenario)
