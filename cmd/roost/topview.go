package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"roost/admin/api"
	"roost/internal/histogram"
	"roost/internal/human"
)

// topSpan is how far back the quantiles go.
const topSpan = time.Minute

// topView is what roost top shows.
type topView struct {
	readings []*api.Stats // oldest first: one that is topSpan old or older, and those after it
	problem  string       // why there are no newer ones; empty: nothing
}

// add adds a reading.
func (v *topView) add(s *api.Stats) {
	v.problem = ""
	if len(v.readings) > 0 && !s.StartedAt.Equal(v.now().StartedAt) {
		v.readings = nil // it counts from 0
	}
	v.readings = append(v.readings, s)
	for len(v.readings) > 2 && s.Time.Sub(v.readings[1].Time) >= topSpan {
		v.readings = v.readings[1:]
	}
}

// now is the last reading.
func (v *topView) now() *api.Stats { return v.readings[len(v.readings)-1] }

// before is the reading before the last, or the last one if there is only that.
func (v *topView) before() *api.Stats { return v.readings[max(0, len(v.readings)-2)] }

// perSecond is the rate of something that is counted.
func (v *topView) perSecond(count func(*api.Stats) float64) float64 {
	seconds := v.now().Time.Sub(v.before().Time).Seconds()
	if seconds <= 0 {
		return 0
	}
	return max(0, count(v.now())-count(v.before())) / seconds
}

// rate is the rate of something, as text.
func (v *topView) rate(count func(*api.Stats) int64) string {
	return rateText(v.perSecond(func(s *api.Stats) float64 { return float64(count(s)) }))
}

// byRate are the rates of what is counted by name, with the largest first, and their sum.
func (v *topView) byRate(counts func(*api.Stats) map[string]int64) (text string, sum float64) {
	rates := make(map[string]float64)
	for name := range counts(v.now()) {
		if r := v.perSecond(func(s *api.Stats) float64 { return float64(counts(s)[name]) }); r > 0 {
			rates[name] = r
			sum += r
		}
	}
	names := slices.SortedFunc(maps.Keys(rates), func(a, b string) int {
		return cmp.Or(cmp.Compare(rates[b], rates[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = name + " " + rateText(rates[name])
	}
	return strings.Join(names, ", "), sum
}

// quantiles are the median and the 99th percentile of durations.
func (v *topView) quantiles(of func(*api.Stats) *api.Histogram) string {
	now, before := of(v.now()), of(v.readings[0])
	if len(now.Counts) != len(now.Bounds)+1 || len(now.Counts) != len(before.Counts) {
		return "" // not a server of roost
	}
	h := histogramOf(now).Since(histogramOf(before))
	if h.Count() == 0 {
		return fmt.Sprintf("%9s %9s", "-", "-")
	}
	return fmt.Sprintf("%9s %9s", secondsText(h.Quantile(0.5)/1e9), secondsText(h.Quantile(0.99)/1e9))
}

// histogramOf returns a histogram in nanoseconds.
func histogramOf(h *api.Histogram) histogram.Snapshot {
	s := histogram.Snapshot{Counts: h.Counts, Sum: int64(h.Sum * 1e9)}
	for _, b := range h.Bounds {
		s.Bounds = append(s.Bounds, int64(b*1e9))
	}
	return s
}

// lines is what is shown. It fits into 80 columns and 24 lines, unless much is wrong.
func (v *topView) lines() []screenLine {
	s := v.now()
	var all []screenLine
	line := func(alarm bool, name, format string, args ...any) {
		all = append(all, screenLine{printable(strings.TrimRight(fmt.Sprintf("%-12s ", name)+fmt.Sprintf(format, args...), " ")), alarm})
	}
	head := fmt.Sprintf("roost %s, %s, up for %s", s.Version, s.State, human.Age(s.UptimeSeconds))
	all = append(all, screenLine{printable(fmt.Sprintf("%-60s %19s", head, s.Time.Local().Format(time.DateTime))), s.State != api.Serving})
	all = append(all, screenLine{printable(v.problem), v.problem != ""})
	line(false, "online", "%-12s accounts %s, available %s, not logged in %s", comma(s.Sessions.Connected), comma(s.Sessions.Accounts), comma(s.Sessions.Available), comma(s.Sessions.Unbound))
	if check, room, ok := scarcest(s.Remaining); ok {
		used := float64(s.Sessions.Connected) / float64(max(1, s.Sessions.Connected+room))
		line(used > nearlyFull, "room for", "%-12s more, limited by %s; %.0f %% used", comma(room), check, used*100)
	}
	memory := "expected " + bytesText(s.Memory.PredictedBytes)
	if s.Memory.LimitBytes > 0 {
		memory += ", limit " + bytesText(s.Memory.LimitBytes)
	}
	line(s.Memory.LimitBytes > 0 && float64(s.Memory.ResidentBytes) > nearlyFull*float64(s.Memory.LimitBytes), "memory", "%-12s %s", bytesText(s.Memory.ResidentBytes), memory)
	cpu := v.perSecond(func(s *api.Stats) float64 { return s.CPUSeconds })
	line(cpu > nearlyFull*float64(s.CPUs), "CPU", "%-12s of %d %%", fmt.Sprintf("%.0f %%", cpu*100), s.CPUs*100)
	all = append(all, screenLine{}, screenLine{text: "per second"})
	v.rates(line)
	all = append(all, screenLine{}, screenLine{text: fmt.Sprintf("%-12s %9s %9s", "last minute", "p50", "p99")})
	line(false, "logins", "%s", v.quantiles(func(s *api.Stats) *api.Histogram { return &s.LoginTime }))
	line(false, "event loops", "%s", v.quantiles(func(s *api.Stats) *api.Histogram { return &s.LoopTurns }))
	line(false, "store reads", "%s", v.quantiles(func(s *api.Stats) *api.Histogram { return &s.StoreReads }))
	line(false, "store writes", "%s   %s waiting", v.quantiles(func(s *api.Stats) *api.Histogram { return &s.StoreWrites }), comma(s.WritesWaiting))
	all = append(all, screenLine{})
	var pools []string
	waits := false
	for _, w := range s.Workers {
		pools = append(pools, fmt.Sprintf("%s %s of %s", w.Work, comma(int64(w.Busy)), comma(int64(w.Limit)))+optional(", waiting ", waiting(w.Waiting)))
		waits = waits || w.Waiting > w.Limit
	}
	line(waits, "workers busy", "%s", strings.Join(pools, "; "))
	return all
}

// nearlyFull is the share from which on a limit needs attention.
const nearlyFull = 0.9

// rates adds the lines of rates.
func (v *topView) rates(line func(alarm bool, name, format string, args ...any)) {
	failures, _ := v.byRate(func(s *api.Stats) map[string]int64 { return s.LoginErrors })
	ends, ended := v.byRate(func(s *api.Stats) map[string]int64 { return s.Ended })
	refusals, refused := v.byRate(func(s *api.Stats) map[string]int64 { return s.Refused })
	line(false, "logins", "%-12s %s", v.rate(func(s *api.Stats) int64 { return s.Logins }), optional("failed: ", failures))
	line(false, "ends", "%-12s %s", rateText(ended), ends)
	line(false, "messages", "%-12s stored for later %s", v.rate(func(s *api.Stats) int64 { return s.Messages }), v.rate(func(s *api.Stats) int64 { return s.MessagesStored }))
	line(false, "stanzas", "in %-9s out %s", v.rate(func(s *api.Stats) int64 { return s.StanzasReceived }), v.rate(func(s *api.Stats) int64 { return s.StanzasSent }))
	received, sent := v.perSecond(func(s *api.Stats) float64 { return float64(s.BytesReceived) }), v.perSecond(func(s *api.Stats) float64 { return float64(s.BytesSent) })
	line(false, "traffic", "in %-9s out %s; not read by clients yet: %s", bytesText(int64(received)), bytesText(int64(sent)), bytesText(v.now().Unread))
	line(refused > 0, "refused", "%-12s %s", rateText(refused), refusals)
	slowed := []string{
		"throttled " + v.rate(func(s *api.Stats) int64 { return s.Throttled }),
		"delayed " + v.rate(func(s *api.Stats) int64 { return s.Delayed }),
		"evicted " + v.rate(func(s *api.Stats) int64 { return s.Evicted }),
	}
	line(false, "slowed down", "%s", strings.Join(slowed, ", "))
}

// scarcest returns the check of the machine that has room for the fewest sessions.
func scarcest(remaining map[string]int64) (check string, room int64, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(remaining)) {
		if n := remaining[name]; !ok || n < room {
			check, room, ok = name, n, true
		}
	}
	return check, max(0, room), ok
}

// waiting is a number of jobs, empty for none.
func waiting(n int) string {
	if n == 0 {
		return ""
	}
	return comma(int64(n))
}

// rateText is a rate, with a digit after the point if it is small.
func rateText(perSecond float64) string {
	switch {
	case perSecond == 0:
		return "0"
	case perSecond < 10:
		return fmt.Sprintf("%.1f", perSecond)
	}
	return humanize.Comma(int64(math.Round(perSecond)))
}

// secondsText is a duration with three digits.
func secondsText(seconds float64) string {
	switch {
	case seconds < 1e-3:
		return fmt.Sprintf("%.3g µs", seconds*1e6)
	case seconds < 1:
		return fmt.Sprintf("%.3g ms", seconds*1e3)
	}
	return fmt.Sprintf("%.3g s", seconds)
}
