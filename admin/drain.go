package admin

import (
	"net/http"

	"roost/admin/api"
)

// Drains makes all clients leave; package server does it.
type Drains interface {
	StartDrain(q *api.DrainRequest, actor string) (api.Drain, error)
	DrainStatus() (status api.Drain, ok bool) // ok: there is or was one
	AbortDrain() (api.Drain, error)
	Outage() api.Outage
}

var drainRoutes = []route{
	{id: "drain.show", method: http.MethodGet, path: api.PathDrain, scope: ScopeRead, response: api.Drain{}, handle: (*Server).showDrain,
		summary: "Show the drain that is scheduled or runs, or the last one."},
	{id: "drain.start", method: http.MethodPost, path: api.PathDrain, scope: ScopeWrite, response: api.Drain{}, handle: (*Server).startDrain,
		body:    func() any { return new(api.DrainRequest) },
		summary: "Make all clients leave, at a pace. The server accepts no new ones."},
	{id: "drain.abort", method: http.MethodDelete, path: api.PathDrain, scope: ScopeWrite, response: api.Drain{}, handle: (*Server).abortDrain,
		summary: "Abort a drain, also one that is done: the server accepts clients again."},
	{id: "outage.show", method: http.MethodGet, path: api.PathOutage, scope: ScopeNone, response: api.Outage{}, handle: (*Server).outage,
		summary: "What clients may know of a drain that is planned, runs or is done: the outage document of XEP-0455. Empty if there is none, or if clients are sent to another host."},
}

func (s *Server) showDrain(*request) (any, error) {
	status, ok := s.b.Drains.DrainStatus()
	if !ok {
		return nil, &api.Error{Status: 404, Code: api.CodeNotFound, Message: "there has been no drain since the server started"}
	}
	return status, nil
}

func (s *Server) outage(*request) (any, error) { return s.b.Drains.Outage(), nil }

func (s *Server) startDrain(r *request) (any, error) {
	q := r.body.(*api.DrainRequest)
	if _, err := clientText("text", q.Text, "x"); err != nil {
		return nil, err
	}
	return s.b.Drains.StartDrain(q, r.actor)
}

func (s *Server) abortDrain(*request) (any, error) { return s.b.Drains.AbortDrain() }
