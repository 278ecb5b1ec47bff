package server

import (
	"testing"

	"roost/admin/api"
)

// TestAdminStats: the figures have what clients have done since the start.
func TestAdminStats(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Session.FailureDelay = -1 })
	client := adminOf(t, s)
	read := func() (st api.Stats) {
		t.Helper()
		if err := client.Get(t.Context(), api.PathStats, nil, &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	before := read()
	romeo, juliet := connect(t, s).login("romeo", "a"), connect(t, s).login("juliet", "b").available()
	romeo.ask("<message to='juliet@localhost' type='chat'><body>x</body></message>"+pingOwn, "id='p'")
	juliet.ask("", "</message>")
	romeo.ask("</stream:stream>", "</stream:stream>")
	stranger := connect(t, s)
	stranger.ask(testHeader, "</stream:features>")
	stranger.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plainOf("romeo", "wrong")+"</auth>", "</failure>")
	st := read()
	if want := (api.Sessions{Unbound: 1, Connected: 1, Available: 1, Accounts: 1}); st.Sessions != want {
		t.Errorf("%+v, want %+v", st.Sessions, want)
	}
	if st.Logins != 2 || count(st.LoginTime) != 2 || st.LoginTime.Sum <= 0 || st.LoginErrors["wrong-password"] != 1 || len(st.LoginErrors) != 1 || st.Ended["closed"] != 1 {
		t.Errorf("%+v", st)
	}
	if st.Messages != 1 || st.MessagesStored != 0 || st.StanzasReceived < 6 || st.StanzasSent < 5 || st.BytesReceived < 100 || st.BytesSent < 100 {
		t.Errorf("%+v", st)
	}
	if st.CPUSeconds < before.CPUSeconds || st.CPUs < 1 || st.Memory.ResidentBytes < 1<<20 || len(st.Workers) != 3 || len(st.Remaining) == 0 || len(st.Refused) == 0 {
		t.Errorf("%+v", st)
	}
	if count(st.LoopTurns) <= count(before.LoopTurns) || count(st.StoreReads) <= count(before.StoreReads) || len(st.LoopTurns.Bounds) == 0 || st.LoopTurns.Bounds[0] > 0.001 {
		t.Errorf("%+v", st)
	}
	if !st.StartedAt.Equal(before.StartedAt) || !st.Time.After(before.Time) || st.UptimeSeconds <= before.UptimeSeconds || st.State != api.Serving {
		t.Errorf("%+v, before %+v", st, before)
	}
}

// count is the number of durations in a histogram.
func count(h api.Histogram) (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}
