package router

import (
	"context"
	"slices"

	"roost/jid"
	"roost/session"
)

// Ending says which sessions of an account an administrator ends.
type Ending struct {
	Resource string               // the one with this resource; "": all
	Client   string               // those of the client with this user-agent ID (XEP-0388) that show it, by Bind 2; "": all
	Error    *session.StreamError // that their clients get
}

// has reports whether the session with a resource is to end.
func (e *Ending) has(m *session.Manager, account, resource string) bool {
	return (e.Resource == "" || e.Resource == resource) && (e.Client == "" || m.OfClient(account, e.Client, resource))
}

// EndSessions ends the sessions of an account that have a resource, on all nodes, and returns
// their number. Those on other nodes end soon after it. If the directory cannot be reached,
// EndSessions returns its error; then the sessions on other nodes are not counted, and end only if
// their node can be reached in time (docs/cluster.md).
func (r *Router) EndSessions(ctx context.Context, account jid.JID, e Ending) (ended int, err error) {
	bare := account.BareString()
	ended = r.endHere(bare, &e)
	if r.nodes == nil {
		return ended, nil
	}
	nodes := r.nodes.Others()
	places, err := r.nodes.Current(ctx, bare)
	if err == nil {
		places = slices.DeleteFunc(slices.Clone(places), func(p Place) bool { return !e.has(r.sessions, bare, p.Resource) })
		ended += len(places)
		nodes = nodesOf(nil, places, anyPlace)
	}
	item := appendField(appendKind(nil, itemEnd), bare)
	for _, text := range []string{e.Resource, e.Client, e.Error.Condition, e.Error.Text} {
		item = appendField(item, text)
	}
	for _, n := range nodes {
		if !r.nodes.Send(n, bare, item) {
			r.notEnded(n, bare)
		}
	}
	return ended, err
}

func (r *Router) endHere(bare string, e *Ending) (ended int) {
	for x := range r.Recipients(bare, Connected) {
		if e.has(r.sessions, bare, x.Resource()) {
			ended++
			x.Close(e.Error)
		}
	}
	return ended
}

// end handles itemEnd.
func (l *nodeLane) end(node NodeID, key string, f *fields) {
	bare := string(f.text())
	l.passOn(node, bare, key, l.item) // one may just have moved away
	e := Ending{Resource: string(f.text()), Client: string(f.text())}
	e.Error = &session.StreamError{Condition: string(f.text()), Text: string(f.text())}
	if !f.bad {
		l.r.endHere(bare, &e)
	}
}

// notEnded reports that a node was not told to end sessions. With the node, they have ended.
func (r *Router) notEnded(n NodeID, bare string) {
	if slices.Contains(r.nodes.Others(), n) {
		r.config().Logger.Warn("sessions on another node could not be ended by the administrator; try again, or try it on that node", "jid", bare)
	}
}
