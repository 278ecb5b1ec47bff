package prosody

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// parseJSON parses JSON as Prosody's util.json writes it: a table of Lua with keys that are
// not strings has them in a list "__hash", alternating with their values, and its values
// without keys in a list "__array", or is a list if it has only those.
func parseJSON(text string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	v, err := jsonValue(dec, 0)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return v, nil
		}
		err = errors.New("there is something after its end")
	}
	return nil, fmt.Errorf("not valid JSON: %w", err)
}

func jsonValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, explained(err)
	}
	switch token := token.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, fmt.Errorf("more than %d tables are nested", maxDepth)
		}
		t := new(table)
		if token == '[' {
			t.list, err = jsonList(dec, depth)
		} else {
			err = jsonObject(dec, depth, t)
		}
		return t, err
	case json.Number:
		return number(token.String())
	default:
		return token, nil // a string, a bool or nil
	}
}

// explained returns an error without the text of the value.
func explained(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("a mistake at byte %d", syntax.Offset)
	}
	return errors.New("it ends early")
}

// jsonList reads a list after its opening bracket.
func jsonList(dec *json.Decoder, depth int) (list []any, err error) {
	for dec.More() {
		v, err := jsonValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err = dec.Token()
	if err != nil {
		err = explained(err)
	}
	return list, err
}

// jsonObject reads an object after its opening brace.
func jsonObject(dec *json.Decoder, depth int, t *table) error {
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return explained(err)
		}
		v, err := jsonValue(dec, depth+1)
		if err != nil {
			return err
		}
		key, _ := token.(string)
		inner, ok := v.(*table)
		switch {
		case ok && key == "__array":
			t.list = append(t.list, inner.list...)
		case ok && key == "__hash":
			if len(inner.list)%2 == 1 {
				return errors.New("a key in __hash has no value")
			}
			for i := 0; i < len(inner.list); i += 2 {
				if _, isTable := inner.list[i].(*table); isTable {
					return errors.New("a key in __hash is a table")
				}
				t.pairs = append(t.pairs, pair{inner.list[i], inner.list[i+1]})
			}
		default:
			t.pairs = append(t.pairs, pair{key, v})
		}
	}
	if _, err := dec.Token(); err != nil {
		return explained(err)
	}
	return nil
}
