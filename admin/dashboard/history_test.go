package dashboard

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"

	"roost/session"
)

// TestHistorySize: the history is one object of a constant size, which docs/admin.md names.
func TestHistorySize(t *testing.T) {
	if n := unsafe.Sizeof(History{}); n > 59<<10 {
		t.Errorf("a History has %d bytes; correct docs/admin.md", n)
	}
	h := NewHistory()
	now := time.Unix(1e9, 0)
	ended := []session.Ended{{Reason: "closed", Count: 1}}
	if n := testing.AllocsPerRun(2000, func() {
		now = now.Add(fineInterval)
		h.Add(now, Reading{Online: 1, Ended: ended})
	}); n > 0 {
		t.Errorf("a sample allocates %v times", n)
	}
	if len(h.since(hour, 0)) != fineCount || len(h.since(day, 0)) != 2001/perCoarse {
		t.Errorf("%d samples of an hour, %d of a day", len(h.since(hour, 0)), len(h.since(day, 0)))
	}
}

// TestSentence: the first letter is a whole character.
func TestSentence(t *testing.T) {
	for text, want := range map[string]string{"": "", "no": "No", "état": "État", "世界": "世界", `"x" is`: `"x" is`} {
		if got := sentence(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func isNaN(v float32) bool { return v != v }

// TestHistory: what two readings say about the time between them.
func TestHistory(t *testing.T) {
	h := NewHistory()
	if s := h.latest(); !isNaN(s.values[seriesOnline]) {
		t.Errorf("%v", s)
	}
	start := time.Unix(1e9, 0)
	h.Add(start, Reading{Online: 5, Logins: 100, Messages: 1000, CPU: time.Second, Memory: 1 << 20, Login: -1})
	s := h.latest()
	if s.values[seriesOnline] != 5 || !isNaN(s.values[seriesLogins]) || !isNaN(s.values[seriesCPU]) || !isNaN(s.values[seriesLogin]) {
		t.Errorf("the first sample: %v", s)
	}
	h.Add(start.Add(20*time.Second), Reading{
		Online: 7, Logins: 150, Messages: 1010, CPU: 11 * time.Second, LoginCPU: 100 * time.Millisecond,
		Loops: time.Millisecond, Store: -1, Login: 2 * time.Second, Memory: 2 << 20, Expected: 3 << 20,
	})
	s = h.latest()
	want := map[series]float32{
		seriesOnline: 7, seriesLogins: 2.5, seriesMessages: 0.5, seriesCPU: 0.5, seriesLoginCPU: 0.25,
		seriesLoops: 0.001, seriesLogin: 2, seriesMemory: 2 << 20, seriesExpected: 3 << 20,
	}
	for i := range seriesCount {
		if w, ok := want[i]; ok && s.values[i] != w || !ok && !isNaN(s.values[i]) {
			t.Errorf("%s is %v, want %v", seriesInfo[i].name, s.values[i], w)
		}
	}
	if n, seconds := h.growth(); n != 2 || seconds != 20 {
		t.Errorf("%d more clients in %v s", n, seconds)
	}
	h.Add(start.Add(30*time.Second), Reading{Messages: -1})
	if s := h.latest(); !isNaN(s.values[seriesMessages]) {
		t.Errorf("messages that are not known have the rate %v", s.values[seriesMessages])
	}
}

// TestCoarse: two minutes are summarized by the mean, delays by the longest, and what is
// not known does not count.
func TestCoarse(t *testing.T) {
	h := NewHistory()
	now := time.Unix(1e9, 0)
	for i := range 3 * perCoarse {
		now = now.Add(fineInterval)
		r := Reading{Online: int64(i % perCoarse), Loops: time.Duration(i%perCoarse) * time.Millisecond, Store: -1, Messages: -1, Login: -1}
		if i == perCoarse {
			r.Login = 3 * time.Second
		}
		h.Add(now, r)
	}
	all := h.since(day, 0)
	if len(all) != 3 || all[2].at != now.Unix() || all[2].at-all[1].at != int64(coarseInterval.Seconds()) {
		t.Fatalf("%+v", all)
	}
	for i, s := range all {
		if s.values[seriesOnline] != 5.5 || s.values[seriesLoops] != 0.011 || !isNaN(s.values[seriesStore]) || isNaN(s.values[seriesLogin]) != (i != 1) {
			t.Errorf("%d: %v", i, s.values)
		}
	}
	if newer := h.since(day, all[1].at); len(newer) != 1 || newer[0] != all[2] && !isNaN(newer[0].values[seriesStore]) {
		t.Errorf("%d samples are newer than the second one", len(newer))
	}
}

// TestEnds: reasons with their counts in the last hour and since the start.
func TestEnds(t *testing.T) {
	h := NewHistory()
	now := time.Unix(1e9, 0)
	add := func(after time.Duration, closed, lost int64) {
		now = now.Add(after)
		h.Add(now, Reading{Ended: []session.Ended{{Reason: "closed", Count: closed}, {Reason: "lost", Count: lost}}})
	}
	check := func(want ...endReason) {
		t.Helper()
		if got := h.endReasons(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	h.Add(now, Reading{})
	check()
	add(5*time.Minute, 3, 1)
	check(endReason{"closed", 3, 3}, endReason{"lost", 1, 1})
	for range 12 { // an hour
		add(5*time.Minute, 3, 1)
	}
	add(time.Minute, 4, 9)
	check(endReason{"lost", 8, 9}, endReason{"closed", 1, 4})
	for range 14 {
		add(5*time.Minute, 4, 9)
	}
	check(endReason{"lost", 0, 9}, endReason{"closed", 0, 4})

	// More reasons than there can be need no more memory.
	var many []session.Ended
	for i := range 2 * maxReasons {
		many = append(many, session.Ended{Reason: fmt.Sprint("reason ", i), Count: 1})
	}
	h.Add(now, Reading{Ended: many})
	if n := len(h.endReasons()); n != maxReasons {
		t.Errorf("%d reasons", n)
	}
}

// TestDrawn: charts and their text have what is known.
func TestDrawn(t *testing.T) {
	h := NewHistory()
	now := time.Unix(1e9, 0) // 01:46:40 UTC
	for i := range 100 {
		now = now.Add(fineInterval)
		h.Add(now, Reading{Online: int64(1000 + i), Messages: -1, Login: -1, Memory: 1 << 30, CPU: time.Duration(i) * time.Second})
	}
	samples := h.since(hour, 0)
	all := drawn(samples, hour)
	var titles []string
	for _, c := range all {
		titles = append(titles, c.Title)
		for _, l := range c.Lines {
			if l.Name == "" || l.Latest == unknown {
				t.Errorf("%s: %+v", c.Title, l)
			}
		}
	}
	if fmt.Sprint(titles) != "[Clients online Logins per second Delays Memory CPU, 100 % is one core]" {
		t.Errorf("%q: a chart of which nothing is known must be left out", titles)
	}
	if want := "clients: now 1,099, between 1,000 and 1,099 in the last hour"; all[0].Lines[0].Text != want {
		t.Errorf("%q, want %q", all[0].Lines[0].Text, want)
	}
	if n := len(all[2].Lines); n != 2 {
		t.Errorf("%d lines of delays", n)
	}
	rows := table(samples, hour, all)
	if len(rows) != 4 || !rows[0].At.Equal(now) || rows[0].Cells[0] != "1,089" || len(rows[0].Cells) != 8 {
		t.Errorf("%d rows: %+v", len(rows), rows)
	}
	if len(charts[3].Lines) != 3 || charts[3].Lines[0].Name != "" {
		t.Error("drawn has changed the table of charts")
	}
}

func TestFormats(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct{ got, want string }{
		{rateText(nan), "–"}, {rateText(0), "0"}, {rateText(0.04), "< 0.1"}, {rateText(12.34), "12.3"}, {rateText(12345.6), "12,346"},
		{secondsText(nan), "–"}, {secondsText(0.00004), "< 0.1 ms"}, {secondsText(0.0012), "1.2 ms"}, {secondsText(0.25), "250 ms"}, {secondsText(4), "4.0 s"},
		{cpuText(nan), "–"}, {cpuText(0.012), "1.2 %"}, {cpuText(1.5), "150 %"}, {cpuText(12), "1,200 %"},
		{countText(nan), "–"}, {countText(1234567), "1,234,567"}, {sizeText(nan), "–"}, {sizeText(3 << 30), "3.0 GiB"},
		{printable("a\u202eb\x00c\u200bé"), "a\ufffdb\ufffdc\ufffdé"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
