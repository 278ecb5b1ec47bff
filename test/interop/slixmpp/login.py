"""Logs in over STARTTLS or direct TLS, with a given mechanism (or the one that
slixmpp prefers), trusting only the file of the server's certificate.

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

    # Without a requested resource, the server generates one.
    two = await Client(account("a"), mech=mech).start(tls=how == "direct")
    check(two.boundjid.bare == account("a") and two.boundjid.resource, "bound to", two.boundjid)
    check(two.boundjid.resource != "one")


run(scenario, *sys.argv[1:])
