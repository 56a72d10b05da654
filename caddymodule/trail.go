package caddymodule

// This file prints the record of requests for people: one line each.

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TrailEncoder writes the records of the logger `tableau.audit` as one line for
// people: when, who, as whom, on which site, what, the status, and how the
// request came by its session. Entries of other loggers are left out.
//
//	log trail {
//		include tableau.audit
//		output  stdout
//		format  tableau_trail
//	}
type TrailEncoder struct {
	*zapcore.MapObjectEncoder `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (TrailEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.encoders.tableau_trail",
		New: func() caddy.Module { return &TrailEncoder{zapcore.NewMapObjectEncoder()} },
	}
}

// UnmarshalCaddyfile sets up the encoder from Caddyfile tokens. Syntax:
//
//	format tableau_trail
func (*TrailEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name
	if d.NextArg() || d.NextBlock(0) {
		return d.Err("tableau_trail takes no options")
	}
	return nil
}

// Clone implements zapcore.Encoder.
func (e *TrailEncoder) Clone() zapcore.Encoder {
	clone := zapcore.NewMapObjectEncoder()
	maps.Copy(clone.Fields, e.Fields)
	return &TrailEncoder{clone}
}

// trailBuffers holds the lines under way.
var trailBuffers = buffer.NewPool()

// EncodeEntry implements zapcore.Encoder.
func (e *TrailEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line := trailBuffers.Get()
	if entry.Message != auditMessage {
		return line, nil
	}
	all := e.Clone().(*TrailEncoder)
	for _, f := range fields {
		f.AddTo(all)
	}
	_, err := line.WriteString(all.line(entry.Time))
	return line, err
}

// line is the record in one line. Everything in it that a client chose is
// quoted where it holds more than plain printable characters.
func (e *TrailEncoder) line(at time.Time) string {
	who := e.name("identity", "nobody")
	if user := e.name("user", ""); user != "" {
		who += " as " + user
	}
	where := "no site"
	if _, ok := e.Fields["session"]; ok {
		where = "site " + e.text("site", "Default")
	}
	what := e.text("method", "?") + " " + e.text("route", "(not an API path)")
	if operation := e.text("operation", ""); operation != "" {
		what = operation + "  " + what
	}
	status, _ := e.Fields["status"].(int64)
	line := fmt.Sprintf("%s  %s, %s  %s  %d  %s", at.Format(time.TimeOnly), who, where, what, status, e.text("how", ""))
	if code := e.text("error", ""); code != "" {
		line += ", " + code
	}
	return line + "\n"
}

// name is text that is quoted if it could be taken for more than a name.
func (e *TrailEncoder) name(name, otherwise string) string {
	s := e.text(name, otherwise)
	if strings.ContainsAny(s, " ,") && s[0] != '"' {
		return `"` + s + `"`
	}
	return s
}

func (e *TrailEncoder) text(name, otherwise string) string {
	s, _ := e.Fields[name].(string)
	if s == "" {
		return otherwise
	}
	if q := fmt.Sprintf("%+q", s); len(q) != len(s)+2 || strings.Contains(s, "  ") {
		return q
	}
	return s
}

// Interface guards
var (
	_ zapcore.Encoder       = (*TrailEncoder)(nil)
	_ caddyfile.Unmarshaler = (*TrailEncoder)(nil)
)
