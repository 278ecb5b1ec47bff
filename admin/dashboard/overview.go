package dashboard

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode"

	"roost/admin/api"
	"roost/internal/human"
	"roost/internal/logring"
)

// overviewPage is what the overview is made of.
type overviewPage struct {
	Status  api.Status
	Span    span
	Figures []figure
	Charts  []chart
	Table   []tableRow
	Ends    []endReason
	Slowest []SlowCall
	HasSlow bool
	Log     []logring.Line
	HasLog  bool
}

// figure is a number that is shown large, with what belongs to it.
type figure struct {
	Name, Value, Unit string
	Notes             []string
}

func (d *Dashboard) overview(v *visit) error {
	p := overviewPage{Span: v.span(), Ends: d.cfg.History.endReasons()}
	if err := d.cfg.API.Get(v.ctx, api.PathStatus, nil, &p.Status); err != nil {
		return err
	}
	samples := d.cfg.History.since(p.Span, 0)
	p.Charts = drawn(samples, p.Span)
	p.Table = table(samples, p.Span, p.Charts)
	p.Figures = d.figures(&p.Status)
	if p.HasLog = d.cfg.Log != nil; p.HasLog {
		p.Log = d.cfg.Log()
	}
	if p.HasSlow = d.cfg.Slowest != nil; p.HasSlow {
		p.Slowest = d.cfg.Slowest()
	}
	d.render(v, http.StatusOK, "overview.html", "Overview", &p)
	return nil
}

// figures are the numbers at the top.
func (d *Dashboard) figures(s *api.Status) []figure {
	now := d.cfg.History.latest()
	value := func(i series) float64 { return float64(now.values[i]) }
	online := figure{Name: "Online", Value: comma(s.Sessions.Connected), Unit: plural(s.Sessions.Connected, "client", "clients")}
	if n, seconds := d.cfg.History.growth(); seconds > 0 {
		sign := "+"
		if n < 0 {
			sign = "" // Comma writes the minus
		}
		online.Notes = append(online.Notes, fmt.Sprintf("%s%s in the last %s", sign, comma(n), human.Age(seconds)))
	}
	online.Notes = append(online.Notes, fmt.Sprintf("%s %s", comma(s.Sessions.Accounts), plural(s.Sessions.Accounts, "account", "accounts")))
	if r := s.Sessions.Restored; r.Waiting > 0 {
		online.Notes = append(online.Notes, fmt.Sprintf("%s of the %s that the start has restored wait for their clients", comma(r.Waiting), comma(r.Total())))
	}
	if d.cfg.Capacity != nil {
		if n, why := d.cfg.Capacity(); n > 0 {
			online.Notes = append(online.Notes, fmt.Sprintf("this machine can hold %s (%s)", comma(n), why))
		}
	}
	logins := figure{Name: "Logins", Value: rateText(s.Logins.PerSecond), Unit: "per second", Notes: []string{
		comma(s.Logins.Total) + " since the start",
		fmt.Sprintf("%s not logged in yet", comma(s.Sessions.Unbound)),
	}}
	messages := figure{Name: "Messages", Value: rateText(value(seriesMessages)), Unit: "per second"}
	delay := figure{Name: "Delay", Value: secondsText(value(seriesLoops)), Notes: []string{
		"until an event loop reacts", "database: " + secondsText(value(seriesStore)),
	}}
	if l := value(seriesLogin); !math.IsNaN(l) {
		delay.Notes = append(delay.Notes, "99 % of logins within "+secondsText(l))
	}
	m := s.Memory
	memory := figure{Name: "Memory", Value: bytesText(m.ResidentBytes), Notes: []string{
		"expected " + bytesText(m.PredictedBytes) + " if all are idle",
		"the kernel needs " + bytesText(m.KernelBytes) + " more",
	}}
	cpu := figure{Name: "CPU", Value: cpuText(value(seriesCPU)), Unit: "of " + fmt.Sprintf("%.4g", d.cfg.CPUs*100) + " %"}
	if l := value(seriesLoginCPU); !math.IsNaN(l) {
		cpu.Notes = append(cpu.Notes, "expected for logins: "+cpuText(l))
	}
	all := []figure{online, logins, messages, delay, memory, cpu}
	if math.IsNaN(value(seriesMessages)) && d.cfg.History.long() {
		all = append(all[:2], all[3:]...)
	}
	return all
}

// growth is how many more clients there are than at the beginning of the last hour, or than
// as long ago as is known.
func (h *History) growth() (n int64, seconds float64) {
	s := h.since(hour, 0)
	if len(s) < 2 {
		return 0, 0
	}
	first, last := s[0], s[len(s)-1]
	return int64(last.values[seriesOnline]) - int64(first.values[seriesOnline]), float64(last.at - first.at)
}

// long reports whether there are enough samples to know every rate.
func (h *History) long() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fine.count > 1
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// ExpiryClass is how urgent it is that a certificate expires.
func (p *overviewPage) ExpiryClass(c api.Certificate) string {
	switch {
	case c.ExpiresInDays < 1:
		return "bad"
	case c.ExpiresInDays < 14:
		return "warn"
	}
	return ""
}

// Expiry says when a certificate expires.
func (p *overviewPage) Expiry(c api.Certificate) string {
	d := c.ExpiresInDays
	switch {
	case d < 0:
		return "has expired"
	case d < 2:
		return "in " + human.Age(d*24*3600)
	}
	return fmt.Sprintf("in %s days", comma(int64(d)))
}

// NextTry says when a certificate is obtained next.
func (p *overviewPage) NextTry(r api.Renewal) string {
	d := time.Until(r.NextTry).Seconds()
	if d <= 0 {
		return "now"
	}
	return "in " + human.Age(d)
}

// Took is how long an operation took.
func (p *overviewPage) Took(c SlowCall) string { return secondsText(c.Took.Seconds()) }

// Operation is what an operation does, for people: the name of the method in words.
func (p *overviewPage) Operation(c SlowCall) string {
	var b strings.Builder
	for i, r := range c.Name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Level is the name of a level of the log.
func (p *overviewPage) Level(l slog.Level) string { return strings.ToLower(l.String()) }
