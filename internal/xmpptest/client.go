package xmpptest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// errEnd is the end of a connection.
var errEnd = errors.New("the connection ended")

// client is a client of a run.
type client struct {
	name string
	conn net.Conn
	in   string // received, not parsed yet
	end  error
}

// event is something that a client received: an element, a stream header (a node without
// children), or the end of the stream (no node).
type event struct {
	node *node
	raw  string
}

const streamEnd = "</stream:stream>"

func (c *client) send(text string, cut Cut) {
	pieces := []string{text}
	switch {
	case cut == Bytewise:
		pieces = pieces[:0]
		for i := range len(text) {
			pieces = append(pieces, text[i:i+1])
		}
	case cut > 0 && int(cut) < len(text):
		pieces = []string{text[:cut], text[cut:]}
	}
	for _, p := range pieces {
		if _, err := io.WriteString(c.conn, p); err != nil {
			// The server may close a stream before it has read all of an invalid
			// text. What is read next shows whether that was right.
			break
		}
	}
}

// next waits for the next event.
func (c *client) next() (event, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(WaitLimit))
	buf := make([]byte, 16<<10)
	for {
		ev, n, err := c.parse()
		if err == nil {
			c.in = c.in[n:]
			return ev, nil
		}
		if !errors.Is(err, errMore) {
			return event{}, fmt.Errorf("%w in %q", err, c.in)
		}
		if c.end != nil {
			return event{}, c.end
		}
		got, err := c.conn.Read(buf)
		c.in += string(buf[:got])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return event{}, fmt.Errorf("timeout; received %q", c.in)
		case err != nil:
			c.end = errEnd
		}
	}
}

// parse parses a complete event at the start of the input, and returns its length.
func (c *client) parse() (event, int, error) {
	s := strings.TrimLeft(c.in, " \t\r\n")
	skipped := len(c.in) - len(s)
	if strings.HasPrefix(s, "<?xml") {
		end := strings.Index(s, "?>")
		if end < 0 {
			return event{}, 0, errMore
		}
		skipped += end + 2
		s = s[end+2:]
	}
	switch {
	case s == "":
		return event{}, 0, errMore
	case strings.HasPrefix(s, streamEnd):
		return event{raw: streamEnd}, skipped + len(streamEnd), nil
	case strings.HasPrefix(s, "<stream:stream"):
		end := strings.IndexByte(s, '>')
		if end < 0 {
			return event{}, 0, errMore
		}
		n, _, err := readNode(s[:end] + "/>")
		return event{n, s[:end+1]}, skipped + end + 1, err
	}
	n, size, err := readNode(s)
	if err != nil {
		return event{}, 0, err
	}
	return event{n, s[:size]}, skipped + size, nil
}

// matchEvent compares an event with what a dialogue expects.
func (v vars) matchEvent(pattern string, ev event) error {
	if pattern == streamEnd {
		if ev.node != nil {
			return errors.New("it is not the end of the stream")
		}
		return nil
	}
	if ev.node == nil {
		return errors.New("it is the end of the stream")
	}
	if strings.HasPrefix(pattern, "<stream:stream") && !strings.HasSuffix(pattern, "/>") {
		pattern = strings.TrimSuffix(pattern, ">") + "/>"
	}
	want, _, err := readNode(v.expand(pattern))
	if err != nil {
		return fmt.Errorf("the dialogue is invalid: %w", err)
	}
	return v.match(want, ev.node)
}
