"""Logs in: STARTTLS or direct TLS, with the mechanism asked for (or the one
that slixmpp prefers), the server's certificate trusted by its file.

    login.py [starttls|direct] [MECHANISM]
"""

import sys

from client import Client, account, check, run


async def scenario(how="starttls", mech=None):
    one = Client(account("a") + "/one", mech=mech)
    await one.start(tls=how == "direct")
    check("starttls" not in one.offered)
    check(one.boundjid.full == account("a") + "/one", "bound to", one.boundjid)
    used = one["feature_mechanisms"].mech.name
    print("slixmpp logged in with", used, "after", one.mechanism_failures, "offered", one.offered)
    check(mech in (None, used), "used", used)
    check(one.socket.version() in ("TLSv1.2", "TLSv1.3"), one.socket.version())

    # No resource asked for: the server makes one up.
    two = await Client(account("a"), mech=mech).start(tls=how == "direct")
    check(two.boundjid.bare == account("a") and two.boundjid.resource, "bound to", two.boundjid)
    check(two.boundjid.resource != "one")


run(scenario, *sys.argv[1:])
