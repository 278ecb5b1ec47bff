package dashboard

import (
	"errors"
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

// Handled is how many clients have been dealt with.
func (p *announcePage) Handled() int64 { return p.Last.Sent + p.Last.Skipped }

// Total is how many clients there are to be dealt with, as far as is known.
func (p *announcePage) Total() int64 { return max(p.Last.Clients, p.Handled(), 1) }

func (d *Dashboard) announce(v *visit) error { return d.showAnnounce(v, &announcePage{}) }

// showAnnounce shows the page, with a form that was not accepted if there is an error.
func (d *Dashboard) showAnnounce(v *visit, p *announcePage) error {
	p.Last = new(api.Announce)
	if err := d.getJob(v, api.PathAnnounce, p.Last); err != nil {
		return err
	}
	if p.Last.State == "" {
		p.Last = nil
	}
	status := http.StatusOK
	if p.Error != "" {
		status = http.StatusBadRequest
	}
	d.render(v, status, "announce.html", "Announce", p)
	return nil
}

// getJob gets the state of a long action; it leaves out as it is if there was none.
func (d *Dashboard) getJob(v *visit, path string, out any) error {
	err := d.cfg.API.Get(v.ctx, path, nil, out)
	var e *api.Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return nil
	}
	return err
}

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
	if p.Error = refusal(err); p.Error != "" {
		return d.showAnnounce(v, &p)
	}
	if err != nil {
		return err
	}
	http.Redirect(v.w, v.Request, "/announce?done=announced", http.StatusSeeOther)
	return nil
}

// refusal says why the API does not accept a form; empty: it does, or the error is
// another one.
func refusal(err error) string {
	var e *api.Error
	if errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusConflict) {
		return sentence(e.Message) + "."
	}
	return ""
}

// abort returns what aborts a long action.
func abort(path, to string) func(*Dashboard, *visit) error {
	return func(d *Dashboard, v *visit) error {
		if err := d.cfg.API.Do(v.ctx, http.MethodDelete, path, nil, nil, nil); err != nil {
			return err
		}
		http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
		return nil
	}
}
