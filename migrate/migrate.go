// Package migrate moves accounts with all their data between servers. Account is the form in
// which they move, independent of file formats. Packages that read the files and databases of
// other servers use a Builder, which accepts only what this server could have stored itself;
// Export reads accounts from a store.
//
// The package also reads and writes one file format, JSON lines.
package migrate

import (
	"context"

	"roost/store"
)

// Account is an account on its way from one server to another one.
type Account struct {
	store.AccountData
	Password string // if it has no keys
	At       string // where it is in the source, such as a file and a line
}

// MaxAccount limits the size of an account, in bytes of what is stored for it. A Builder
// leaves out what exceeds it.
const MaxAccount = 32 << 20

// itemSize is what a roster item or another small value needs in addition to its text, in
// bytes.
const itemSize = 128

// Size returns about how many bytes of memory the account needs.
func (a *Account) Size() int {
	n := 4 * itemSize
	for i := range a.Roster {
		item := &a.Roster[i]
		n += itemSize + len(item.JID.String()) + len(item.Name)
		for _, g := range item.Groups {
			n += 16 + len(g)
		}
	}
	for _, r := range a.Requests {
		n += itemSize + len(r.Stanza)
	}
	for _, m := range a.Messages {
		n += itemSize + len(m.Stanza)
	}
	for _, b := range a.Blobs {
		n += itemSize + len(b.Key) + len(b.Value)
	}
	return n
}

// Problem is something in a source that is not imported.
type Problem struct {
	At      string // where, such as a file and a line
	Account string // the address of its account; "" if it has none
	Text    string // what, and why
	Whole   bool   // the account as a whole is not imported
}

// String returns the problem as one line.
func (p Problem) String() string {
	s := p.At + ": "
	if p.Account != "" {
		s += p.Account + ": "
	}
	return s + p.Text
}

// Receiver gets what is read from a source, on the goroutine that reads it.
type Receiver struct {
	Account func(*Account) error // if it returns an error, reading ends with that error
	Problem func(Problem)

	// Invitation gets the invitations of a source that has any, after its accounts. If it is
	// nil, they are left out.
	Invitation func(*store.Invitation) error
}

// Source is where accounts come from.
type Source interface {
	// Read passes all accounts to the receiver. What is wrong with one account is a
	// Problem, and the others follow; the error is for what makes it impossible to
	// continue, with the place in the source. If ctx ends, Read returns its error.
	Read(ctx context.Context, to Receiver) error
}
