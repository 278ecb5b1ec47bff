"""In-band registration (XEP-0077): a new account, a name that is taken, a
password change, and the removal of the account."""

import uuid

from client import DOMAIN, PASSWORD, Client, account, check, run
from slixmpp.exceptions import IqError

PLUGINS = ("xep_0077",)


class Newcomer(Client):
    """Registers before the login, as slixmpp does."""

    def __init__(self, jid, password=PASSWORD):
        super().__init__(jid, password, plugins=PLUGINS)
        self["xep_0077"].create_account = True
        # slixmpp 1.8 delays every stanza until the session starts, even its own
        # registration request.
        self._always_send_everything = True
        self.form = None
        self.refusal = None
        self.add_event_handler("register", self._register)

    async def _register(self, form):
        self.form = form
        request = self.Iq(stype="set")
        request["register"]["username"] = self.boundjid.user
        request["register"]["password"] = self.password
        try:
            await self.ask(request)
        except IqError as err:
            self.refusal = err.iq["error"]["condition"]
            self.disconnect()


async def scenario():
    name = "new-" + uuid.uuid4().hex[:12]
    newcomer = await Newcomer("%s@%s/first" % (name, DOMAIN)).start()
    check(newcomer.form is not None, "the server sent no form")
    check({"username", "password"} <= newcomer.form["register"]["fields"], newcomer.form)

    again = Newcomer(account("a"), "another password")
    await again.refuse_login()
    check(again.refusal == "conflict", "a name that is taken:", again.refusal)

    # A registered client gets <registered/> and its name.
    answer = await newcomer.ask(newcomer.iq("get", "<query xmlns='jabber:iq:register'/>"))
    query = answer.xml.find("{jabber:iq:register}query")
    check(query.find("{jabber:iq:register}registered") is not None, answer)

    # A password change; the old password is then invalid.
    await newcomer["xep_0077"].change_password("sécond=,word", jid=DOMAIN)
    await newcomer.barrier()
    await newcomer.stop()
    old = Client(newcomer.boundjid.bare, PASSWORD, mech="SCRAM-SHA-1")
    await old.refuse_login()
    check(old.mechanism_failures[0][1] == "not-authorized", old.mechanism_failures)
    for mech in ("SCRAM-SHA-1", "PLAIN"):
        await (await Client(newcomer.boundjid.bare, "sécond=,word", mech=mech).start()).stop()

    # The removal of the account ends all sessions, and logins fail.
    last = await Client(newcomer.boundjid.bare, "sécond=,word", plugins=PLUGINS).start()
    other = await Client(newcomer.boundjid.bare, "sécond=,word").start()
    try:
        await last["xep_0077"].cancel_registration()
    except Exception as err:
        # RFC 6120 4.9.3.12: the server may close the stream with not-authorized
        # immediately after the result.
        print("cancelling:", err)
    await other.gone()
    gone = Client(newcomer.boundjid.bare, "sécond=,word", mech="SCRAM-SHA-1")
    await gone.refuse_login()
    last._asked.clear()


run(scenario)
