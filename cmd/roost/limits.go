package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// mistake is an error in the value of a flag.
type mistake struct{ flag, text string }

// mistakes returns the flags whose values are out of range. The ranges guard against
// typos, and against values that would overflow or that the kernel would silently ignore:
// TCP_KEEPIDLE is at most 32,767 seconds, TCP_USER_TIMEOUT is an int32 of milliseconds.
// The minimum of --memory-limit is less than a server without clients needs; with a lower
// limit, the garbage collector would never stop.
func (c *serveFlags) mistakes() (wrong []mistake) {
	if len(c.Domain) == 0 {
		wrong = append(wrong, mistake{"domain", "--domain must name a domain, such as example.org"})
	}
	for _, s := range c.settings() {
		if problem := s.problem(); problem != "" {
			wrong = append(wrong, mistake{s.flag, problem})
		}
	}
	return wrong
}

// sizeText formats a size as it can be written on the command line.
func sizeText(n byteSize) string {
	if n%(1<<10) != 0 || n == 0 {
		return fmt.Sprint(int(n))
	}
	return strings.NewReplacer(".0", "", " ", "").Replace(humanize.IBytes(uint64(n)))
}

// timeText formats a duration as it can be written on the command line, without trailing
// zero units.
func timeText(d time.Duration) string {
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(d.String())
}
