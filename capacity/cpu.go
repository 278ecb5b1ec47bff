package capacity

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// loginStorm checks how long the logins of all clients keep the CPUs busy: all clients
// reconnect after a restart of the server or an outage of the network.
func loginStorm(h Host, p Plan) []Check {
	c := Check{Name: "login-storm", Area: "cpu", Title: "time for all to log in", Needs: "<= " + span(SlowStorm)}
	cpus, err := h.cpus()
	if err != nil {
		return []Check{unknown(c, err)}
	}
	work := time.Duration(p.Sessions) * p.LoginCost()
	takes := time.Duration(float64(work) / cpus)
	c.Found = span(takes)
	c.Detail = []string{fmt.Sprintf("%v of CPU time per login, %s in total, %s", p.LoginCost(), span(work), plural(cpus))}
	c.allow(int64(float64(LostStorm) / float64(p.LoginCost()) * cpus))
	switch {
	case takes > LostStorm:
		c.Status = Fail
	case takes > SlowStorm:
		c.Status = Warn
	default:
		return []Check{c}
	}
	c.Fix = []string{fmt.Sprintf("%d CPUs make it %s", int(math.Ceil(float64(work)/float64(SlowStorm))), span(SlowStorm))}
	return []Check{c}
}

// cpus returns the number of CPUs that this process may use, according to its affinity
// and the quotas of its control groups.
func (h Host) cpus() (float64, error) {
	text, err := h.text("proc/self/status")
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range strings.Lines(text) {
		if list, found := strings.CutPrefix(line, "Cpus_allowed_list:"); found {
			n = countList(strings.TrimSpace(list))
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("/proc/self/status does not list the CPUs")
	}
	cpus := float64(n)
	for _, dir := range h.cgroups() {
		if v, err := h.numbers(dir+"/cpu.max", 2); err == nil && v[0] < math.MaxInt64 && v[0] > 0 && v[1] > 0 {
			cpus = min(cpus, float64(v[0])/float64(v[1]))
		}
	}
	return cpus, nil
}

// countList returns the number of elements of a list such as 0-3,8.
func countList(list string) (n int) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || last < first {
			return 0
		}
		n += last - first + 1
	}
	return n
}

func plural(cpus float64) string {
	if cpus == 1 {
		return "1 CPU"
	}
	return strconv.FormatFloat(math.Round(cpus*100)/100, 'f', -1, 64) + " CPUs"
}

// span formats a duration for people: 4 s, 2 min, 4 min 10 s.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch minutes, seconds := d/time.Minute, d%time.Minute/time.Second; {
	case minutes >= 100:
		return fmt.Sprintf("%.1f h", d.Hours())
	case minutes == 0:
		return fmt.Sprintf("%d s", seconds)
	case seconds == 0:
		return fmt.Sprintf("%d min", minutes)
	default:
		return fmt.Sprintf("%d min %d s", minutes, seconds)
	}
}
