package xep

import (
	"crypto/rand"
	"time"

	"roost/parser"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

const (
	nsCommands = "http://jabber.org/protocol/commands"
	nsForm     = "jabber:x:data"
)

// command is an ad-hoc command of the server (XEP-0050, https://xmpp.org/extensions/xep-0050.html):
// one that returns a result at once, or one with a form.
type command struct {
	node, name string
	offered    func() bool                    // by the configuration
	form       func(b []byte) []byte          // appends a form; nil: there is none
	run        func(rq *router.Request) error // replies by sendCommand; rq has a submitted form if there is one
}

// commander lets clients of this server execute commands.
type commander struct{ all []command }

func commands(c *commander) router.Extension {
	return router.Extension{
		Name:    "commands",
		XEP:     50,
		Version: "1.3.0",
		Title:   "Ad-Hoc Commands",
		Domain:  []string{nsCommands},
		Offered: c.offered,
		IQ: []router.IQ{
			{Space: nsCommands, Local: "command", Methods: router.Set, Targets: router.ToServer, Blocking: true, Handle: c.handle},
		},
	}
}

func (c *commander) offered() bool { return len(c.nodes()) > 0 }

// nodes returns the commands that there are in the present configuration.
func (c *commander) nodes() (all []*command) {
	for i := range c.all {
		if c.all[i].offered() {
			all = append(all, &c.all[i])
		}
	}
	return all
}

// find returns a command that there is, or nil.
func (c *commander) find(node []byte) *command {
	for _, x := range c.nodes() {
		if x.node == string(node) {
			return x
		}
	}
	return nil
}

// mayExecute reports whether commands are for the requesting entity: each domain has them for its
// own accounts.
func mayExecute(rq *router.Request) bool {
	return rq.Session != nil && rq.Stanza.To.Domain() == rq.Session.Host()
}

// items replies to a request for the list of commands
// (https://xmpp.org/extensions/xep-0050.html#retrieve): "The responder is not required to send the
// same list of commands to all requesters".
func (c *commander) items(rq *router.Request) {
	var items []byte
	for _, x := range c.nodes() {
		if !mayExecute(rq) {
			break
		}
		items = append(items, "<item"...)
		items = appendAttr(items, "jid", rq.Session.Host())
		items = appendAttr(items, "node", x.node)
		items = appendAttr(items, "name", x.name)
		items = append(items, "/>"...)
	}
	sendQuery(rq, items)
}

// info replies to a request for information about a command or the list of commands, or returns
// false if the node is neither.
func (c *commander) info(rq *router.Request) bool {
	node := rq.Payload().Attr("node")
	i := info{identities: []identity{{category: "automation", kind: "command-list", name: "Commands"}}, features: []string{nsDiscoInfo, nsDiscoItems}}
	switch x := c.find(node); {
	case x != nil && !mayExecute(rq):
		// https://xmpp.org/extensions/xep-0050.html#retrieving-info: "If the command is not
		// available to the requester, the responder SHOULD respond with a 403 "Forbidden"
		// error."
		rq.Error(stanza.Forbidden)
		return true
	case x != nil:
		// https://xmpp.org/extensions/xep-0050.html#retrieving-info demands this identity and
		// these features.
		i = info{identities: []identity{{category: "automation", kind: "command-node", name: x.name}}, features: []string{nsCommands, nsForm}}
	case string(node) != nsCommands || !c.offered():
		return false
	}
	sendQuery(rq, i.sort().appendXML(nil))
	return true
}

// commandSession is a command whose form a client has not sent back yet.
type commandSession struct {
	id, node string
	started  time.Time
}

// openCommands are the last commands that a client has begun.
type openCommands [4]commandSession

// maxCommandTime is how long a client may take to fill in a form.
var maxCommandTime = time.Hour // only tests change it

var commandSessions = session.NewSlot[openCommands]()

// Errors of requests (https://xmpp.org/extensions/xep-0050.html#desc-errors).
var (
	errMalformedAction = commandError(stanza.BadRequest, "malformed-action")
	errBadAction       = commandError(stanza.BadRequest, "bad-action")
	errBadPayload      = commandError(stanza.BadRequest, "bad-payload")
	errBadSession      = commandError(stanza.BadRequest, "bad-sessionid")
	errSessionExpired  = commandError(stanza.NotAllowed, "session-expired")
)

func commandError(e *stanza.ErrorReply, condition string) *stanza.ErrorReply {
	c := *e
	c.Extra = "<" + condition + " xmlns='" + nsCommands + "'/>"
	return &c
}

func (c *commander) handle(rq *router.Request) {
	if err := c.execute(rq); err != nil {
		rq.Error(err)
	}
}

func (c *commander) execute(rq *router.Request) error {
	el := rq.Payload()
	x := c.find(el.Attr("node"))
	switch {
	case rq.Session == nil:
		return stanza.Forbidden // whatever there is
	case !c.offered():
		return stanza.ServiceUnavailable
	case len(el.Attr("node")) == 0:
		return stanza.BadRequest
	case x == nil:
		return stanza.ItemNotFound
	case !mayExecute(rq):
		return stanza.Forbidden
	}
	action := string(el.Attr("action"))
	switch action {
	case "", "execute", "cancel", "prev", "next", "complete":
	default:
		return errMalformedAction
	}
	if el.Attr("sessionid") == nil {
		return x.begin(rq, action)
	}
	return x.proceed(rq, action)
}

// begin starts a command.
func (x *command) begin(rq *router.Request, action string) error {
	switch {
	case action != "" && action != "execute":
		return errBadAction // there is nothing to cancel, nor another stage
	case x.form == nil:
		return x.run(rq)
	}
	open := commandSessions.Make(rq.Session)
	copy(open[1:], open[:])
	open[0] = commandSession{id: rand.Text(), node: x.node, started: rq.Turn.Now()}
	x.sendForm(rq, open[0].id)
	return nil
}

func (x *command) sendForm(rq *router.Request, id string) {
	rq.Result(func(b []byte) []byte {
		b = appendCommand(b, x.node, id, "executing")
		b = append(b, "><actions execute='complete'><complete/></actions>"...)
		return append(x.form(b), "</command>"...)
	})
}

// proceed continues a command that has a form.
func (x *command) proceed(rq *router.Request, action string) error {
	open := commandSessions.Get(rq.Session)
	s := open.find(string(rq.Payload().Attr("sessionid")), x.node)
	switch {
	case s == nil:
		return errBadSession
	case action == "cancel":
		// Canceling succeeds in any case (https://xmpp.org/extensions/xep-0050.html#execute).
		rq.Result(func(b []byte) []byte { return append(appendCommand(b, x.node, s.id, "canceled"), "/>"...) })
		open.end(rq.Session, s)
		return nil
	case rq.Turn.Now().Sub(s.started) > maxCommandTime:
		open.end(rq.Session, s)
		return errSessionExpired
	case action == "prev" || action == "next":
		return errBadAction
	case !rq.Payload().Child(nsForm, "x").OK():
		return errBadPayload
	}
	if err := x.run(rq); err != nil {
		return err // the client may correct the form
	}
	open.end(rq.Session, s)
	return nil
}

func (o *openCommands) find(id, node string) *commandSession {
	if o == nil {
		return nil
	}
	for i := range o {
		if s := &o[i]; s.id == id && s.node == node && id != "" {
			return s
		}
	}
	return nil
}

// end forgets a command, and the whole list when it was the last one.
func (o *openCommands) end(s *session.Session, c *commandSession) {
	if *c = (commandSession{}); *o == (openCommands{}) {
		commandSessions.Drop(s)
	}
}

// appendCommand appends the beginning of a <command/>, without the end of its start tag.
func appendCommand(b []byte, node, id, status string) []byte {
	b = append(b, "<command xmlns='"+nsCommands+"'"...)
	b = appendAttr(b, "node", node)
	b = appendAttr(b, "sessionid", id)
	b = appendAttr(b, "status", status)
	return append(b, " xml:lang='en'"...)
}

// sendCommand replies with the result of a command, as a form.
func sendCommand(rq *router.Request, f router.Form) {
	el := rq.Payload()
	id := string(el.Attr("sessionid"))
	if id == "" {
		// "the responder SHOULD initialize (if not provided) or maintain this attribute"
		// (https://xmpp.org/extensions/xep-0050.html#desc-command).
		id = rand.Text()
	}
	rq.Result(func(b []byte) []byte {
		b = append(appendCommand(b, string(el.Attr("node")), id, "completed"), '>')
		return append(appendForm(b, f), "</command>"...)
	})
}

// formValue returns the first value of a field of a form, and whether the form has the field.
func formValue(form parser.Element, name string) (value string, ok bool) {
	for f := form.First(); f.OK(); f = f.Next() {
		if f.Is(nsForm, "field") && string(f.Attr("var")) == name {
			return string(f.Child(nsForm, "value").AppendText(nil)), true
		}
	}
	return "", false
}
