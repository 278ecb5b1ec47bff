"""Fills the accounts of a server: rosters, requests, stored messages, vCard, private storage
and blocked addresses. Argument: the port."""

import sys

from stream import Stream

juliet = Stream(int(sys.argv[1]), "juliet", "secret 1")
romeo = Stream(int(sys.argv[1]), "romeo", "secret 2")
for client in juliet, romeo:
    client.request("get", "<query xmlns='jabber:iq:roster'/>")
    client.send("<presence/>")
roster = "<query xmlns='jabber:iq:roster'><item jid='%s' name='%s'>%s</item></query>"
juliet.request("set", roster % ("romeo@localhost", "Romeo &amp; &lt;Co>", "<group>Friends</group>"))
juliet.request("set", roster % ("nurse@example.org", "Nurse", ""))

juliet.send("<presence to='romeo@localhost' type='subscribe'/>")
romeo.until("subscribe")
romeo.send("<presence to='juliet@localhost' type='subscribed'/>")
juliet.until("subscription='to'" if "subscription='to'" in juliet.buffer else "subscribed")
juliet.send("<presence to='mercutio@localhost' type='subscribe'/>")

private = "<query xmlns='jabber:iq:private'>%s</query>"
juliet.request("set", private % "<exodus xmlns='exodus:prefs'><nick>Jul &amp; x</nick></exodus>")
juliet.request("set", "<vCard xmlns='vcard-temp'><FN>Juliet Capulet</FN></vCard>")
juliet.request("set", "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@example.org'/></block>")
juliet.send("<presence type='unavailable'/>")
juliet.request("get", "<query xmlns='jabber:iq:roster'/>")  # what was sent before it is done
juliet.close()

for body in "first &amp; ä", "second":
    romeo.send(f"<message to='juliet@localhost' type='chat'><body>{body}</body></message>")
romeo.request("get", "<query xmlns='jabber:iq:roster'/>")
romeo.close()
