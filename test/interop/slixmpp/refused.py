"""Logins that must fail without harm to the server: a wrong password, an
account that does not exist (with the same response), a client that does not
trust the certificate, and a domain that the server does not serve."""

from client import Client, DOMAIN, account, address, check, run


async def scenario():
    conditions = {}
    for what, jid, password in (
            ("wrong password", account("a"), "not it"),
            ("no such account", "nobody-at-all@" + DOMAIN, "not it")):
        # One mechanism at a time: slixmpp would continue with the next weaker one.
        for mech in ("SCRAM-SHA-1", "PLAIN"):
            client = Client(jid, password, mech=mech)
            await client.refuse_login()
            check(len(client.mechanism_failures) == 1, what, client.mechanism_failures)
            conditions[what, mech] = client.mechanism_failures[0][1]
    check(set(conditions.values()) == {"not-authorized"}, conditions)

    # All mechanisms in turn, until the client gives up or the server does.
    client = Client(account("a"), "not it")
    await client.refuse_login()
    check(client.mechanism_failures, "no failure was told")

    stranger = Client(account("a"), ca=None)
    chain = []
    stranger.add_event_handler("ssl_invalid_chain", lambda e: (chain.append(e), stranger.abort()))
    await stranger.refuse_login()
    check(chain, "the unknown certificate was accepted")

    lost = Client("someone@elsewhere.invalid")
    await lost.refuse_login()
    check(lost.stream_errors and lost.stream_errors[0]["condition"] == "host-unknown",
          "for a domain not served:", lost.stream_errors)

    # With the right password, the login still succeeds.
    await Client(account("a")).start()


run(scenario)
