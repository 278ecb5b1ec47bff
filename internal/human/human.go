// Package human writes values for people, in commands and on pages.
package human

import (
	"fmt"
	"strings"
	"time"
)

// Age returns a time in its two largest units, such as "3 d 4 h".
func Age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
}

// Printable makes a text, parts of which clients choose, fit to be shown: characters that
// control a terminal, would be invisible, or change the direction of what follows become
// instead.
func Printable(text string, instead rune) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff {
			return instead
		}
		return r
	}, text)
}
