package router

import (
	"errors"
	"slices"

	"roost/session"
)

// Other nodes may change a blocklist while a session of the account is saved, too. So the list that
// its client has is saved with the session: it is in memory, and most are empty. When the session is
// back, its client is pushed the difference, and contacts that were blocked are told that the resource
// is unavailable.

// blocklistKept is the list that the client of a saved session has, until it was pushed what has
// changed since.
var blocklistKept = session.NewSlot[keptBlocklist]()

// keptBlocklist is immutable.
type keptBlocklist struct {
	list   *Blocklist
	unsure bool // the client may lack some of these addresses: the list has changed while the session was being saved
}

// sentBlocklist is the list that an account's resources here have when they are about to be saved,
// and the number of changes of rosters by then.
type sentBlocklist struct {
	list    *Blocklist
	changes uint32
}

// sentBlocklistOf returns the list of a session's account. Its client was sent all pushes of it,
// because lists are changed and pushed under the presence lock.
func (r *Router) sentBlocklistOf(s *session.Session) sentBlocklist {
	mu := r.lockPresence(s.BareJID())
	defer mu.Unlock()
	return sentBlocklist{blocklistOf(s), r.changesOf(s.BareJID()).Load()}
}

// clientsBlocklist returns the list that a session's client has, nil if nobody needs to know: it is
// that of the session.
func (r *Router) clientsBlocklist(s *session.Session) *keptBlocklist {
	saving, before := r.saving.Load(), blocklistKept.Get(s)
	if saving == nil && before == nil {
		return nil
	}
	k := keptBlocklist{list: blocklistOf(s)}
	if saving != nil {
		sent, ok := saving.blocklists[s.BareJID()]
		k.unsure = !ok || sent.list != k.list || sent.changes != r.changesOf(s.BareJID()).Load()
		k.list = k.list.with(sent.list)
	}
	if before != nil {
		k.unsure = k.unsure || before.unsure || !before.list.equals(k.list)
		k.list = k.list.with(before.list)
	}
	return &k
}

// with returns a list with the addresses of both.
func (l *Blocklist) with(other *Blocklist) *Blocklist {
	if l == other || other == nil {
		return l
	}
	all := slices.Concat(l.addresses(), other.addresses())
	slices.Sort(all)
	return newBlocklist(slices.Compact(all))
}

func (l *Blocklist) equals(other *Blocklist) bool {
	return slices.Equal(l.addresses(), other.addresses())
}

// changes returns how the client's list becomes the present one.
func (k *keptBlocklist) changes(now *Blocklist) (all []*blockChange) {
	had := k.list
	if remove := notOn(had.addresses(), now); len(remove) > 0 {
		all = append(all, &blockChange{remove: remove, changed: remove, before: had, after: now})
	}
	if k.unsure {
		had = nil
	}
	if add := notOn(now.addresses(), had); len(add) > 0 {
		all = append(all, &blockChange{add: add, changed: add, before: had, after: now})
	}
	return all
}

// pushKept pushes to the clients of sessions that were saved what has changed in their blocklist
// since, and returns these changes. The caller holds the account's presence lock.
func (r *Router) pushKept(t *session.Turn, account string, now *Blocklist) (all []*blockChange) {
	for s := range r.Recipients(account, Everyone) {
		kept := blocklistKept.Get(s)
		if kept == nil {
			continue
		}
		changes := kept.changes(now)
		for _, c := range changes {
			if wantsBlocklist(s) {
				pushBlockedTo(t, s, c)
			}
		}
		all = append(all, changes...)
		blocklistKept.Drop(s)
	}
	return all
}

// learnList notes which addresses the account of a restored session has blocked by now, and reports
// whether the session and its client have this list.
func learnList(s *session.Session, addresses []string) bool {
	if len(addresses) > 0 && blocklistOf(s) == nil {
		blocklistKept.Make(s) // it had none when it was saved
	}
	kept := blocklistKept.Get(s)
	return slices.Equal(blocklistOf(s).addresses(), addresses) && (kept == nil || !kept.unsure && slices.Equal(kept.list.addresses(), addresses))
}

// What saveBlocking appends first. The addresses follow.
const (
	keptRequest   = 1 << iota // the blocklist was requested
	keptList                  // there is one
	keptAddresses             // what the client has of it follows
	keptUnsure                // see keptBlocklist
)

// saveBlocking appends what a session has of its account's blocklist. The list itself is in
// the store; what is saved of it is what the client has, for another node that restores the session.
func (r *Router) saveBlocking(dst []byte, s *session.Session) []byte {
	b := byte(0)
	if blocklistRequested.Has(s) {
		b |= keptRequest
	}
	if blocklistOf(s) != nil {
		b |= keptList
	}
	kept := r.clientsBlocklist(s)
	switch {
	case kept == nil && b == 0, kept != nil && b == 0 && kept.list == nil:
		return dst
	case kept == nil:
		return append(dst, b)
	case kept.unsure:
		b |= keptUnsure
	}
	return appendTexts(append(dst, b|keptAddresses), kept.list.addresses())
}

var errBlocking = errors.New("the saved addresses cannot be read")

// restoreBlocking reads the list from the store. If that fails, and the session has what its client
// has, that applies until the store can be read.
func (r *Router) restoreBlocking(s *session.Session, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	flags := data[0]
	if flags&keptRequest != 0 {
		blocklistRequested.Set(s)
	}
	var kept *keptBlocklist
	if flags&keptAddresses != 0 && r.nodes != nil {
		f := &fields{b: data[1:]}
		kept = blocklistKept.Make(s)
		*kept = keptBlocklist{newBlocklist(f.texts()), flags&keptUnsure != 0}
		if f.bad {
			return errBlocking
		}
	}
	if flags&keptList == 0 {
		return nil
	}
	ro, err := r.Roster(s.JID().Bare())
	switch {
	case err == nil:
		r.learnBlocklist(s, ro)
	case kept != nil:
		learnBlocklist(s, kept.list)
		return nil
	}
	return err
}
