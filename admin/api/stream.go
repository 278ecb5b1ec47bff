package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// StreamHeartbeat is how often a server sends an empty line in a stream that has nothing
// else to say.
const StreamHeartbeat = 15 * time.Second

// streamSilence is how long a server may send nothing.
const streamSilence = 3 * StreamHeartbeat

// maxLine limits a line of a stream, in bytes.
const maxLine = 4 << 20

// errSilent ends a stream.
var errSilent = errors.New("the server has not sent anything for " + streamSilence.String())

// Stream requests a path whose response is a stream of JSON lines, with the body in
// unless it is nil, and yields the lines as they come. T may be json.RawMessage. If the
// stream does not end as it should, the last pair has an error: an *Error that the server
// has sent, or ctx's when that has ended. Leaving the loop ends the request.
func Stream[T any](ctx context.Context, c *Client, method, path string, query url.Values, in any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		silence := time.AfterFunc(streamSilence, func() { cancel(errSilent) })
		defer silence.Stop()
		more := true
		err := c.lines(ctx, method, path, query, in, func(line []byte) (bool, error) {
			silence.Stop() // the caller may take its time
			if len(line) > 0 {
				v, err := decodeLine[T](line)
				if err != nil {
					return false, err
				}
				more = yield(v, nil)
			}
			silence.Reset(streamSilence)
			return more, nil
		})
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil && more {
			yield(*new(T), err)
		}
	}
}

// lines sends a request and calls f for each line of the response, until f returns false
// or an error.
func (c *Client) lines(ctx context.Context, method, path string, query url.Values, in any, f func(line []byte) (more bool, err error)) error {
	resp, err := c.send(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		if err := decode(resp, nil); err != nil {
			return err
		}
		return errors.New(resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if more, err := f(lines.Bytes()); err != nil || !more {
			return err
		}
	}
	return lines.Err()
}

// decodeLine decodes a line. No type of lines has a field "error" at its beginning.
func decodeLine[T any](line []byte) (v T, err error) {
	if bytes.HasPrefix(line, []byte(`{"error":`)) {
		var e ErrorResponse
		if err := json.Unmarshal(line, &e); err != nil {
			return v, err
		}
		return v, &e.Error
	}
	err = json.Unmarshal(line, &v)
	return v, err
}
