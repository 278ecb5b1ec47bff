package server

import (
	"encoding/json"

	"roost/admin/api"
	"roost/internal/ownfile"
)

// defaultOutageText is what the outage document says of a drain without a text.
const defaultOutageText = "This server is being taken out of service."

// Outage returns the outage document (XEP-0455 section 2.2,
// https://xmpp.org/extensions/xep-0455.html#json-schema). A drain that sends clients to
// another host of the service is no outage. It implements admin.Drains.
func (s *Server) Outage() api.Outage {
	d, ok := s.DrainStatus()
	if !ok || d.State == api.DrainAborted || d.To != "" {
		return api.Outage{}
	}
	text := d.Text
	if text == "" {
		text = defaultOutageText
	}
	o := api.Outage{Planned: true, Beginning: &d.Begin, Message: map[string]string{"default": text}}
	if d.End != nil {
		end := d.End.UTC()
		o.ExpectedEnd = &end
	}
	return o
}

// updateOutage is writeOutage for a caller that does not hold drains.ops.
func (s *Server) updateOutage() {
	s.drains.ops.Lock()
	defer s.drains.ops.Unlock()
	s.writeOutage()
}

// writeOutage writes the outage document for the web server that serves it. Under drains.ops:
// what is written last is the newest. XEP-0455
// (https://xmpp.org/extensions/xep-0455.html#json-schema): "When the
// outage is over, the file SHOULD be replaced with an empty JSON object": that is done when
// a drain is aborted, and when the server starts.
func (s *Server) writeOutage() {
	cfg := s.config()
	if cfg.OutageFile == "" {
		return
	}
	text, err := json.MarshalIndent(s.Outage(), "", "  ")
	if err == nil {
		err = ownfile.Write(cfg.OutageFile, append(text, '\n'), 0o644)
	}
	if err != nil {
		cfg.Logger.Error("the file for clients about outages cannot be written", "file", cfg.OutageFile, "err", err)
	}
}
