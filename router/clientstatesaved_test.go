package router

import (
	"fmt"
	"strings"
	"testing"

	"roost/session"
)

// clientStateOf describes what restoreClientState has to give a session. Times are ages, and -1
// if they are not set.
func clientStateOf(r *Router, s *session.Session) string {
	age := func(since uint32) int64 {
		if since == 0 {
			return -1
		}
		return int64(r.changesSeen.age(since))
	}
	text := fmt.Sprintf("presence %d, inactive %d, held %v", uint16(r.changesSeen.ticks.Load())-s.PresenceStamp(), age(s.InactiveSince()), s.Held())
	if m := missed.Get(s); m != nil {
		text += fmt.Sprintf(", missed %d, outdated %v", age(m.since), m.outdated)
	}
	if h := held.Get(s); h != nil {
		for _, x := range h.all {
			text += fmt.Sprintf(", %d from %s: %s", x.kind, x.peer, x.xml)
		}
		text += fmt.Sprintf(", %d bytes", h.bytes)
	}
	return text
}

// holdAll holds stanzas for a session as holdStanza does.
func holdAll(s *session.Session, all ...heldStanza) {
	h := held.Make(s)
	for _, x := range all {
		h.all, h.bytes = append(h.all, x), h.bytes+x.size()
	}
}

// TestClientStateSaved: after a restart, when the clock of the changes has begun anew, a session
// has the client state that it had before.
func TestClientStateSaved(t *testing.T) {
	stanzas := []heldStanza{
		{unavailableFrom, "romeo@localhost/desk", []byte("<presence type='unavailable'/>")},
		{chatStateFrom, "juliet@localhost/r", []byte("<message/>")},
		{chatStateTo, "nurse@localhost", nil},
	}
	const now, later = 1000, 7
	f := func(desc string, prepare func(c *changeClock, s *session.Session), want string) {
		t.Run(desc, func(t *testing.T) {
			var before, after Router
			before.changesSeen.ticks.Store(now)
			after.changesSeen.ticks.Store(later)
			s, restored := new(session.Session), new(session.Session)
			s.SetPresenceStamp(now - 3)
			prepare(&before.changesSeen, s)
			data := before.saveClientState(nil, s)
			if err := after.restoreClientState(restored, data); err != nil {
				t.Fatal(err)
			}
			if got := clientStateOf(&after, restored); got != want || got != clientStateOf(&before, s) {
				t.Errorf("%s\nwas restored, want %s\nof %s", got, want, clientStateOf(&before, s))
			}
			// What happened before the restart is before what happens now.
			if at := after.changesSeen.now(after.changesSeen.added.Add(spareEvery)); after.changesSeen.age(at) != 0 || after.changesSeen.ticks.Load() != later+1 {
				t.Error("the clock has not advanced for the next client")
			}
			// Nothing is known of changes on other nodes meanwhile.
			if since := restored.InactiveSince(); since != 0 && !after.elsewhere.changed(&after.changesSeen, "anyone@localhost", since) {
				t.Error("nobody on other nodes counts as changed")
			}
		})
	}
	f("presence was missed", func(c *changeClock, s *session.Session) { missed.Make(s).since = c.before(5) },
		"presence 3, inactive -1, held false, missed 5, outdated false")
	f("presence is outdated", func(c *changeClock, s *session.Session) { missed.Make(s).outdated = true },
		"presence 3, inactive -1, held false, missed -1, outdated true")
	f("inactive", func(c *changeClock, s *session.Session) { s.SetInactive(c.before(4)) },
		"presence 3, inactive 4, held false")
	f("inactive for very long", func(c *changeClock, s *session.Session) { s.SetInactive(noSince) },
		fmt.Sprintf("presence 3, inactive %d, held false", stamps))
	f("presence is held", func(c *changeClock, s *session.Session) { s.SetInactive(c.before(0)); s.SetHeld() },
		"presence 3, inactive 0, held true")
	f("all of it", func(c *changeClock, s *session.Session) {
		*missed.Make(s) = missedPresence{c.before(6), true}
		s.SetInactive(c.before(4))
		s.SetHeld()
		holdAll(s, stanzas...)
	}, "presence 3, inactive 4, held true, missed 6, outdated true, 0 from romeo@localhost/desk: <presence type='unavailable'/>, "+
		"1 from juliet@localhost/r: <message/>, 2 from nurse@localhost: , 237 bytes")

	var r Router
	if data := r.saveClientState(nil, new(session.Session)); len(data) > 0 {
		t.Errorf("%q is saved of a client of which there is nothing to save", data)
	}
}

// TestClientStateMalformed: data that is not whole, or that has values that there are not, is
// refused.
func TestClientStateMalformed(t *testing.T) {
	var r Router
	s := new(session.Session)
	s.SetInactive(noSince)
	holdAll(s, heldStanza{chatStateFrom, "a@b", []byte("<message/>")}, heldStanza{chatStateTo, "c@d", []byte("<message/>")})
	data := string(r.saveClientState(nil, s))
	whole := 0
	for n := range len(data) + 1 {
		if r.restoreClientState(new(session.Session), []byte(data[:n])) == nil {
			whole++
		}
	}
	if whole != 3 { // after the numbers, and after each stanza
		t.Errorf("%d beginnings are accepted, want 3", whole)
	}
	header := data[:strings.IndexByte(data, byte(len("a@b")))-1]
	for desc, text := range map[string]string{
		"a flag":        "\x00\x00\x00\x04",
		"a kind":        header + "\x03\x03a@b\x00",
		"an address":    header + "\x01\x02@b\x00",
		"a length":      header + "\x01\x03a@b\x7f<message/>",
		"a stamp's age": "\x80\x80\x04\x00\x00\x00",
		"an age":        "\x00\x82\x80\x04\x00\x00",
	} {
		if err := r.restoreClientState(new(session.Session), []byte(text)); err == nil {
			t.Errorf("%s that there is not is accepted", desc)
		}
	}
	if err := r.restoreClientState(new(session.Session), []byte(header)); err != nil {
		t.Error(err)
	}
}
