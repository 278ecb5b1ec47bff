package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// mistake is what is wrong with the value of a flag.
type mistake struct{ flag, text string }

// mistakes says which flags have values that they cannot have. The ranges of flags
// guard against typos, and against what would overflow or what the kernel would
// silently ignore: TCP_KEEPIDLE is 32,767 seconds at most, TCP_USER_TIMEOUT an int32 of
// milliseconds. Below the least --memory-limit, which is less than what a server without
// clients needs, the garbage collector would never stop.
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

// sizeText is a size as it can be written on the command line.
func sizeText(n byteSize) string {
	if n%(1<<10) != 0 || n == 0 {
		return fmt.Sprint(int(n))
	}
	return strings.NewReplacer(".0", "", " ", "").Replace(humanize.IBytes(uint64(n)))
}

// timeText is a time as it can be written on the command line, without what is
// zero at its end.
func timeText(d time.Duration) string {
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(d.String())
}
