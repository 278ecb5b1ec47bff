package migrate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"roost/store"
)

// A file of JSON lines begins with a line with its format and ends with one with the number
// of accounts. Each line between them is an account.
const lineFormat = "roost accounts"

// lineVersion is the version of the format. A newer version of roost writes a larger one if
// an older one would misunderstand its files.
const lineVersion = 1

// maxLine is the length of the longest line, in bytes. What XML allows takes at most twice as
// much space in JSON.
const maxLine = 2 * MaxAccount

// lineHeader is the first line.
type lineHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// lineEnd is the last line. Its text begins with endPrefix.
type lineEnd struct {
	Accounts    int              `json:"accounts"`
	Invitations []lineInvitation `json:"invitations,omitempty"`
}

const endPrefix = `{"accounts":`

// lineAccount is an account.
type lineAccount struct {
	JID      string              `json:"jid"`
	Created  time.Time           `json:"created,omitzero"`
	Disabled bool                `json:"disabled,omitempty"`
	Password string              `json:"password,omitempty"` // never written
	Keys     map[string]lineKeys `json:"keys,omitempty"`     // by SASL mechanism
	Roster   []lineContact       `json:"roster,omitempty"`
	Requests []lineStanza        `json:"requests,omitempty"`
	Messages []lineStanza        `json:"messages,omitempty"`
	Blocked  []string            `json:"blocked,omitempty"`
	VCard    string              `json:"vcard,omitempty"`
	Private  []string            `json:"private,omitempty"`
	Last     *lineLast           `json:"last_online,omitempty"`
	Used     string              `json:"used,omitempty"` // a day
}

type lineKeys struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	StoredKey  []byte `json:"stored_key"`
	ServerKey  []byte `json:"server_key"`
}

type lineContact struct {
	JID          string   `json:"jid"`
	Name         string   `json:"name,omitempty"`
	Groups       []string `json:"groups,omitempty"`
	Subscription string   `json:"subscription"`
	Ask          bool     `json:"ask,omitempty"`
	Approved     bool     `json:"approved,omitempty"`
}

// lineStanza is a stanza, in the default namespace jabber:client.
type lineStanza struct {
	Received time.Time `json:"received"`
	Stanza   string    `json:"stanza"`
}

type lineLast struct {
	At     time.Time `json:"at"`
	Status string    `json:"status,omitempty"`
}

// LineWriter writes accounts as JSON lines.
type LineWriter struct {
	enc         *json.Encoder
	accounts    int
	invitations []lineInvitation
}

// NewLineWriter returns a LineWriter and writes the first line.
func NewLineWriter(w io.Writer) (*LineWriter, error) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &LineWriter{enc: enc}, enc.Encode(lineHeader{lineFormat, lineVersion})
}

// Write writes an account.
func (w *LineWriter) Write(d *store.AccountData) error {
	w.accounts++
	line := lineOf(d)
	return w.enc.Encode(&line)
}

// lineOf returns the form of an account.
func lineOf(d *store.AccountData) lineAccount {
	line := lineAccount{JID: d.JID.String(), Created: d.Created, Disabled: d.Disabled}
	for h := range store.NumHashes {
		if !d.Credentials.Hashes().Has(h) {
			continue
		}
		if line.Keys == nil {
			line.Keys = make(map[string]lineKeys)
		}
		line.Keys[h.Mechanism()] = lineKeys(d.Credentials[h])
	}
	for _, it := range d.Roster {
		line.Roster = append(line.Roster, lineContact{
			JID: it.JID.String(), Name: it.Name, Groups: it.Groups, Subscription: it.Subscription.String(), Ask: it.Ask, Approved: it.Approved,
		})
	}
	for _, r := range d.Requests {
		line.Requests = append(line.Requests, lineStanza{r.Received, string(r.Stanza)})
	}
	for _, m := range d.Messages {
		line.Messages = append(line.Messages, lineStanza{m.Received, string(m.Stanza)})
	}
	for _, b := range d.Blobs {
		switch b.Kind {
		case store.BlockedKind:
			line.Blocked = append(line.Blocked, b.Key)
		case VCardKind:
			line.VCard = string(b.Value)
		case PrivateKind:
			line.Private = append(line.Private, string(b.Value))
		}
	}
	if d.Last != nil {
		line.Last = &lineLast{d.Last.At, string(d.Last.Status)}
	}
	if day := UsedDay(d); !day.IsZero() {
		line.Used = day.Format(time.DateOnly)
	}
	return line
}

// Close writes the last line.
func (w *LineWriter) Close() error { return w.enc.Encode(lineEnd{w.accounts, w.invitations}) }

// Lines is a Source of JSON lines.
type Lines struct {
	Name string // of the file, for messages
	In   io.Reader
}

// Read implements Source.
func (l Lines) Read(ctx context.Context, to Receiver) error {
	r := &lineReader{name: l.Name, in: bufio.NewReaderSize(l.In, 64<<10), b: NewBuilder(to.Problem)}
	if err := r.header(); err != nil {
		return err
	}
	for accounts := 0; ; accounts++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := r.next()
		if err == io.EOF {
			return fmt.Errorf("%s: the file is not complete: its last line, with the number of accounts, is missing", r.at())
		}
		if err != nil {
			return err
		}
		if bytes.HasPrefix(text, []byte(endPrefix)) {
			return r.end(text, accounts, to)
		}
		if !r.account(text) {
			continue
		}
		if err := to.Account(r.b.Account); err != nil {
			return err
		}
	}
}

// lineReader reads a file of JSON lines.
type lineReader struct {
	name   string
	in     *bufio.Reader
	number int // of the present line, from 1
	long   []byte
	b      *Builder
}

func (r *lineReader) at() string { return fmt.Sprintf("%s:%d", r.name, r.number) }

// next returns the next line. It is valid until the next call.
func (r *lineReader) next() ([]byte, error) {
	r.number++
	line, err := r.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		r.long = append(r.long[:0], line...)
		for err == bufio.ErrBufferFull {
			if len(r.long) > maxLine {
				return nil, fmt.Errorf("%s: the line is longer than %d MiB", r.at(), maxLine>>20)
			}
			line, err = r.in.ReadSlice('\n')
			r.long = append(r.long, line...)
		}
		line = r.long
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", r.at(), err)
	}
	return line, err
}

// header reads the first line.
func (r *lineReader) header() error {
	text, err := r.next()
	if err != nil && err != io.EOF {
		return err
	}
	var h lineHeader
	switch {
	case json.Unmarshal(text, &h) != nil || h.Format != lineFormat:
		return fmt.Errorf(`%s: the first line must be {"format":"%s","version":%d}, as roost export writes it`, r.at(), lineFormat, lineVersion)
	case h.Version != lineVersion:
		return fmt.Errorf("%s: version %d of the format: this version of roost reads version %d; use the one that has written the file, or a newer one", r.at(), h.Version, lineVersion)
	}
	return nil
}

// end reads the last line.
func (r *lineReader) end(text []byte, accounts int, to Receiver) error {
	var end lineEnd
	if err := json.Unmarshal(text, &end); err != nil {
		return fmt.Errorf("%s: the last line: %s", r.at(), explainJSON(err))
	}
	if end.Accounts != accounts {
		return fmt.Errorf("%s: the last line says that there are %d accounts, and there are %d", r.at(), end.Accounts, accounts)
	}
	at := *r
	if text, err := r.next(); err != io.EOF || len(bytes.TrimSpace(text)) > 0 {
		return fmt.Errorf("%s: there is something after the last line", r.at())
	}
	return at.invitations(end.Invitations, to)
}

// account reads a line with an account, and reports whether it is one that can be imported.
func (r *lineReader) account(text []byte) bool {
	var line lineAccount
	at, b := r.at(), r.b
	unknown, err := decodeKnown(text, &line)
	if err != nil {
		b.report(Problem{At: at, Text: "not the JSON of an account: " + explainJSON(err), Whole: true})
		return false
	}
	if !b.BeginAddress(at, line.JID) {
		return false
	}
	if unknown != "" {
		b.Skip(at, "%s is not imported: this version of roost does not know it", clip(unknown))
	}
	b.Created, b.Disabled, b.Password = line.Created.UTC().Truncate(time.Second), line.Disabled, line.Password
	for _, mechanism := range []string{store.SHA1.Mechanism(), store.SHA256.Mechanism()} {
		if k, ok := line.Keys[mechanism]; ok {
			b.Keys(at, mechanism, store.Keys(k))
			delete(line.Keys, mechanism)
		}
	}
	for _, mechanism := range slices.Sorted(maps.Keys(line.Keys)) {
		b.Keys(at, mechanism, store.Keys{})
	}
	for _, c := range line.Roster {
		sub, ok := SubscriptionOf(c.Subscription)
		if !ok {
			b.Skip(at, "contact %s: the subscription %q is none of none, to, from and both", clip(c.JID), clip(c.Subscription))
		}
		b.Contact(at, c.JID, store.RosterItem{Name: c.Name, Groups: c.Groups, Subscription: sub, Ask: c.Ask, Approved: c.Approved})
	}
	for _, s := range line.Requests {
		b.requestOf(at, XML{Text: []byte(s.Stanza)}, s.Received, false)
	}
	for _, s := range line.Messages {
		b.message(at, XML{Text: []byte(s.Stanza)}, s.Received, false)
	}
	for _, address := range line.Blocked {
		b.Block(at, address)
	}
	for _, text := range line.Private {
		b.Private(at, XML{Text: []byte(text)})
	}
	if line.VCard != "" {
		b.VCard(at, XML{Text: []byte(line.VCard)})
	}
	if line.Last != nil {
		b.Online(at, line.Last.At, line.Last.Status)
	}
	if line.Used != "" {
		b.UsedOn(at, line.Used)
	}
	return b.Secret(at)
}

// decodeKnown decodes the JSON of an account, and returns what it says about the first field
// that is not known, which a newer version may have written.
func decodeKnown(text []byte, line *lineAccount) (unknown string, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err = dec.Decode(line)
	if err == nil {
		return "", nil
	}
	what, ok := strings.CutPrefix(err.Error(), "json: unknown ")
	if !ok {
		return "", err
	}
	*line = lineAccount{}
	return "the " + what, json.Unmarshal(text, line)
}

// explainJSON returns an error without the text of the line, which may contain a password.
func explainJSON(err error) string {
	switch e := err.(type) {
	case *json.SyntaxError:
		return fmt.Sprintf("a mistake at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("%s has the wrong type, %s", e.Field, e.Value)
	}
	return clip(err.Error())
}
