package dashboard

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"roost/admin/api"
	"roost/internal/human"
)

// drainPage is what the page of the drain is made of.
type drainPage struct {
	Form  drainForm // as it was sent
	Error string
	Last  *api.Drain // nil: there was none
}

// drainForm is the form that begins a drain.
type drainForm struct {
	Minutes, In string // how long clients have, and when it begins; empty: the default
	To, Text    string
	Exit        bool
}

// Active reports whether there is a drain to be aborted.
func (p *drainPage) Active() bool { return p.Last != nil && p.Last.State != api.DrainAborted }

// Scheduled reports whether the drain has not begun.
func (p *drainPage) Scheduled() bool { return p.Last != nil && p.Last.State == api.DrainScheduled }

// Meter is how many clients there were, and how many have left. After a drain that was aborted,
// others have come.
func (p *drainPage) Meter() meter {
	if p.Last.State == api.DrainAborted {
		return meter{min(p.Last.Ended, p.Last.Clients), p.Last.Clients}
	}
	total := max(p.Last.Clients, p.Last.Remaining)
	return meter{total - p.Last.Remaining, total}
}

// DefaultPace is how fast clients leave unless they have a time, for people.
func (p *drainPage) DefaultPace() string { return comma(api.DefaultDrainRate) + " clients a second" }

// Over is how long clients have, for people.
func (p *drainPage) Over() string {
	if p.Last.OverSeconds == 0 {
		return p.DefaultPace()
	}
	return human.Age(p.Last.OverSeconds)
}

func (d *Dashboard) drain(v *visit) error { return d.showDrain(v, &drainPage{}) }

// showDrain shows the page, with a form that was not accepted if there is an error.
func (d *Dashboard) showDrain(v *visit, p *drainPage) (err error) {
	if p.Last, err = getJob[api.Drain](d, v, api.PathDrain); err == nil {
		d.render(v, formStatus(p.Error), "drain.html", "Drain", p)
	}
	return err
}

var drainLabels = labels{"over_seconds": "Time for it (minutes)", "begin": "Begins in (minutes)", "to": "Send clients to", "text": "What clients are told"}

func (d *Dashboard) startDrain(v *visit) error {
	get := func(name string) string { return strings.TrimSpace(v.PostForm.Get(name)) }
	p := drainPage{Form: drainForm{Minutes: get("minutes"), In: get("in"), To: get("to"), Text: get("text"), Exit: get("exit") != ""}}
	q, text := p.Form.request(time.Now())
	if get("sure") == "" {
		text = "Confirm that all clients have to leave."
	}
	if p.Error = text; text != "" {
		return d.showDrain(v, &p)
	}
	err := d.cfg.API.Do(v.ctx, http.MethodPost, api.PathDrain, nil, q, nil)
	if p.Error = drainLabels.refusal(err); p.Error != "" {
		return d.showDrain(v, &p)
	}
	if err != nil {
		return err
	}
	http.Redirect(v.w, v.Request, "/drain?done=draining", http.StatusSeeOther)
	return nil
}

// request returns the request of the API, or says what is wrong.
func (f *drainForm) request(now time.Time) (q *api.DrainRequest, wrong string) {
	q = &api.DrainRequest{To: f.To, Text: f.Text, Exit: f.Exit}
	minutes := func(text string, most float64) (seconds float64, ok bool) {
		if text == "" {
			return 0, true
		}
		n, err := strconv.ParseFloat(text, 64)
		return n * 60, err == nil && n >= 0 && n <= most
	}
	over, ok1 := minutes(f.Minutes, 7*24*60)
	in, ok2 := minutes(f.In, 30*24*60)
	if !ok1 || !ok2 {
		return nil, "A time is not a number of minutes, or it is too long."
	}
	q.OverSeconds = over
	if in > 0 {
		at := now.Add(time.Duration(in * float64(time.Second))).UTC().Truncate(time.Second)
		q.Begin = &at
	}
	return q, ""
}
