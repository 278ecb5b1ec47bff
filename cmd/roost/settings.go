package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"roost/server"
	"roost/session"
	"roost/xep"
)

// A flag of roost serve is declared once, as a field of serveFlags. In addition to kong's
// tags, these tags describe it:
//
//	sets:"Poller.Outbox"  the field of server.Config that the flag sets, and that has
//	                      its default
//	range:"1ms..1s"       the smallest and the largest value, as on the command line
//	off:""                the flag can be "off", or -1 (-1s): a negative value in the
//	                      configuration, or "" for an address
//	off:"0"               the same, and 0 also means off
//
// A flag with a fixed set of values lists them in words.

// word is a word on the command line and the value in server.Config that it stands for.
type word struct {
	text  string
	value any
}

// words are the values of the flags that accept words, by flag.
var words = map[string][]word{
	"conflict":    {{"kick-old", session.KickOld}, {"refuse-new", session.RefuseNew}, {"rename-new", session.RenameNew}},
	"deliver":     {{"all", false}, {"highest", true}},
	"invitations": {{"off", xep.InviteNobody}, {"operators", xep.InviteOperators}, {"users", xep.InviteUsers}},
	"slow-reader": {{"close", false}, {"detach", true}},
	"tls-min":     {{"1.2", uint16(tls.VersionTLS12)}, {"1.3", uint16(tls.VersionTLS13)}},
	"tls-lean":    {{"true", false}, {"false", true}}, // the field is StdTLS, the opposite
}

// setting is a flag of roost serve: its field in serveFlags.
type setting struct {
	flag  string // without dashes
	tag   reflect.StructTag
	value reflect.Value
}

// settings returns the flags of roost serve with their values.
func (c *serveFlags) settings() (all []setting) {
	v := reflect.ValueOf(c).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		if !f.Anonymous {
			all = append(all, setting{flagName(f), f.Tag, v.FieldByIndex(f.Index)})
		}
	}
	return all
}

var wordBreak = regexp.MustCompile(`([a-z])([A-Z])`)

// flagName returns the name that kong derives from the name of a field.
func flagName(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	return strings.ToLower(wordBreak.ReplaceAllString(f.Name, "$1-$2"))
}

// serverConfig converts flags to the server's configuration.
func (c *serveFlags) serverConfig(log *slog.Logger) server.Config {
	cfg := server.Config{Logger: log}
	for _, s := range c.settings() {
		if path := s.tag.Get("sets"); path != "" {
			s.set(reflect.ValueOf(&cfg).Elem(), path)
		}
	}
	return cfg
}

// set assigns the value of a flag to a field of the configuration or, for a path that
// ends in [KEY], to an entry of the map in that field.
func (s setting) set(cfg reflect.Value, path string) {
	path, key, _ := strings.Cut(strings.TrimSuffix(path, "]"), "[")
	field, value := fieldAt(cfg, path), s.value
	for _, w := range words[s.flag] {
		if w.text == fmt.Sprint(value) {
			value = reflect.ValueOf(w.value)
			break
		}
	}
	if value.IsZero() {
		return // keep the default
	}
	if key == "" {
		field.Set(value.Convert(field.Type()))
		return
	}
	if field.IsNil() {
		field.Set(reflect.MakeMap(field.Type()))
	}
	field.SetMapIndex(reflect.ValueOf(key), value)
}

// fieldAt returns the field of a struct at a path such as Poller.Outbox.
func fieldAt(v reflect.Value, path string) reflect.Value {
	for name := range strings.SplitSeq(path, ".") {
		v = v.FieldByName(name)
	}
	return v
}

// bindSettings gives the server flags the defaults of the configuration, their words, and
// the word "off".
func bindSettings(k *kong.Kong) error {
	defaults := reflect.ValueOf(server.Config{}.WithDefaults())
	return kong.Visit(k.Model.Node, func(node kong.Visitable, next kong.Next) error {
		f, ok := node.(*kong.Flag)
		if !ok {
			return next(nil)
		}
		if path := f.Tag.Get("sets"); path != "" && !f.HasDefault && !strings.Contains(path, "[") {
			f.Default = settingDefault(f, fieldAt(defaults, path))
			f.HasDefault = f.Default != ""
		}
		if all := words[f.Name]; len(all) > 0 && f.Target.Kind() == reflect.String {
			var texts []string
			for _, w := range all {
				texts = append(texts, w.text)
			}
			f.Enum = strings.Join(texts, ",")
		}
		if f.Tag.Has("off") {
			f.Mapper = offMapper{f.Mapper, f.Tag.Get("off") == "0"}
		}
		return next(nil)
	})
}

// settingDefault formats the default of a flag, taken from the configuration, as it is
// written on the command line. It returns "" if there is none.
func settingDefault(f *kong.Flag, field reflect.Value) string {
	for _, w := range words[f.Name] {
		if w.value == field.Interface() {
			return w.text
		}
	}
	switch {
	case field.Kind() == reflect.String, field.Kind() == reflect.Bool && !field.Bool():
		return "" // paths and URLs that depend on other flags, and features that are off by default
	case field.Kind() == reflect.Slice:
		return strings.Join(field.Interface().([]string), ",")
	case field.IsZero() && f.Tag.Has("off"):
		return "off"
	}
	return valueText(field.Convert(f.Target.Type()))
}

// off is the value that turns off a number or a size, offTime that for a time.
const (
	off     = -1
	offTime = -time.Second
)

// offMapper parses the word "off" as the value that turns a flag off. If zero is set, 0
// means off as well.
type offMapper struct {
	kong.Mapper
	zero bool
}

// Decode implements kong's Mapper.
func (m offMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	word := ctx.Scan.Peek().Value == "off"
	if word {
		ctx.Scan.Pop()
	} else if err := m.Mapper.Decode(ctx, target); err != nil {
		return err
	}
	if word || m.zero && target.IsZero() {
		target.Set(offValue(target.Type()))
	}
	return nil
}

// offValue returns the value of a flag of this type that means off.
func offValue(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch {
	case t == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(offTime))
	case v.CanInt():
		v.SetInt(off)
	}
	return v
}

// valueText formats the value of a flag as it is written on the command line.
func valueText(v reflect.Value) string {
	switch v := v.Interface().(type) {
	case byteSize:
		return sizeText(v)
	case time.Duration:
		return timeText(v)
	}
	return fmt.Sprint(v)
}

// parseValue parses a number, a size or a time.
func parseValue(text string, t reflect.Type) (int64, error) {
	switch t {
	case reflect.TypeFor[byteSize]():
		var b byteSize
		err := b.UnmarshalText([]byte(text))
		return int64(b), err
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		return int64(d), err
	}
	return strconv.ParseInt(text, 10, 64)
}

// problem returns what is wrong with the value of a flag that has a range, or "".
func (s setting) problem() string {
	limits := s.tag.Get("range")
	if limits == "" {
		return ""
	}
	first, last, _ := strings.Cut(limits, "..")
	least, err1 := parseValue(first, s.value.Type())
	most, err2 := parseValue(last, s.value.Type())
	if err1 != nil || err2 != nil {
		panic("roost: BUG: --" + s.flag + " has the range " + limits)
	}
	if n := s.value.Int(); least <= n && n <= most {
		return ""
	}
	allowed := first + " to " + last
	if _, ok := s.tag.Lookup("off"); ok {
		if s.value.Equal(offValue(s.value.Type())) {
			return ""
		}
		allowed += ", or off"
	}
	return "--" + s.flag + " must be " + allowed + ", not " + valueText(s.value)
}
