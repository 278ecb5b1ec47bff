package session

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"roost/jid"
	"roost/store"
)

// tokenKind is the kind of the blobs that hold the tokens of clients. The key is the
// client's user-agent id in lower case.
const tokenKind = nsFAST

// maxTokenClients is the number of clients of an account that may have tokens. One more
// replaces the one whose last login is the oldest.
const maxTokenClients = 32

// token is what is stored of a token; see Manager.tokenKey.
type token struct {
	Nonce     []byte `json:"nonce"`
	Mechanism string `json:"mechanism"`       // the only one that it is valid for
	Keys      string `json:"keys"`            // see keysID
	Issued    int64  `json:"issued"`          // in Unix seconds, as Expiry
	Expiry    int64  `json:"expiry"`          //
	Count     uint64 `json:"count,omitempty"` // the largest one that was processed
	Zero      bool   `json:"zero,omitempty"`  // a count of 0 was processed
}

// processed reports whether a count is "less than or equal to a count that has already been
// processed for this token" ([XEP-0484, Client authenticates using FAST]). The first one may be
// 0: the XEP wants "a positive integer", and also that a client resets it to zero for a new
// token.
//
// [XEP-0484, Client authenticates using FAST]: https://xmpp.org/extensions/xep-0484.html#fast-auth
func (t *token) processed(count uint64) bool {
	return count <= t.Count && (count > 0 || t.Count > 0 || t.Zero)
}

// process records that a count is processed.
func (t *token) process(count uint64) { t.Count, t.Zero = count, t.Zero || count == 0 }

// clientTokens is what is stored for a client ([XEP-0484, Server-side handling of multiple
// active tokens]): the token that it uses, and a newer one that it may not have received.
//
// [XEP-0484, Server-side handling of multiple active tokens]: https://xmpp.org/extensions/xep-0484.html#impl-tokens
type clientTokens struct {
	Current  *token `json:"current,omitempty"`
	New      *token `json:"new,omitempty"`
	Software string `json:"software,omitempty"`
	Device   string `json:"device,omitempty"`
	Used     int64  `json:"used"` // the last login that changed this, in Unix seconds
}

// match returns the token that f accepts, nil if there is none. The newer one comes first.
func (c *clientTokens) match(f func(*token) bool) *token {
	for _, t := range []*token{c.New, c.Current} {
		if t != nil && f(t) {
			return t
		}
	}
	return nil
}

// readTokens reads the tokens of a client of an account, which may not exist.
func (m *Manager) readTokens(account jid.JID, agent string) (clientTokens, error) {
	value, err := m.config().Tokens.Blob(tokenContext(), account, tokenKind, strings.ToLower(agent))
	if err != nil {
		return clientTokens{}, err
	}
	return parseTokens(value)
}

func parseTokens(value []byte) (c clientTokens, err error) {
	if value == nil {
		return c, nil
	}
	if err := json.Unmarshal(value, &c); err != nil {
		return c, fmt.Errorf("session: tokens of a client: %w", err)
	}
	return c, nil
}

// tokenChange is what a login changes in the tokens of its client.
type tokenChange struct {
	agent string
	used  *token // the one that the client has authenticated by, nil if it has not
	fast  *fastRequest
	issue *token // the new one, nil for none

	countOnly bool // the count of the token that was used is all that changes
}

// tokenChange returns what the login changes, nil for nothing.
func (s *Session) tokenChange(l *loginRequest) *tokenChange {
	if l == nil || l.fast == nil || l.agent == "" {
		return nil
	}
	c := &tokenChange{agent: l.agent, used: l.used, fast: l.fast}
	now := time.Now()
	mechanism := ""
	switch {
	case l.fast.mechanism != "":
		if m := s.mechanism(l.fast.mechanism, true); m != nil {
			mechanism = m.name
		}
	case l.used != nil && !l.fast.invalidate && now.Unix()-l.used.Issued >= int64(s.mgr.tokenRenewal()/time.Second):
		mechanism = l.used.Mechanism
	}
	if mechanism != "" {
		c.issue = &token{Nonce: make([]byte, nonceSize), Mechanism: mechanism, Keys: l.keys, Issued: now.Unix(), Expiry: now.Add(s.mgr.config().TokenLife).Unix()}
		rand.Read(c.issue.Nonce)
	}
	if c.issue == nil && !(c.used != nil && (c.fast.invalidate || l.promote)) {
		if c.used == nil || !c.fast.counted {
			return nil
		}
		c.countOnly = true
	}
	return c
}

// apply makes the change in a transaction.
func (c *tokenChange) apply(tx store.BlobTx) error {
	key := strings.ToLower(c.agent)
	value, err := tx.Get(key)
	if err != nil {
		return err
	}
	record, err := parseTokens(value)
	if err != nil {
		return err
	}
	if c.used != nil {
		t := record.match(func(t *token) bool { return bytes.Equal(t.Nonce, c.used.Nonce) })
		if t == nil || c.fast.counted && t.processed(c.fast.count) {
			return errReplayed
		}
		if c.fast.counted {
			t.process(c.fast.count)
		}
		// [XEP-0484, Server initiates token rotation]: the use of a token invalidates the
		// older ones.
		//
		// [XEP-0484, Server initiates token rotation]: https://xmpp.org/extensions/xep-0484.html#token-rotation
		if t == record.New {
			record.Current, record.New = t, nil
		}
		if c.fast.invalidate {
			record.Current = nil
		}
	}
	if c.issue != nil {
		if value == nil {
			if err := evictClient(tx); err != nil {
				return err
			}
		}
		record.New = c.issue
	}
	if record.Current == nil && record.New == nil {
		return tx.Delete(key)
	}
	if c.fast.mechanism != "" {
		record.Software, record.Device = c.fast.software, c.fast.device
	}
	record.Used = time.Now().Unix()
	value, err = json.Marshal(record)
	if err != nil {
		return err
	}
	return tx.Put(key, value)
}

// evictClient makes space for one more client.
func evictClient(tx store.BlobTx) error {
	keys, err := tx.Keys()
	if err != nil || len(keys) < maxTokenClients {
		return err
	}
	type client struct {
		key  string
		used int64
	}
	var all []client
	for _, key := range keys {
		value, err := tx.Get(key)
		if err != nil {
			return err
		}
		record, _ := parseTokens(value) // what cannot be read goes first
		all = append(all, client{key, record.Used})
	}
	slices.SortFunc(all, func(a, b client) int { return int(min(max(a.used-b.used, -1), 1)) })
	for _, x := range all[:len(all)-maxTokenClients+1] {
		if err := tx.Delete(x.key); err != nil {
			return err
		}
	}
	return nil
}

// rememberCount records the count of a login that changes nothing else, so that nothing is
// left to change, unless the count has to be stored now. It returns false if the login must
// fail after all.
func (s *Session) rememberCount(l *loginRequest) bool {
	c := l.change
	if c == nil || !c.countOnly {
		return true
	}
	switch s.mgr.tokenCounts.remember(s.JID().Bare(), c.agent, c.used.Nonce, c.fast.count, l.seen) {
	case nil:
		l.change = nil
	case errReplayed:
		s.closeReplayed()
		return false
	}
	return true
}

func (s *Session) closeReplayed() {
	s.Close(ErrNotAuthorized.WithText("The token was used by another login."))
}

// changeTokens makes the change of a login, if any, and adds a new token to what is sent in
// <success/>. It returns false if the login must fail after all.
func (s *Session) changeTokens(l *loginRequest) bool {
	c := l.change
	if c == nil {
		return true
	}
	err := s.mgr.storeChange(s.JID().Bare(), c)
	switch {
	case errors.Is(err, errReplayed):
		s.closeReplayed()
		return false
	case err != nil && c.used != nil:
		s.mgr.loginLog.fault("cannot record the use of a token; the login is refused", s.BareJID(), err)
		s.Close(ErrInternal)
		return false
	case err != nil:
		s.mgr.loginLog.fault("cannot store a token; the login continues without one", s.BareJID(), err)
	case c.issue != nil:
		l.results = s.appendToken(l.results, c)
	}
	return true
}

// storeChange makes a change in the store.
func (m *Manager) storeChange(account jid.JID, c *tokenChange) error {
	stored := false
	if c.used != nil && c.fast.counted {
		if err := m.tokenCounts.hold(account, c.agent, c.used.Nonce, c.fast.count); err != nil {
			return err
		}
		defer func() { m.tokenCounts.release(c.used.Nonce, c.fast.count, stored) }()
	}
	err := m.config().Tokens.UpdateBlobs(tokenContext(), store.BlobSet{Owner: account, Kind: tokenKind}, c.apply)
	stored = err == nil
	return err
}

// appendToken appends the token that a login has issued.
func (s *Session) appendToken(dst []byte, c *tokenChange) []byte {
	dst = append(dst, "<token xmlns='"+nsFAST+"' expiry='"...)
	dst = time.Unix(c.issue.Expiry, 0).UTC().AppendFormat(dst, time.RFC3339)
	dst = append(dst, "' token='"...)
	dst = append(dst, s.mgr.tokenKey(s.BareJID(), c.agent, c.issue)...)
	return append(dst, "'/>"...)
}
