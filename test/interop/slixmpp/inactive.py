"""Client state (XEP-0352): while a client is inactive, presence and chat states
wait; messages do not. When it becomes active, it gets the last of each."""

import slixmpp
from client import Client, account, befriend, check, run

CHAT_STATES = "http://jabber.org/protocol/chatstates"


def chat_state(name):
    return lambda s: isinstance(s, slixmpp.Message) and s.xml.find("{%s}%s" % (CHAT_STATES, name)) is not None


async def scenario():
    plugins = ("xep_0085", "xep_0199", "xep_0352")
    a = await Client(account("a") + "/a", plugins=plugins).start()
    b = await Client(account("b") + "/b", plugins=plugins).start()
    await befriend(a, b)
    check(a["xep_0352"].enabled, "client state is not offered")

    async def settled():
        """Waits until all that b has sent is handled, without a message for a."""
        await b.ask(b.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=b.boundjid.domain))
        await a.ask(a.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=a.boundjid.domain))

    def show_states(*states):
        for state in states:
            message = b.make_message(a.boundjid.full, mtype="chat")
            message["chat_state"] = state
            message.send()

    a["xep_0352"].send_inactive()
    await settled()
    for show in ("dnd", "xa", "away"):
        b.send_presence(pshow=show)
    show_states("composing", "paused")
    await settled()
    a.nothing("something while it was inactive", lambda s: s["from"].bare == account("b"))

    # A message comes at once, after the chat state of its sender; presence still waits.
    b.send_message(a.boundjid.bare, "important", mtype="chat")
    await a.message("important")
    got = [s for s in a.inbox if s["from"].bare == account("b")]
    check(len(got) == 1 and chat_state("paused")(got[0]), "before the message came", [str(s) for s in got])
    a.inbox.clear()

    a["xep_0352"].send_active()
    got = await a.presence(frm=b.boundjid.full)
    check(got["show"] == "away", got)
    await settled()
    a.nothing("more", lambda s: s["from"].bare == account("b"))

    # It is active: nothing waits. What it knows does not come again.
    b.send_presence()
    await a.presence(frm=b.boundjid.full)
    show_states("composing")
    await a.expect("a chat state", chat_state("composing"))
    a["xep_0352"].send_inactive()
    a["xep_0352"].send_active()
    await settled()
    a.nothing("something that it knew", lambda s: s["from"].bare == account("b"))

    # A contact that leaves while the client is inactive.
    a["xep_0352"].send_inactive()
    await settled()
    b.send_presence(ptype="unavailable", pstatus="bye")
    await settled()
    a.nothing("presence while it was inactive", lambda s: s["from"].bare == account("b"))
    a["xep_0352"].send_active()
    got = await a.presence("unavailable", b.boundjid.full)
    check(got["status"] == "bye", got)


run(scenario)
