package admin

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"roost/admin/api"
	"roost/jid"
	"roost/session"
)

// sessionQuery is a request for a page of sessions.
type sessionQuery struct {
	domain, account string
	network         netip.Prefix
	minIdle         time.Duration
	tls             api.TLSKind
	sort            string
	limit           int
	after           *position // nil: from the beginning
}

// position is the place of a session in a sorted list. As JSON in base64 it is the cursor.
type position struct {
	Sort string `json:"s"` // the list that this is a place in
	Key  int64  `json:"k"` // lists are in ascending order of keys, and of JIDs with the same key
	JID  string `json:"j"`
}

func (p *position) compare(q *position) int {
	return cmp.Or(cmp.Compare(p.Key, q.Key), strings.Compare(p.JID, q.JID))
}

func (p *position) cursor() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic("admin: BUG: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor is the reverse of cursor.
func parseCursor(text, sort string) (*position, error) {
	p := new(position)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, p)
	}
	if err != nil || p.Sort != sort {
		return nil, badField("cursor", "use the cursor of the page before with the same sort", "this is not a cursor of such a list")
	}
	return p, nil
}

// Limits of a page.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// maxIdle is the largest min_idle.
const maxIdle = 10 * 365 * 24 * time.Hour

// parseSessionQuery checks the parameters.
func parseSessionQuery(r *request) (q sessionQuery, err error) {
	get := r.URL.Query().Get
	if text := get("domain"); text != "" {
		if q.domain, err = jid.NormalizeDomain(text); err != nil {
			return q, badField("domain", "", "%q is not a domain", text)
		}
	}
	if text := get("account"); text != "" {
		j, err := parseAccount("account", text)
		if err != nil {
			return q, err
		}
		q.account = j.String()
	}
	if text := get("network"); text != "" {
		if q.network, err = parseNetwork("network", text); err != nil {
			return q, err
		}
	}
	if q.minIdle, err = r.seconds("min_idle", 0, maxIdle); err != nil {
		return q, err
	}
	if q.tls = api.TLSKind(get("tls")); q.tls != "" && !slices.Contains(tlsKinds[:], q.tls) {
		return q, badField("tls", "", "tls must be none, tls12, std or lean, not %q", q.tls)
	}
	if q.sort = cmp.Or(get("sort"), "jid"); !slices.Contains([]string{"jid", "idle", "queued"}, q.sort) {
		return q, badField("sort", "", "sort must be jid, idle or queued, not %q", q.sort)
	}
	if q.limit, err = r.limit(); err != nil {
		return q, err
	}
	if text := get("cursor"); text != "" {
		q.after, err = parseCursor(text, q.sort)
	}
	return q, err
}

// limit returns how many elements a page may have.
func (r *request) limit() (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, badField("limit", "", "limit must be 1 to %d, not %q", maxLimit, text)
	}
	return n, nil
}

// parseNetwork parses a network, or an address, which is a network of its own.
func parseNetwork(field, text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return p, badField(field, "such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1", "%q is not a network or an address", text)
	}
	return p.Masked(), nil
}

// matches reports whether a session is in the list. What costs most comes last.
func (q *sessionQuery) matches(s *session.Session, now time.Time) bool {
	if !s.Bound() || q.domain != "" && s.Host() != q.domain {
		return false
	}
	w, ok := s.Conn().(wire)
	if q.minIdle > 0 && (!ok || now.Sub(w.LastRead()) < q.minIdle) {
		return false
	}
	if q.tls != "" && (!ok || tlsKinds[w.TLS()] != q.tls) {
		return false
	}
	return !q.network.IsValid() || inNetwork(s, q.network)
}

// inNetwork reports whether the client of a session has an address in a network. The zone
// of a link-local address does not matter.
func inNetwork(s *session.Session, network netip.Prefix) bool {
	return network.Contains(s.Conn().RemoteAddr().Addr().Unmap().WithZone(""))
}

// place is the place of a session in the list.
func (q *sessionQuery) place(s *session.Session) position {
	p := position{Sort: q.sort, JID: s.FullJID()}
	switch q.sort {
	case "idle":
		if w, ok := s.Conn().(wire); ok {
			p.Key = w.LastRead().Unix()
		}
	case "queued":
		p.Key = -int64(s.Conn().Queued())
	}
	return p
}

// entry is a session that is on the page, unless others come before it.
type entry struct {
	position
	s *session.Session
}

// page collects the first sessions of a list: a heap, the last of them on top.
type page []entry

func (p page) Len() int           { return len(p) }
func (p page) Less(i, j int) bool { return p[i].compare(&p[j].position) > 0 }
func (p page) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *page) Push(x any)        { *p = append(*p, x.(entry)) }
func (p *page) Pop() any {
	old := *p
	last := old[len(old)-1]
	*p = old[:len(old)-1]
	return last
}

// add adds an entry, and drops the last one if there are more than limit.
func (p *page) add(e entry, limit int) {
	if len(*p) < limit {
		heap.Push(p, e)
	} else if e.compare(&(*p)[0].position) < 0 {
		(*p)[0] = e
		heap.Fix(p, 0)
	}
}

// yieldEvery is how many sessions a walk looks at before it lets others run.
const yieldEvery = 1000

// walk calls f for each session that the query may match, until ctx ends. There is one walk
// at a time. The table is not locked meanwhile.
func (s *Server) walk(ctx context.Context, q *sessionQuery, f func(*session.Session)) error {
	if q.account != "" {
		for x := s.b.Sessions.First(q.account); x != nil; x = x.Next() {
			f(x)
		}
		return nil
	}
	select {
	case s.walking <- struct{}{}:
		defer func() { <-s.walking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	n := 0
	s.b.Sessions.Each(func(x *session.Session) bool {
		f(x)
		if n++; n%yieldEvery == 0 {
			runtime.Gosched()
			return ctx.Err() == nil
		}
		return true
	})
	return ctx.Err()
}

// listSessions needs memory for one page, whatever the number of sessions is.
func (s *Server) listSessions(r *request) (any, error) {
	q, err := parseSessionQuery(r)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var first page
	result := api.SessionPage{Sessions: []api.Session{}}
	more := int64(0) // of those that match, the ones after the cursor
	err = s.walk(r.Context(), &q, func(x *session.Session) {
		if !q.matches(x, now) {
			return
		}
		result.Matching++
		e := entry{q.place(x), x}
		if q.after == nil || e.compare(q.after) > 0 {
			more++
			first.add(e, q.limit)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(first, func(a, b entry) int { return a.compare(&b.position) })
	for _, e := range first {
		result.Sessions = append(result.Sessions, describe(e.s, now))
	}
	if more > int64(len(first)) {
		result.Cursor = first[len(first)-1].cursor()
	}
	return result, nil
}
