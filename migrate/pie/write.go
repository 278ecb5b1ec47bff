package pie

import (
	"encoding/base64"
	"io"
	"strconv"
	"strings"
	"time"

	"roost/migrate"
	"roost/parser"
	"roost/stanza"
	"roost/store"
)

// Writer writes accounts to one file.
type Writer struct {
	w       io.Writer
	b       []byte
	host    string // of the host element that is open
	builder *migrate.Builder
}

// NewWriter returns a Writer and writes the beginning of the file.
func NewWriter(w io.Writer) (*Writer, error) {
	x := &Writer{w: w}
	x.builder = migrate.NewBuilder(func(migrate.Problem) {})
	x.add("<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='" + nsPie + "'>\n")
	return x, x.flush()
}

func (x *Writer) flush() error {
	_, err := x.w.Write(x.b)
	x.b = x.b[:0]
	return err
}

func (x *Writer) add(texts ...string) {
	for _, s := range texts {
		x.b = append(x.b, s...)
	}
}

// spaces are characters that a reader of XML replaces in the values of attributes.
var spaces = strings.NewReplacer("\n", "&#10;", "\r", "&#13;", "\t", "&#9;")

// attr adds an attribute.
func (x *Writer) attr(name, value string) {
	x.add(" ", name, "='", spaces.Replace(string(parser.AppendEscaped(nil, value))), "'")
}

// text adds an element with a text.
func (x *Writer) text(name, value string) {
	x.add("<", name, ">", spaces.Replace(string(parser.AppendEscaped(nil, value))), "</", name, ">")
}

// Write writes an account. Those of a domain must follow each other.
func (x *Writer) Write(d *store.AccountData) error {
	if d.JID.Domain() != x.host {
		x.endHost()
		x.host = d.JID.Domain()
		x.add("<host")
		x.attr("jid", x.host)
		x.add(">\n")
	}
	x.add("<user")
	x.attr("name", d.JID.Local())
	x.add(">")
	x.account(d)
	x.keys(d)
	x.roster(d)
	for _, r := range d.Requests {
		if err := x.stanza(d, r.Stanza, r.Received); err != nil {
			return err
		}
	}
	if err := x.messages(d); err != nil {
		return err
	}
	x.blobs(d)
	x.add("</user>\n")
	return x.flush()
}

func (x *Writer) endHost() {
	if x.host != "" {
		x.add("</host>\n")
	}
}

// Close writes the end of the file.
func (x *Writer) Close() error {
	x.endHost()
	x.add("</server-data>\n")
	return x.flush()
}

// account adds what the format does not have.
func (x *Writer) account(d *store.AccountData) {
	x.add("<account xmlns='" + nsAccount + "'")
	x.attr("created", d.Created.UTC().Format(time.RFC3339))
	if d.Disabled {
		x.attr("disabled", "true")
	}
	if d.Last != nil {
		x.attr("last", d.Last.At.UTC().Format(time.RFC3339))
		if len(d.Last.Status) > 0 {
			x.attr("status", string(d.Last.Status))
		}
	}
	if day := migrate.UsedDay(d); !day.IsZero() {
		x.attr("used", day.Format(time.DateOnly))
	}
	x.add("/>")
}

func (x *Writer) keys(d *store.AccountData) {
	has := d.Credentials.Hashes()
	for h := range store.NumHashes {
		if !has.Has(h) {
			continue
		}
		k := &d.Credentials[h]
		x.add("<scram-credentials xmlns='" + nsSCRAM + "'")
		x.attr("mechanism", h.Mechanism())
		x.add(">")
		x.text("iter-count", strconv.Itoa(k.Iterations))
		x.text("salt", base64.StdEncoding.EncodeToString(k.Salt))
		x.text("server-key", base64.StdEncoding.EncodeToString(k.ServerKey))
		x.text("stored-key", base64.StdEncoding.EncodeToString(k.StoredKey))
		x.add("</scram-credentials>")
	}
}

func (x *Writer) roster(d *store.AccountData) {
	if len(d.Roster) == 0 {
		return
	}
	x.add("<query xmlns='" + nsRoster + "'>")
	for _, it := range d.Roster {
		x.add("<item")
		x.attr("jid", it.JID.String())
		if it.Name != "" {
			x.attr("name", it.Name)
		}
		x.attr("subscription", it.Subscription.String())
		if it.Ask {
			x.attr("ask", "subscribe")
		}
		if it.Approved {
			x.attr("approved", "true")
		}
		x.add(">")
		for _, g := range it.Groups {
			x.text("group", g)
		}
		x.add("</item>")
	}
	x.add("</query>")
}

func (x *Writer) messages(d *store.AccountData) error {
	if len(d.Messages) == 0 {
		return nil
	}
	x.add("<offline-messages>")
	for _, m := range d.Messages {
		if err := x.stanza(d, m.Stanza, m.Received); err != nil {
			return err
		}
	}
	x.add("</offline-messages>")
	return nil
}

// stanza adds a stored stanza with its namespace, and its time as a delay stamp.
func (x *Writer) stanza(d *store.AccountData, text []byte, received time.Time) error {
	tape, err := x.builder.Parse(migrate.XML{Text: text})
	if err != nil {
		return err
	}
	var st stanza.Stanza
	if err := stanza.Read(tape, &st); err != nil {
		return err
	}
	whole := stanza.AppendForward(nil, &st, stanza.Edit{From: string(st.Root.Attr("from")), To: string(st.Root.Attr("to")), Embed: true})
	x.b = stanza.AppendInside(x.b, whole, stanza.AppendDelay(nil, d.JID.Domain(), received))
	return nil
}

// blobs adds private storage, the vCard and the blocked addresses.
func (x *Writer) blobs(d *store.AccountData) {
	group := func(kind, start, end string, each func(i int, b *store.Blob)) {
		n := 0
		for i := range d.Blobs {
			if d.Blobs[i].Kind != kind {
				continue
			}
			if n++; n == 1 {
				x.add(start)
			}
			each(n, &d.Blobs[i])
		}
		if n > 0 {
			x.add(end)
		}
	}
	value := func(_ int, b *store.Blob) { x.b = append(x.b, b.Value...) }
	group(migrate.PrivateKind, "<query xmlns='"+migrate.PrivateKind+"'>", "</query>", value)
	group(migrate.VCardKind, "", "", value)
	start := "<query xmlns='" + nsPrivacy + "'><default name='" + blockedList + "'/><list name='" + blockedList + "'>"
	group(store.BlockedKind, start, "</list></query>", func(i int, b *store.Blob) {
		x.add("<item type='jid'")
		x.attr("value", b.Key)
		x.add(" action='deny' order='", strconv.Itoa(i), "'/>")
	})
}
