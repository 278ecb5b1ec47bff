"""Prints what juliet's account has on the server to which it has moved. Arguments: the port for
TLS, and mercutio's password. Logs in by SCRAM-SHA-1 and by PLAIN."""

import re
import sys

from stream import Stream

port = int(sys.argv[1])
juliet = Stream(port, "juliet", "secret 1", True, "SCRAM-SHA-1")
print(*re.findall("<mechanism>(.*?)</mechanism>", juliet.features))
print(juliet.request("get", "<query xmlns='jabber:iq:roster'/>"))
print(juliet.request("get", "<vCard xmlns='vcard-temp'/>"))
print(juliet.request("get", "<query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'/></query>"))
print(juliet.request("get", "<blocklist xmlns='urn:xmpp:blocking'/>"))
juliet.send("<presence/>")
print(juliet.until("second</body>"))
juliet.close()

mercutio = Stream(port, "mercutio", sys.argv[2], True, "PLAIN")
mercutio.request("get", "<query xmlns='jabber:iq:roster'/>")
mercutio.send("<presence/>")
print(mercutio.until("type='subscribe'") + mercutio.until(">"))  # attributes are in any order
mercutio.close()
