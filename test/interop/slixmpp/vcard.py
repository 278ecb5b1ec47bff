"""vcard-temp (XEP-0054): the client's own and those of others."""

import base64

from client import DOMAIN, Client, account, check, run
from slixmpp.exceptions import IqError

VCARD = "<vCard xmlns='vcard-temp'/>"


async def scenario():
    a = await Client(account("a") + "/a", plugins=("xep_0054",)).start()
    b = await Client(account("b") + "/b", plugins=("xep_0054",)).start()

    # No vCard: an empty one, or item-not-found; the same without an account.
    async def card_of(client, jid):
        try:
            answer = await client.ask(client.iq("get", VCARD, to=jid))
            return "empty" if len(answer.xml.find("{vcard-temp}vCard")) == 0 else "full"
        except IqError as err:
            return err.iq["error"]["condition"]
    check(await card_of(a, None) in ("empty", "item-not-found"))
    check(await card_of(b, account("a")) == await card_of(b, "nobody-at-all@" + DOMAIN), "tells accounts apart")

    photo = bytes(range(256)) * 16
    card = a["xep_0054"].make_vcard()
    card["FN"] = "Juliet <&> Capulet"
    card["NICKNAME"] = "Jule"
    card["PHOTO"]["TYPE"] = "image/png"
    card["PHOTO"]["BINVAL"] = photo
    await a["xep_0054"].publish_vcard(card)

    for client, jid in ((a, None), (b, account("a"))):
        answer = await client.ask(client.iq("get", VCARD, to=jid))
        vcard = answer["vcard_temp"]
        check(vcard["FN"] == "Juliet <&> Capulet", answer)
        check(vcard["NICKNAME"] in ("Jule", ["Jule"]), vcard["NICKNAME"])
        binval = answer.xml.find(".//{vcard-temp}BINVAL").text
        check(base64.b64decode(binval) == photo, "the photo changed")

    # A client cannot set the vCard of another account.
    got = await b.outcome(b.iq("set", "<vCard xmlns='vcard-temp'><FN>Eve</FN></vCard>", to=account("a")))
    check(got[0] in ("forbidden", "not-allowed", "service-unavailable"), got)

    # It is kept while the account is offline.
    await a.stop()
    answer = await b.ask(b.iq("get", VCARD, to=account("a")))
    check(answer["vcard_temp"]["FN"] == "Juliet <&> Capulet", answer)


run(scenario)
