package dashboard

import (
	"net/http"
	"strconv"
	"strings"

	"roost/admin/api"
)

// announcePage is what the page of announcements is made of.
type announcePage struct {
	Form  api.AnnounceRequest // as it was sent
	Error string
	Last  *api.Announce // nil: there was none
}

// Running reports whether an announcement is being sent.
func (p *announcePage) Running() bool { return p.Last != nil && p.Last.State == api.JobRunning }

// DefaultRate is the number of clients per second if the form has none.
func (p *announcePage) DefaultRate() int { return api.DefaultAnnounceRate }

// Meter is how many clients there are to be dealt with, as far as is known, and how many have been.
func (p *announcePage) Meter() meter {
	handled := p.Last.Sent + p.Last.Skipped
	return meter{handled, max(p.Last.Clients, handled)}
}

func (d *Dashboard) announce(v *visit) error { return d.showAnnounce(v, &announcePage{}) }

// showAnnounce shows the page, with a form that was not accepted if there is an error.
func (d *Dashboard) showAnnounce(v *visit, p *announcePage) (err error) {
	if p.Last, err = getJob[api.Announce](d, v, api.PathAnnounce); err == nil {
		d.render(v, formStatus(p.Error), "announce.html", "Announce", p)
	}
	return err
}

var announceLabels = labels{"text": "Text", "subject": "Subject", "domain": "Domain", "rate": "Clients per second"}

func (d *Dashboard) startAnnounce(v *visit) error {
	get := func(name string) string { return strings.TrimSpace(v.PostForm.Get(name)) }
	p := announcePage{Form: api.AnnounceRequest{
		Text: strings.ReplaceAll(get("text"), "\r\n", "\n"), Subject: get("subject"), Domain: get("domain"),
	}}
	var err error
	if text := get("rate"); text != "" {
		if p.Form.Rate, err = strconv.ParseFloat(text, 64); err != nil {
			p.Error = "The number of clients per second is not a number."
			return d.showAnnounce(v, &p)
		}
	}
	err = d.cfg.API.Do(v.ctx, http.MethodPost, api.PathAnnounce, nil, &p.Form, nil)
	if p.Error = announceLabels.refusal(err); p.Error != "" {
		return d.showAnnounce(v, &p)
	}
	if err != nil {
		return err
	}
	http.Redirect(v.w, v.Request, "/announce?done=announced", http.StatusSeeOther)
	return nil
}
