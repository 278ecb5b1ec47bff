package admin

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// seconds returns a parameter that is a time in seconds: above 0 and at most max.
func (r *request) seconds(name string, def, max time.Duration) (time.Duration, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n <= max.Seconds()) { // NaN is neither
		return 0, badField(name, "give a number of seconds", "%s must be above 0 and at most %s, not %q", name, secondsText(max), text)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// secondsText is a limit in the unit of the API, and as it is written in flags.
func secondsText(d time.Duration) string {
	return fmt.Sprintf("%.0f seconds (%s)", d.Seconds(), strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m"))
}

// boolean returns a parameter that is true or false; by default it is false.
func (r *request) boolean(name string) (bool, error) {
	switch text := r.URL.Query().Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, badField(name, "", "%s must be true or false, not %q", name, text)
	}
}
