package session

import (
	"roost/parser"
	"roost/stanza"
)

// offloadedCost is the memory of a stanza that waits for a worker, without its document, in
// bytes.
const offloadedCost = 512

// offloadedStanza is a stanza that waits for a worker.
type offloadedStanza struct {
	s       *Session
	doc     *parser.Tape
	stage   int // see Router.Stanza
	held    int // its part of Manager.offloadedBytes; 0 unless it waits, or has waited, for a commit or keys
	carried any // see Turn.Carry
}

// offloadStanza has a worker call the router again with st, the stanza of the document d,
// from the given stage on.
func (s *Session) offloadStanza(t *Turn, st *stanza.Stanza, d *parser.Tape, stage int, need Work) {
	p := &offloadedStanza{s: s, doc: d, stage: stage}
	if p.admit(t, st, need) == Done {
		p.release()
		return
	}
	s.offloadSteps(need, p.run)
}

func (p *offloadedStanza) run(t *Turn) (need Work) {
	defer func() {
		if need == Done {
			p.release()
		}
	}()
	if t.MayDerive() && p.s.abandoned() {
		return Done // leave the CPU to the derivations that wait
	}
	var st stanza.Stanza
	_ = stanza.Read(p.doc, &st) // it was parsed without an error before
	t.carried, p.carried = p.carried, nil
	t.mayQueue = t.MayWrite()
	p.stage, need = p.s.ask(t, &st, p.stage)
	p.carried, t.carried = t.carried, nil
	return p.admit(t, &st, need)
}

// admit returns the work that the stanza must wait for. If stanzas that wait for commits
// and keys would use too much memory, it refuses the stanza and returns Done.
func (p *offloadedStanza) admit(t *Turn, st *stanza.Stanza, need Work) Work {
	m := p.s.mgr
	if p.held == 0 && (need == Write || need == Derive) {
		p.held = p.doc.Held() + offloadedCost
		if m.offloadedBytes.Add(int64(p.held)) > int64(m.config().WriteMemory) {
			p.s.reply(t, st, stanza.ResourceConstraint.WithText("The server is overloaded; try again later."))
			return Done
		}
	}
	return need
}

func (p *offloadedStanza) release() {
	p.s.mgr.offloadedBytes.Add(int64(-p.held))
	p.doc.Release()
	if !p.s.has(flagBound) {
		p.s.updateHeld()
	}
}
