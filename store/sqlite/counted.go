package sqlite

// counts remembers the messages that were counted, by the owner of the mailbox and the
// sender ("" for all). So a flood of messages to a mailbox that is full does not count them
// again and again.
type counts map[string]map[string]counted

// counted is messages by their numbers and as counted, which differ by those that were
// deleted in the middle.
type counted struct{ numbered, exact span }

// Limits of what is remembered.
const (
	countedOwners  = 256
	countedSenders = 64 // of each owner
)

// exactly returns what count returns for a sender's messages with these numbers. It calls it
// only if messages were added or deleted since it did.
func (n *counts) exactly(owner, sender string, numbered span, count func() (span, error)) (span, error) {
	if c, ok := (*n)[owner][sender]; ok && c.numbered == numbered {
		return c.exact, nil
	}
	exact, err := count()
	if err != nil {
		return exact, err
	}
	if *n == nil || len(*n) >= countedOwners {
		*n = make(counts)
	}
	of := (*n)[owner]
	if of == nil || len(of) >= countedSenders {
		of = make(map[string]counted)
		(*n)[owner] = of
	}
	of[sender] = counted{numbered: numbered, exact: exact}
	return exact, nil
}

// forget is called when messages of an owner are deleted.
func (n *counts) forget(owner string) { delete(*n, owner) }
