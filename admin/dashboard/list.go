package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"roost/admin/api"
)

// perPage is how many elements of a list a page has.
const perPage = 50

// given returns those parameters of a request of the API that have a value.
func given(params map[string]string) url.Values {
	q := make(url.Values)
	for name, value := range params {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// getList gets a page of a list. wrong says why the API does not accept what a person looks
// for with inputs that have these labels; empty: it does.
func (d *Dashboard) getList(v *visit, l labels, path string, q url.Values, out any) (wrong string, err error) {
	q.Set("limit", strconv.Itoa(perPage))
	err = d.cfg.API.Get(v.ctx, path, q, out)
	var e *api.Error
	if errors.As(err, &e) && e.Status == http.StatusBadRequest {
		return sentence(l.naming(e).Error()) + ".", nil
	}
	return "", err
}

// nextPage returns the URL of the page after this one; empty if there is no cursor: this
// is the last one. first is the number of its first element, 0 if that is not shown.
func (v *visit) nextPage(cursor string, first int64) string {
	if cursor == "" {
		return ""
	}
	q := v.URL.Query()
	q.Del("done")
	q.Set("cursor", cursor)
	if first > 0 {
		q.Set("first", strconv.FormatInt(first, 10))
	}
	return v.URL.Path + "?" + q.Encode()
}
