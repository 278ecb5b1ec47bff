package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"roost/internal/ownfile"
)

// Audit is a file with one JSON object a line for each change that an administrator has
// made or tried to make. A nil *Audit records nothing. Its methods may be called from any
// goroutine; Record waits for the disk.
type Audit struct {
	name string
	log  *slog.Logger

	mu      sync.Mutex
	out     io.WriteCloser
	cut     bool      // the file ends within a line
	lost    int       // entries that could not be written, since one was
	failing time.Time // when it was logged that entries cannot be written; zero: they can
}

// AuditEntry is one line.
type AuditEntry struct {
	Time   time.Time      `json:"time"`
	Actor  string         `json:"actor"`            // "root (uid 0)", "token NAME"; empty: unknown
	From   string         `json:"from,omitempty"`   // address and port, of requests by TCP
	Action string         `json:"action"`           // such as "session.end"
	Object string         `json:"object,omitempty"` // such as the full JID of the session
	Params map[string]any `json:"params,omitempty"` // of the request, without passwords
	Result string         `json:"result"`           // "ok", or the code of the error
}

// auditRetry is how often it is logged that entries cannot be written.
const auditRetry = time.Minute

// OpenAudit opens a file to append to; a missing one is made with the mode 0600. log may
// be nil.
func OpenAudit(name string, log *slog.Logger) (*Audit, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &Audit{name: name, log: log}
	return a, a.Reopen()
}

// Reopen opens the file again: it may have been renamed to rotate it. If that fails, the
// old one stays in use.
func (a *Audit) Reopen() error {
	if a == nil {
		return nil
	}
	f, err := ownfile.Append(a.name, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		err = fmt.Errorf("%s is a symbolic link: name the file itself", a.name)
	}
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.out != nil {
		_ = a.out.Close()
	}
	a.out, a.cut = f, cut(f)
	return nil
}

// cut reports whether a file ends within a line.
func cut(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// Close closes the file.
func (a *Audit) Close() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out.Close()
}

// Record appends an entry; a zero Time is that of the call. If the file cannot be written,
// such as when the disk is full, that is logged.
func (a *Audit) Record(e AuditEntry) {
	if a == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic("admin: BUG: " + err.Error())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.write(line.Bytes())
}

// write appends a line. Under mu.
func (a *Audit) write(line []byte) {
	if a.cut {
		line = append([]byte{'\n'}, line...)
	}
	n, err := a.out.Write(line)
	if err == nil {
		if a.cut = false; a.lost > 0 {
			a.log.Warn("the audit log is written again; entries are missing", "file", a.name, "lines", a.lost)
		}
		a.lost, a.failing = 0, time.Time{}
		return
	}
	a.cut = a.cut || n > 0
	a.lost++
	if now := time.Now(); now.Sub(a.failing) >= auditRetry {
		a.failing = now
		a.log.Error("the audit log cannot be written", "file", a.name, "lines", a.lost, "err", err)
	}
}
