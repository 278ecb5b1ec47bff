package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"roost/admin/api"
	"roost/blocks"
	"roost/jid"
	"roost/session"
	"roost/store"
)

var blockRoutes = []route{
	{id: "block.list", method: http.MethodGet, path: api.PathBlocks, scope: ScopeRead, response: api.BlockPage{}, handle: (*Server).listBlocks,
		summary: "List networks and accounts that may not use the server.",
		query: []param{
			{"limit", "integer", "Blocks on a page, 1 to 1000; default 100."},
			{"cursor", "string", "The cursor of the page before."},
		}},
	{id: "block.add", method: http.MethodPost, path: api.PathBlocks, scope: ScopeWrite, response: api.BlockResult{}, handle: (*Server).block,
		body:    func() any { return new(api.BlockRequest) },
		summary: "Block a network or an account, or change its block. Its sessions end."},
	{id: "block.remove", method: http.MethodDelete, path: api.PathBlock, scope: ScopeWrite, response: api.Block{}, handle: (*Server).unblock,
		summary: "Remove a block, by its target."},
}

// maxBlockTime is the longest time for which something can be blocked; without a time, it
// has no end.
const maxBlockTime = 10 * 365 * 24 * time.Hour

// parseTarget returns the target of a block in its normal form. network is not valid if it
// is an account.
func parseTarget(text string) (target string, network netip.Prefix, err error) {
	if strings.Contains(text, "@") {
		j, err := jid.Parse(text)
		if err != nil || !j.IsAccount() {
			return "", network, badField("target", "such as romeo@example.org", "%q is not the address of an account", text)
		}
		return j.String(), network, nil
	}
	if network, err = parseNetwork("target", text); err != nil {
		return "", network, badField("target", "such as 192.0.2.0/24, 2001:db8::/32, 192.0.2.1 or romeo@example.org", "%q is not a network, an address or an account", text)
	}
	return network.String(), network, nil
}

func (s *Server) block(r *request) (any, error) {
	q := r.body.(*api.BlockRequest)
	target, network, err := parseTarget(q.Target)
	if err != nil {
		return nil, err
	}
	r.object = target
	if least := map[bool]int{true: blocks.MinBits4, false: blocks.MinBits6}[network.Addr().Is4()]; network.IsValid() && network.Bits() < least {
		return nil, badField("target", "block parts of it; to refuse all clients, drain the server", "the network %s is too large: the prefix must have at least %d bits", target, least)
	}
	if !(q.Seconds >= 0 && q.Seconds <= maxBlockTime.Seconds()) {
		return nil, badField("seconds", "leave it out for a block without an end", "seconds must be 0 to %s", secondsText(maxBlockTime))
	}
	if q.Reason, err = clientText("reason", q.Reason, ""); err != nil {
		return nil, err
	}
	b := store.Block{Target: target, Reason: q.Reason, Actor: r.actor, Created: time.Now().UTC().Truncate(time.Second)}
	if q.Seconds > 0 {
		// A second more rather than less: a block is never in force for no time.
		b.Until = b.Created.Add(time.Duration(q.Seconds * float64(time.Second))).Add(time.Second).Truncate(time.Second)
	}
	switch err := s.b.Blocks.Add(r.Context(), b); {
	case errors.Is(err, store.ErrQuota):
		return nil, &api.Error{Status: 409, Code: api.CodeConflict, Message: "there are too many blocks", Hint: "remove some, or block larger networks"}
	case err != nil:
		return nil, err
	}
	result := api.BlockResult{Block: describeBlock(&b)}
	if network.IsValid() {
		result.Sessions, result.Pending = s.endNetwork(r.Context(), network)
	} else {
		result.Sessions = s.endAccount(target, q.Reason)
	}
	log := s.b.Logger.With("target", target, "actor", r.actor, "connections", result.Sessions)
	if log.Info("blocked by an administrator"); result.Pending {
		log.Warn("an event loop does not respond: some connections of a network that is blocked will end only when it does")
	}
	return result, nil
}

// errNetworkBlocked ends the sessions of a network. RFC 6120 section 4.9.3.14,
// policy-violation: "The entity has violated some local service policy".
var errNetworkBlocked = session.ErrPolicyViolation.WithText("This network is blocked.")

// loopsTimeout is how long a request waits for event loops, which turn every few
// milliseconds unless something is wrong.
const loopsTimeout = 2 * time.Second

// endNetwork ends the connections from a network that is blocked. If it cannot end all,
// because an event loop does not turn or ctx has ended, they are pending: endBlocked ends
// the others.
func (s *Server) endNetwork(ctx context.Context, network netip.Prefix) (ended int64, pending bool) {
	wait, cancel := context.WithTimeout(ctx, loopsTimeout)
	defer cancel()
	pending = s.handedOver(wait) != nil
	err := s.endSessions(ctx, func(x *session.Session) bool {
		in := inNetwork(x, network)
		if in {
			ended++
		}
		return in
	})
	if pending = pending || err != nil; pending {
		s.EnforceBlocks()
	}
	return ended, pending
}

// EnforceBlocks ends the sessions of networks and accounts that are blocked, in the background.
func (s *Server) EnforceBlocks() {
	select {
	case s.ending <- struct{}{}:
	default:
	}
}

// handedOver waits until connections that the server had accepted before have sessions:
// once every loop has turned twice, because the loop that accepts hands them to others.
func (s *Server) handedOver(ctx context.Context) error {
	for range 2 {
		if err := s.checkLoops(ctx); err != nil {
			return err
		}
	}
	return nil
}

// endSessions ends the sessions, bound or not, for which blocked returns true.
func (s *Server) endSessions(ctx context.Context, blocked func(*session.Session) bool) error {
	return s.closeSessions(ctx, blocked, func(x *session.Session) *session.StreamError {
		if blocked(x) {
			return errNetworkBlocked
		}
		return nil
	})
}

// closeSessions ends the sessions without a resource for which unbound returns true, and those
// with one for which bound returns an error.
func (s *Server) closeSessions(ctx context.Context, unbound func(*session.Session) bool, bound func(*session.Session) *session.StreamError) error {
	s.b.Sessions.EachUnbound(func(x *session.Session) bool {
		if unbound(x) {
			x.Close(errNetworkBlocked)
		}
		return ctx.Err() == nil
	})
	return s.walk(ctx, &sessionQuery{}, func(x *session.Session) {
		if e := bound(x); e != nil {
			x.Close(e)
		}
	})
}

// endBlocked ends the sessions of networks and accounts that are blocked, whenever
// EnforceBlocks was called, until ctx ends.
func (s *Server) endBlocked(ctx context.Context) {
	network := func(x *session.Session) bool {
		_, blocked := s.b.Blocks.Network(x.Conn().RemoteAddr().Addr())
		return blocked
	}
	account := func(bare string) *session.StreamError {
		b, blocked := s.b.Blocks.Account(bare)
		if !blocked {
			return nil
		}
		return errAccountBlocked(b.Reason)
	}
	for {
		select {
		case <-s.ending:
		case <-ctx.Done():
			return
		}
		if s.handedOver(ctx) != nil {
			return // the server stops
		}
		s.b.Sessions.EndUnbound(account) // first: one that gets a resource meanwhile is found below
		_ = s.closeSessions(ctx, network, func(x *session.Session) *session.StreamError {
			if network(x) {
				return errNetworkBlocked
			}
			return account(x.BareJID())
		})
		s.b.Logger.Info("the sessions of networks and accounts that are blocked are ended")
	}
}

// errAccountBlocked ends the sessions of an account that is blocked.
func errAccountBlocked(reason string) *session.StreamError {
	return session.ErrNotAuthorized.WithText(blocks.AccountText(reason))
}

// endAccount ends the sessions of an account.
func (s *Server) endAccount(bare, reason string) (ended int64) {
	for x := s.b.Sessions.First(bare); x != nil; x = x.Next() {
		ended++
	}
	s.b.Sessions.EndAccount(bare, errAccountBlocked(reason))
	return ended
}

func describeBlock(b *store.Block) api.Block {
	d := api.Block{Target: b.Target, Kind: api.BlockNetwork, Reason: b.Reason, Actor: b.Actor, CreatedAt: b.Created}
	if strings.Contains(b.Target, "@") {
		d.Kind = api.BlockAccount
	}
	if !b.Until.IsZero() {
		d.Until = &b.Until
	}
	return d
}

func (s *Server) unblock(r *request) (any, error) {
	target, _, err := parseTarget(r.PathValue("target"))
	if err != nil {
		return nil, err
	}
	all := s.b.Blocks.All()
	i := slices.IndexFunc(all, func(b store.Block) bool { return b.Target == target })
	if i >= 0 {
		err = s.b.Blocks.Remove(r.Context(), target)
	}
	if i < 0 || errors.Is(err, store.ErrNotFound) {
		return nil, &api.Error{Status: 404, Code: api.CodeNotFound, Message: target + " is not blocked", Hint: "GET /v1/blocks lists blocks; those of block files are not on this list: remove the line and reload"}
	}
	if err != nil {
		return nil, err
	}
	s.b.Logger.Info("unblocked by an administrator", "target", target, "actor", r.actor)
	return describeBlock(&all[i]), nil
}

// blockSort is the only order of the list of blocks, in its cursors.
const blockSort = "target"

func (s *Server) listBlocks(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	all := s.b.Blocks.All()
	page := api.BlockPage{Blocks: []api.Block{}, Matching: int64(len(all))}
	if text := r.URL.Query().Get("cursor"); text != "" {
		after, err := parseCursor(text, blockSort)
		if err != nil {
			return nil, err
		}
		i, found := slices.BinarySearchFunc(all, after.JID, func(b store.Block, target string) int { return strings.Compare(b.Target, target) })
		if found {
			i++
		}
		all = all[i:]
	}
	for i := range all[:min(limit, len(all))] {
		page.Blocks = append(page.Blocks, describeBlock(&all[i]))
	}
	if len(all) > limit {
		page.Cursor = (&position{Sort: blockSort, JID: all[limit-1].Target}).cursor()
	}
	return page, nil
}
