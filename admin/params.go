package admin

import (
	"strconv"
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
		return 0, badRequest("give a number of seconds", "%s must be above 0 and at most %g seconds, not %q", name, max.Seconds(), text)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// boolean returns a parameter that is true or false; by default it is false.
func (r *request) boolean(name string) (bool, error) {
	switch text := r.URL.Query().Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, badRequest("", "%s must be true or false, not %q", name, text)
	}
}
