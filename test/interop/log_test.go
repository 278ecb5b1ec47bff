//go:build interop

package interop

import (
	"bufio"
	"io"
	"sync"
)

// logKept is the number of bytes that a logBuffer keeps.
const logKept = 4 << 20

// logBuffer keeps the last output of a process. It is safe for concurrent use.
type logBuffer struct {
	mu      sync.Mutex
	text    []byte
	dropped int
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if over := len(b.text) - logKept; over > 0 {
		b.text = append(b.text[:0], b.text[over:]...)
		b.dropped += over
	}
	return len(p), nil
}

// mark returns the current end of the log, for since.
func (b *logBuffer) mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped + len(b.text)
}

// since returns what was written after the mark, or only the last part of that.
func (b *logBuffer) since(mark int) string {
	const most = 32 << 10
	b.mu.Lock()
	defer b.mu.Unlock()
	from := max(0, mark-b.dropped, len(b.text)-most)
	return string(b.text[min(from, len(b.text)):])
}

// tail returns the end of the log.
func (b *logBuffer) tail() string { return b.since(0) }

// eachLine calls f for each line of r until r ends.
func eachLine(r io.Reader, f func(string)) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadString('\n')
		if len(line) > 0 && line[len(line)-1] == '\n' {
			f(line[:len(line)-1])
		}
		if err != nil {
			return
		}
	}
}
