package router

import (
	"strings"

	"roost/internal/loglimit"
	"roost/jid"
	"roost/parser"
)

const nsReporting = "urn:xmpp:reporting:1"

// reportsExtension accepts the reports of abuse that users attach to an address when they
// block it (XEP-0377), and logs them for the operator. Nothing else is done with them, so
// the options for processing are ignored: "Servers MAY ignore processing options when their
// implementation does not support the corresponding functionality"
// (https://xmpp.org/extensions/xep-0377.html#processing).
func reportsExtension(r *Router) Extension {
	r.reports = loglimit.New(r.config().Logger, "more abuse was reported than is logged")
	return Extension{
		Name:    "reports",
		XEP:     377,
		Version: "0.4.1",
		Title:   "Blocking Command Reports",
		Domain:  []string{nsReporting},
		Close:   r.reports.Close,
	}
}

// logReports logs the reports of a request that has blocked addresses. "Servers that
// receive a blocking command with a report MUST block the JID or return an error just as
// they would if no report were present"
// (https://xmpp.org/extensions/xep-0377.html#blocking), so a report without a reason, which
// is invalid, is dropped without notice. What users write about it is not logged.
func (r *Router) logReports(rq *Request) {
	for el := rq.Payload().First(); el.OK(); el = el.Next() {
		report := el.Child(nsReporting, "report")
		if !report.OK() {
			continue
		}
		reason := reportReason(report)
		target, err := jid.Parse(string(el.Attr("jid")))
		if reason == "" || err != nil || !r.reports.Allow() {
			continue
		}
		r.config().Logger.Info("abuse reported", "jid", rq.Session.FullJID(), "target", shortened(target.String()),
			"reason", reason, "messages", stanzaIDs(report))
	}
}

// reportReason returns "spam" or "abuse", "other" for a reason that the specification does
// not define, and "" if there is none.
func reportReason(report parser.Element) string {
	reason := string(report.Attr("reason"))
	switch short := strings.TrimPrefix(reason, "urn:xmpp:reporting:"); short {
	case "spam", "abuse", "":
		return short
	}
	return "other"
}

// stanzaIDs returns the number of messages that a report refers to.
func stanzaIDs(report parser.Element) (n int) {
	for el := report.First(); el.OK(); el = el.Next() {
		if el.Is(nsStanzaID, "stanza-id") {
			n++
		}
	}
	return n
}

// maxReported is the length of the longest address in the log that a user has chosen, in
// bytes.
const maxReported = 256

func shortened(address string) string {
	if len(address) <= maxReported {
		return address
	}
	return strings.ToValidUTF8(address[:maxReported], "") + "…"
}
