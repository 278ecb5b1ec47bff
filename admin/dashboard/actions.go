package dashboard

import (
	"errors"
	"net/http"

	"roost/admin/api"
)

// getJob gets the state of a long action; nil if there was none.
func getJob[T any](d *Dashboard, v *visit, path string) (*T, error) {
	job := new(T)
	err := d.cfg.API.Get(v.ctx, path, nil, job)
	if hasStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	return job, err
}

// hasStatus reports whether an error is one of the API with a status.
func hasStatus(err error, status int) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Status == status
}

// formStatus is the status of a page with a form, which was not accepted if there is an
// error.
func formStatus(text string) int {
	if text != "" {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// labels are the labels of the inputs of a page, by the name of the field of the API.
type labels map[string]string

// refusal says why the API does not accept what a person has entered; empty: it does, or
// the error is another one.
func (l labels) refusal(err error) string {
	var e *api.Error
	if errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusConflict) {
		return sentence(l.naming(e).Message) + "."
	}
	return ""
}

// naming returns an error that names the input that is wrong, if it is one of the page.
func (l labels) naming(e *api.Error) *api.Error {
	if label := l[e.Field]; label != "" {
		return e.Naming(label)
	}
	return e
}

// missing returns the error that people see instead of err, if that is that something does
// not exist.
func missing(err error, message, hint string) error {
	if hasStatus(err, http.StatusNotFound) {
		return &api.Error{Status: http.StatusNotFound, Code: api.CodeNotFound, Message: message, Hint: hint}
	}
	return err
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
