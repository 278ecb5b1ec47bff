package xep

import (
	"sync/atomic"

	"roost/parser"
	"roost/router"
	"roost/stanza"
)

// Namespaces of service discovery.
const (
	nsDiscoInfo  = "http://jabber.org/protocol/disco#info"
	nsDiscoItems = "http://jabber.org/protocol/disco#items"
)

// discovery implements service discovery (XEP-0030).
type discovery struct {
	commands  *commander
	router    *router.Router            // set when it is ready
	published atomic.Pointer[published] // replaced when the configuration has changed
}

// published is what is published at a time. It is immutable.
type published struct {
	server  []byte // the content of <query/> for the server
	account []byte // the same for any account
	ver     string // identifies the server's capabilities (caps.go)
}

func disco(d *discovery) router.Extension {
	iq := func(space string, to router.Targets, handle func(*router.Request)) router.IQ {
		return router.IQ{
			Space: space, Local: "query", Methods: router.Get, Targets: to,
			Blocking: to == router.ToAccount, Handle: handle,
		}
	}
	return router.Extension{
		Name:    "disco",
		XEP:     30,
		Version: "2.5.0",
		Title:   "Service Discovery",
		Domain:  []string{nsDiscoInfo, nsDiscoItems},
		Account: []string{nsDiscoInfo, nsDiscoItems},
		IQ: []router.IQ{
			iq(nsDiscoInfo, router.ToServer, d.serverInfo),
			iq(nsDiscoInfo, router.ToSelf, d.ownInfo),
			iq(nsDiscoInfo, router.ToAccount, d.accountInfo),
			iq(nsDiscoItems, router.ToServer, d.serverItems),
			{Space: nsDiscoItems, Local: "query", Methods: router.Get, Targets: router.ToSelf, Blocking: true, Handle: ownItems, Inline: func(rq *router.Request) bool {
				here := rq.Router.KnowsResources(rq.Account())
				if here {
					ownItems(rq)
				}
				return here
			}},
			iq(nsDiscoItems, router.ToAccount, accountItems),
		},
		Ready: func(r *router.Router, _ *router.Extension) {
			d.router = r
			d.update()
		},
	}
}

// update collects what the server publishes.
func (d *discovery) update() {
	server := serverInfo(d.router)
	d.published.Store(&published{server.appendXML(nil), accountInfo(d.router).appendXML(nil), server.ver()})
}

// hasNode reports whether a query specifies a node.
func hasNode(rq *router.Request) bool { return len(rq.Payload().Attr("node")) > 0 }

func (d *discovery) serverInfo(rq *router.Request) {
	p := d.published.Load()
	if hasNode(rq) && string(rq.Payload().Attr("node")) != capsNode+"#"+p.ver {
		if !d.commands.info(rq) {
			rq.Error(stanza.ItemNotFound)
		}
		return
	}
	sendQuery(rq, p.server)
}

func (d *discovery) ownInfo(rq *router.Request) {
	if hasNode(rq) {
		rq.Error(stanza.ItemNotFound)
		return
	}
	sendQuery(rq, d.published.Load().account)
}

// accountInfo handles a query about another account. Section 8
// (https://xmpp.org/extensions/xep-0030.html#security): "In response to a disco#info
// request, the server MUST return a <service-unavailable/> error if […] The target entity
// does not exist (no matter if the request specifies a node or not) [or] The requesting
// entity is not authorized to receive presence from the target entity".
func (d *discovery) accountInfo(rq *router.Request) {
	ok, err := subscribed(rq)
	switch {
	case err != nil:
		rq.Error(err)
	case !ok:
		rq.Error(stanza.ServiceUnavailable)
	default:
		d.ownInfo(rq)
	}
}

// serverItems handles a query about the server, which has no items but its commands. Section
// 4.1 (https://xmpp.org/extensions/xep-0030.html#items-basic): "the target entity MUST return
// an empty query element".
func (d *discovery) serverItems(rq *router.Request) {
	switch {
	case !hasNode(rq):
		sendQuery(rq, nil)
	case string(rq.Payload().Attr("node")) == nsCommands && d.commands.offered():
		d.commands.items(rq)
	default:
		rq.Error(stanza.ItemNotFound)
	}
}

// ownItems lists the account's own available resources (section 4.1).
func ownItems(rq *router.Request) {
	if hasNode(rq) {
		rq.Error(stanza.ItemNotFound)
		return
	}
	var items []byte
	for full := range rq.Router.AvailableResources(rq.Turn, rq.Account()) {
		items = append(items, "<item jid='"...)
		items = parser.AppendEscaped(items, full)
		items = append(items, "'/>"...)
	}
	sendQuery(rq, items)
}

// accountItems handles a query about another account. Section 8
// (https://xmpp.org/extensions/xep-0030.html#security): "In response to a disco#items
// request, the server MUST return an empty result set if […] The target entity does not
// exist (no matter if the request specifies a node or not)". Entities that are not
// authorized to see the account's presence get the same.
func accountItems(rq *router.Request) {
	ok, err := subscribed(rq)
	switch {
	case err != nil:
		rq.Error(err)
	case !ok:
		sendQuery(rq, nil)
	default:
		ownItems(rq)
	}
}

// sendQuery replies with <query/> in the namespace of the request. Section 3.2
// (https://xmpp.org/extensions/xep-0030.html#info-nodes): "If the request included a 'node'
// attribute, the response MUST mirror the specified 'node' attribute".
func sendQuery(rq *router.Request, inner []byte) {
	node := rq.Payload().Attr("node")
	rq.Result(func(b []byte) []byte {
		b = append(b, "<query xmlns='"...)
		b = append(b, rq.Payload().Space()...)
		if node != nil {
			b = append(b, "' node='"...)
			b = parser.AppendEscaped(b, node)
		}
		if len(inner) == 0 {
			return append(b, "'/>"...)
		}
		b = append(b, "'>"...)
		b = append(b, inner...)
		return append(b, "</query>"...)
	})
}
