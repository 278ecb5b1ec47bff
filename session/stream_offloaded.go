package session

import (
	"roost/parser"
	"roost/stanza"
)

// offloadedCost is what a stanza that waits for a worker takes besides its
// document, in bytes.
const offloadedCost = 512

// offloadedStanza is a stanza that waits for a worker.
type offloadedStanza struct {
	s       *Session
	doc     *parser.Tape
	stage   int // see Router.Stanza
	held    int // bytes of Manager.offloadedBytes, 0 unless it waits, or has waited, for a commit or for keys
	carried any // see Turn.Carry
}

// offloadStanza has the router called again with st, the stanza of the document d, on a
// worker and from the given stage on.
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
		return Done // those that wait behind it need the CPU
	}
	var st stanza.Stanza
	_ = stanza.Read(p.doc, &st) // it was read before
	t.carried, p.carried = p.carried, nil
	p.stage, need = p.s.ask(t, &st, p.stage)
	p.carried, t.carried = t.carried, nil
	return p.admit(t, &st, need)
}

// admit returns the work that the stanza has to wait for. Where what waits for commits
// and for keys would take too much memory, the stanza is refused, and done.
func (p *offloadedStanza) admit(t *Turn, st *stanza.Stanza, need Work) Work {
	m := p.s.mgr
	if p.held == 0 && (need == Write || need == Derive) {
		p.held = p.doc.Held() + offloadedCost
		if m.offloadedBytes.Add(int64(p.held)) > int64(m.cfg.WriteMemory) {
			p.s.reply(t, st, stanza.ResourceConstraint.WithText("The server is busy; try later."))
			return Done
		}
	}
	return need
}

func (p *offloadedStanza) release() {
	p.s.mgr.offloadedBytes.Add(int64(-p.held))
	p.doc.Release()
	if !p.s.has(flagAuthed) {
		p.s.updateHeld()
	}
}
