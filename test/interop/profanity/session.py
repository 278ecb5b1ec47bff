"""Profanity on a terminal of its own, as a person uses it: it logs in, talks to a
slixmpp client, loses its network without noticing it, and resumes its session by
itself (XEP-0198). No message to it is lost, none arrives twice, and they stay in
order. Then it blocks the contact (XEP-0191).

Of its own messages that the network has lost, it sends some again: libstrophe
0.12.2 does not count the eight stanzas that Profanity sends before <enabled/>, so
it believes that the server has eight more than it has.

What Profanity shows is read from its chat log, and what it does from its debug
log.
"""

import asyncio
import fcntl
import glob
import os
import pty
import re
import struct
import sys
import tempfile
import termios

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "slixmpp"))

from client import TIMEOUT, Client, Failure, account, address, check, order, run  # noqa: E402

SETTINGS = """[connection]
reconnect=1
[logging]
chlog=true
[ui]
splash=false
"""

ACCOUNT = """[{jid}]
enabled=true
jid={jid}
resource=terminal
server={host}
port={port}
tls.policy=legacy
eval_password=printenv INTEROP_PASSWORD
presence.last=online
presence.login=online
"""


class Profanity:
    """The program. Its files are in a directory."""

    def __init__(self, jid, files):
        self.jid, self.files, self.full = jid, files, jid + "/terminal"
        self.log, self.screen = os.path.join(files, "log"), b""
        host, port = address(network=True)
        self._write("config/profanity/profrc", SETTINGS)
        self._write("data/profanity/accounts", ACCOUNT.format(jid=jid, host=host, port=port))

    def _write(self, name, text):
        name = os.path.join(self.files, name)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w") as file:
            file.write(text)

    def start(self):
        """Starts it on a new terminal, which ends with this process."""
        environment = dict(os.environ, HOME=self.files, TERM="xterm", LC_ALL="C.UTF-8",
                           XDG_CONFIG_HOME=self.files + "/config", XDG_DATA_HOME=self.files + "/data")
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execvpe("profanity", ["profanity", "-l", "DEBUG", "-f", self.log, "-a", self.jid], environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        asyncio.get_running_loop().add_reader(self.terminal, self._draw)

    def _draw(self):
        try:
            self.screen = (self.screen + os.read(self.terminal, 65536))[-4000:]
        except OSError:  # it has ended
            asyncio.get_running_loop().remove_reader(self.terminal)

    def type(self, line):
        os.write(self.terminal, line.encode() + b"\r")

    async def quit(self):
        self.type("/quit")
        await asyncio.get_running_loop().run_in_executor(None, os.waitpid, self.process, 0)

    def debug(self):
        """Its debug log."""
        try:
            with open(self.log, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def shown(self, jid):
        """The messages of another user that it has shown."""
        pattern = os.path.join(self.files, "data/profanity/chatlogs", self.jid.replace("@", "_at_"), jid.replace("@", "_at_"), "*.log")
        lines = []
        for name in sorted(glob.glob(pattern)):
            with open(name) as file:
                lines += file.read().splitlines()
        return [line.split(": ", 1)[1] for line in lines if re.match(r".* - (?!me)[^:]*: ", line)]

    async def until(self, what, condition):
        """Waits until a condition is true."""
        deadline = asyncio.get_running_loop().time() + 2 * TIMEOUT
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise Failure("Profanity: never " + what)
            await asyncio.sleep(0.05)


async def scenario(files):
    person = Profanity(account("a"), files)
    try:
        await use(person)
    except BaseException:
        print(person.debug()[-20000:], person.screen, sep="\n", file=sys.stderr)
        raise


async def use(person):
    b = await Client(account("b") + "/b").start()
    person.start()
    await person.until("asks whether to trust the certificate", lambda: "preverify_ok:0" in person.debug())
    person.type("/tls always")
    await person.until("available", lambda: "<presence" in person.debug() and "<enabled" in person.debug())
    sent, typed = [], []

    def send():
        sent.append("b %d" % len(sent))
        b.send_message(person.full, sent[-1], mtype="chat")

    def write():
        typed.append("a %d" % len(typed))
        person.type("/msg %s %s" % (account("b"), typed[-1]))

    send()
    write()
    await person.until("shows a message", lambda: person.shown(account("b")) == sent)
    await b.expect("a message", lambda s: s.name == "message" and s["body"] == typed[0])

    # The network passes nothing any more, and then it is gone.
    await order("stall 0")
    for _ in range(3):
        send()
        write()
    await person.until("sends", lambda: re.search("SENT: <message.*%s<" % typed[-1], person.debug()))
    await b.barrier()
    await order("lose 0")
    await person.until("notices the loss", lambda: "Lost connection" in person.debug())
    send()
    await person.until("resumes the session", lambda: "Session resumed successfully" in person.debug())
    send()
    await person.until("shows what it has missed", lambda: sent[-1] in person.shown(account("b")))
    write()
    await b.expect("the last message", lambda s: s.name == "message" and s["body"] == typed[-1])
    check(person.shown(account("b")) == sent, "Profanity shows", person.shown(account("b")), "instead of", sent)
    got = [s["body"] for s in b.inbox if s.name == "message" and s["body"].startswith("a ")]
    check(got == [body for body in typed if body in got], b.label, "received", got, "of", typed)
    b.nothing("unavailable presence", lambda s: s.name == "presence" and s["type"] == "unavailable")

    person.type("/blocked add " + account("b"))
    await person.until("blocks", lambda: re.search("SENT: <iq.*<block ", person.debug()) and re.search("RECV: <iq[^>]*type=\"result\"", person.debug()))
    await person.quit()


with tempfile.TemporaryDirectory() as directory:
    run(scenario, directory)
