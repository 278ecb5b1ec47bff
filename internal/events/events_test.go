package events

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
)

// text is what a subscription has to take.
func text(s *Subscription) string {
	all, lost := s.Take()
	out := ""
	for _, e := range all {
		out += fmt.Sprintf("%d:%s ", e.Kind, e.JID)
	}
	return fmt.Sprintf("%slost %d", out, lost)
}

// TestFilter: a subscriber receives what it has asked for, in order, and nothing is
// published for nobody.
func TestFilter(t *testing.T) {
	var b Bus
	if b.Wants(All) {
		t.Error("nobody follows")
	}
	all, ends, romeo := b.Subscribe(Filter{Kinds: All}), b.Subscribe(Filter{Kinds: End | Log}), b.Subscribe(Filter{Kinds: All, Account: "romeo@localhost"})
	for _, e := range []Event{
		{Kind: Login, JID: "romeo@localhost/a"}, {Kind: End, JID: "romeo@localhost/a"}, {Kind: Account, JID: "romeo@localhost"},
		{Kind: Login, JID: "romeo@localhost.example/a"}, {Kind: End}, {Kind: Admin, Object: "romeo@localhost/a"}, {Kind: Admin, Object: "other"},
	} {
		b.Publish(e.Kind, func() Event { return e })
	}
	for _, x := range []struct {
		s    *Subscription
		want string
	}{
		{all, "1:romeo@localhost/a 4:romeo@localhost/a 8:romeo@localhost 1:romeo@localhost.example/a 4: 16: 16: lost 0"},
		{ends, "4:romeo@localhost/a 4: lost 0"},
		{romeo, "1:romeo@localhost/a 4:romeo@localhost/a 8:romeo@localhost 16: lost 0"},
		{all, "lost 0"},
	} {
		if got := text(x.s); got != x.want {
			t.Errorf("%s, want %s", got, x.want)
		}
	}
	for _, k := range []Kind{Login, LoginFailed, End, Account, Admin, Log} {
		if !b.Wants(k) || All&k == 0 {
			t.Errorf("kind %d is not wanted", k)
		}
	}
	all.Close()
	romeo.Close()
	if b.Wants(Login|LoginFailed|Account|Admin) || !b.Wants(End) {
		t.Error("what is wanted is not what the last subscriber follows")
	}
	b.Publish(End, func() Event { return Event{JID: "x"} })
	ends.Close()
	if b.Wants(All) || len(b.subs) != 0 || text(all) != "lost 0" || text(ends) != "4:x lost 0" {
		t.Error("a closed subscription receives events")
	}
}

// TestSlowSubscriber: one that does not take its events loses the later ones, is told how
// many, and does not affect others.
func TestSlowSubscriber(t *testing.T) {
	var b Bus
	slow, fast := b.Subscribe(Filter{Kinds: Login}), b.Subscribe(Filter{Kinds: Login})
	defer slow.Close()
	defer fast.Close()
	for i := range Buffered + 5 {
		b.Publish(Login, func() Event { return Event{JID: fmt.Sprint(i)} })
		if got, want := text(fast), fmt.Sprintf("1:%d lost 0", i); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	<-slow.Ready()
	all, lost := slow.Take()
	if len(all) != Buffered || lost != 5 || all[0].JID != "0" || all[Buffered-1].JID != fmt.Sprint(Buffered-1) {
		t.Errorf("%d events, %d lost", len(all), lost)
	}
	b.Publish(Login, func() Event { return Event{JID: "after"} })
	<-slow.Ready()
	if got := text(slow); got != "1:after lost 0" {
		t.Error(got)
	}
}

// TestConcurrentSubscribers: events of many goroutines arrive, once, while subscribers come
// and go.
func TestConcurrentSubscribers(t *testing.T) {
	var b Bus
	s := b.Subscribe(Filter{Kinds: Login})
	defer s.Close()
	const n, each = 4, 2000
	var publishing sync.WaitGroup
	for range n {
		publishing.Go(func() {
			for range each {
				b.Publish(Login, func() Event { return Event{} })
				b.Subscribe(Filter{Kinds: End}).Close()
			}
		})
	}
	total := 0
	for total < n*each {
		<-s.Ready()
		all, lost := s.Take()
		total += len(all) + lost
	}
	publishing.Wait()
	if got := text(s); total != n*each || got != "lost 0" {
		t.Errorf("%d events, then %s", total, got)
	}
}

// TestNobodyFollows: an event that nobody follows is not even made, and costs no allocation.
func TestNobodyFollows(t *testing.T) {
	var b Bus
	made := 0
	peer := netip.MustParseAddrPort("192.0.2.1:1")
	publish := func() {
		b.Publish(Login, func() Event { made++; return Event{JID: fmt.Sprint("romeo@", made), Peer: peer} })
	}
	if n := testing.AllocsPerRun(100, publish); n != 0 || made != 0 {
		t.Errorf("%v allocations, %d events made", n, made)
	}
	other := b.Subscribe(Filter{Kinds: All &^ Login})
	defer other.Close()
	if publish(); made != 0 {
		t.Error("an event of a kind that nobody follows was made")
	}
	s := b.Subscribe(Filter{Kinds: Login})
	if publish(); made != 1 {
		t.Errorf("%d events made", made)
	}
	s.Close()
	if publish(); made != 1 {
		t.Error("an event was made after the last subscriber has left")
	}
}
