package xep

import (
	"roost/router"
	"roost/stanza"
	"roost/store"
)

const nsVCard = "vcard-temp"

// vcard stores a vCard for each account without interpreting it (XEP-0054).
func vcard(x *Set) router.Extension {
	iq := func(m router.Methods, to router.Targets, blocking bool, handle func(*router.Request)) router.IQ {
		return router.IQ{Space: nsVCard, Local: "vCard", Methods: m, Targets: to, Blocking: blocking, Handle: handle}
	}
	return router.Extension{
		Name:    "vcard",
		XEP:     54,
		Version: "1.3.0",
		Title:   "vcard-temp",
		Domain:  []string{nsVCard},
		Account: []string{nsVCard},
		IQ: []router.IQ{
			iq(router.Get, router.ToSelf|router.ToAccount, true, getVCard),
			iq(router.Set, router.ToSelf, true, func(rq *router.Request) { setVCard(rq, x.config().VCardSize) }),
			iq(router.Set, router.ToServer|router.ToAccount, false, func(rq *router.Request) {
				// Section 3.2 (https://xmpp.org/extensions/xep-0054.html#usecases): "If a
				// user attempts to perform an IQ set on another user's vCard […], the
				// server MUST return a stanza error, which SHOULD be <forbidden/> or
				// <not-allowed/>".
				rq.Error(stanza.Forbidden)
			}),
		},
	}
}

func getVCard(rq *router.Request) {
	value, err := rq.Router.Store().Blob(rq.Router.Context(), rq.Account(), nsVCard, "")
	switch {
	case err != nil:
		rq.Error(err)
	case value == nil && rq.Own():
		// Section 3.1 (https://xmpp.org/extensions/xep-0054.html#usecases): "If no vCard
		// exists, the server MUST return a stanza error (which SHOULD be
		// <item-not-found/>)".
		rq.Error(stanza.ItemNotFound)
	case value == nil:
		// Section 3.3 (https://xmpp.org/extensions/xep-0054.html#usecases): "If no vCard
		// exists or the user does not exist […] The server MUST return the same error
		// condition in both cases […] <service-unavailable/> MUST be used in both cases".
		rq.Error(stanza.ServiceUnavailable)
	default:
		rq.Result(func(b []byte) []byte { return append(b, value...) })
	}
}

func setVCard(rq *router.Request, limit int) {
	value := rq.Payload().AppendXML(nil)
	if len(value) > limit {
		rq.Error(stanza.NotAcceptable.WithText("The vCard is too large."))
		return
	}
	set := store.BlobSet{Owner: rq.Account(), Generation: rq.Generation, Kind: nsVCard}
	err := rq.Router.Store().UpdateBlobs(rq.Router.Context(), set, func(tx store.BlobTx) error { return tx.Put("", value) })
	if err != nil {
		rq.Error(err)
		return
	}
	rq.Empty()
}
