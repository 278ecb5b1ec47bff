package session

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"roost/parser"
	"roost/store"
)

// Namespaces of SASL Upgrade Tasks ([XEP-0480]).
//
// [XEP-0480]: https://xmpp.org/extensions/xep-0480.html
const (
	nsUpgrade      = "urn:xmpp:sasl:upgrade:0"
	nsScramUpgrade = "urn:xmpp:scram-upgrade:0"
)

// upgradePrefix begins the name of a task; the name of a mechanism without channel binding
// follows.
const upgradePrefix = "UPGR-"

func upgradeTask(h store.Hash) string { return upgradePrefix + h.Mechanism() }

// upgradeBytes is the approximate memory of an upgrade.
const upgradeBytes = 1 << 10

// upgrade is a login whose client has authenticated, and which goes on when the client has
// sent the keys that the account lacks ([XEP-0480]). They are stored together, at the end.
//
// [XEP-0480]: https://xmpp.org/extensions/xep-0480.html
type upgrade struct {
	o     outcome
	has   store.Credentials // the account's
	todo  []store.Hash      // the tasks that remain; the first one is the current one
	begun bool              // the client has begun it
	keys  store.Keys        // salt and iterations of the current one
	added store.Credentials // what the client has sent
}

// held returns the memory of the upgrade in bytes.
func (u *upgrade) held() int {
	if u == nil {
		return 0
	}
	return upgradeBytes
}

// appendUpgrades appends the tasks by which clients can add keys, if accounts of the domain
// lack some. They are the same for all accounts.
func (s *Session) appendUpgrades(b []byte) []byte {
	for i := range store.NumHashes {
		if h := store.NumHashes - 1 - i; s.negotiation().missing.Has(h) {
			b = append(b, "<upgrade xmlns='"+nsUpgrade+"'>"+upgradePrefix...)
			b = append(b, h.Mechanism()...)
			b = append(b, "</upgrade>"...)
		}
	}
	return b
}

// readUpgrades reads which tasks a client requests in <authenticate/>. Others than those that
// may be offered are ignored.
func readUpgrades(el parser.Element) (set store.HashSet) {
	for c := el.First(); c.OK(); c = c.Next() {
		if !c.Is(nsUpgrade, "upgrade") {
			continue
		}
		mechanism, ok := strings.CutPrefix(string(bytes.TrimSpace(c.AppendText(nil))), upgradePrefix)
		for h := range store.NumHashes {
			if ok && mechanism == h.Mechanism() {
				set |= store.SetOf(h)
			}
		}
	}
	return set
}

// beginUpgrade is called when the client has authenticated. It reports whether the client
// must do tasks before it is logged in: those that it has requested and that the account
// needs. A client that has used a token has none: it would make a password of a token that
// can be revoked. Neither does one that has sent the password itself.
func (s *Session) beginUpgrade(t *Turn, o outcome) bool {
	n := s.negotiation()
	l := n.sasl.found()
	if n.login == nil || n.mech.token || l.added.Hashes() != 0 {
		return false
	}
	u := &upgrade{o: o, has: l.keys}
	for i := range store.NumHashes {
		if h := store.NumHashes - 1 - i; n.login.upgrades.Has(h) && !l.keys.Hashes().Has(h) {
			u.todo = append(u.todo, h)
		}
	}
	if len(u.todo) == 0 {
		return false
	}
	n.upgrade = u
	if s.hold(t, 0) {
		s.sendContinue(t, o.data)
		u.o.data = nil // it is not sent again in <success/>
	}
	return true
}

// sendContinue asks for the current task. data is the mechanism's last message.
func (s *Session) sendContinue(t *Turn, data []byte) {
	b := append(t.GetBuf(), "<continue xmlns='"+nsSASL2+"'>"...)
	if len(data) > 0 {
		b = append(b, "<additional-data>"...)
		b = base64.StdEncoding.AppendEncode(b, data)
		b = append(b, "</additional-data>"...)
	}
	b = append(b, "<tasks><task>"...)
	b = append(b, upgradeTask(s.negotiation().upgrade.todo[0])...)
	b = append(b, "</task></tasks></continue>"...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// upgradeElement handles an element that the client sends while it has tasks. It returns
// false for those that have the same meaning as before, or none ([XEP-0388, Continue]).
//
// [XEP-0388, Continue]: https://xmpp.org/extensions/xep-0388.html#continue
func (s *Session) upgradeElement(t *Turn, el parser.Element) bool {
	u := s.negotiation().upgrade
	switch string(el.Local()) {
	case "next":
		switch {
		case u.begun:
			s.refuse(t, &sasl2Profile, saslMalformedRequest)
		case string(el.Attr("task")) != upgradeTask(u.todo[0]):
			s.refuse(t, &sasl2Profile, saslInvalidMechanism)
		default:
			s.sendSalt(t, u)
		}
	case "task-data":
		if !u.begun {
			s.refuse(t, &sasl2Profile, saslMalformedRequest)
			return true
		}
		s.upgradeKeys(t, u, el.Child(nsScramUpgrade, "hash"))
	default:
		return false
	}
	return true
}

// sendSalt begins the current task: it sends what the client needs to derive the keys.
func (s *Session) sendSalt(t *Turn, u *upgrade) {
	u.begun = true
	u.keys = s.mgr.decoys.missing(u.o.account.String(), &u.has, u.todo[0])
	b := append(t.GetBuf(), "<task-data xmlns='"+nsSASL2+"'><salt xmlns='"+nsScramUpgrade+"' iterations='"...)
	b = strconv.AppendInt(b, int64(u.keys.Iterations), 10)
	b = append(b, "'>"...)
	b = base64.StdEncoding.AppendEncode(b, u.keys.Salt)
	b = append(b, "</salt></task-data>"...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// upgradeKeys ends the current task: hash is the client's SaltedPassword (RFC 5802 section
// 3). After the last task, the keys are stored, and the login continues.
func (s *Session) upgradeKeys(t *Turn, u *upgrade, hash parser.Element) {
	salted, err := decodeBase64(bytes.TrimSpace(hash.AppendText(nil)))
	if err != nil {
		s.refuseMessage(t, &sasl2Profile, err)
		return
	}
	h := u.todo[0]
	if len(salted) != h.Size() {
		s.refuse(t, &sasl2Profile, saslMalformedRequest)
		return
	}
	u.added[h] = store.SaltedKeys(h, salted, u.keys.Salt, u.keys.Iterations)
	clear(salted) // it suffices to log in
	u.todo, u.begun = u.todo[1:], false
	if len(u.todo) > 0 {
		s.sendContinue(t, nil)
		return
	}
	s.offload(Write, func(t *Turn) {
		if !s.abandoned() {
			s.storeUpgrade(t, u)
		}
		s.updateHeld()
	})
}

// storeUpgrade stores the keys, which <success/> promises, and continues the login.
func (s *Session) storeUpgrade(t *Turn, u *upgrade) {
	if err := s.mgr.addKeys(u.o.account, u.o.event, u.added); err != nil {
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			s.mgr.loginLog.fault("cannot store the keys that a client has sent; its login fails", u.o.account.String(), err)
		}
		s.refuse(t, &sasl2Profile, saslTemporaryFailure)
		return
	}
	s.sasl2Done(t, u.o)
}
