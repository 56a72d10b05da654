package caddymodule

// The tests of this file look for secrets where Caddy prints, dumps or keeps
// things, and where something has gone wrong.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func init() {
	caddy.RegisterModule(accident{})
	httpcaddyfile.RegisterHandlerDirective("test_accident", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return accident{}, nil
	})
}

// An accident is a handler behind tableau_auth that keeps the exchange of its
// request in the variable caught, and panics as the header X-Accident says.
type accident struct{}

var caught atomic.Pointer[exchange]

func (accident) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_accident", New: func() caddy.Module { return new(accident) }}
}

func (accident) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	x := exchangeFrom(r.Context())
	caught.Store(x)
	switch r.Header.Get("X-Accident") {
	case "request":
		panic(r)
	case "text":
		panic(fmt.Sprintf("%+v %v", r, r.Context()))
	case "exchange":
		panic(x)
	case "session":
		panic(x.binding.Session)
	case "all of it":
		panic(fmt.Sprintf("%+v %#v %+v", *x, x.binding, x.token))
	case "error":
		return caddyhttp.Error(http.StatusTeapot, fmt.Errorf("cannot go on with %+v as %v", r.Header, x.binding.Session))
	}
	return next.ServeHTTP(w, r)
}

// accidents is a configuration with an accident behind tableau_auth.
func (r *rig) accidents(s setup) setup {
	s.handlers = "\troute {\n\ttableau_auth " + r.URL + r.block(s) + "\n\ttest_accident\n" + r.proxyTo(r.URL, "") + "\n\t}"
	return s
}

// TestAccidentsPrintNoSecret: what panics behind us, with whatever it finds in the
// request, prints nothing that opens a door: no session, no secret, no password.
func TestAccidentsPrintNoSecret(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.load(t, r.accidents(setup{before: r.basicAuth(), global: "servers {\n\t\tlog_credentials\n\t}"}))
	token := r.signInAs(t, "alice")
	for _, kind := range []string{"request", "text", "exchange", "session", "all of it"} {
		if a, err := r.send(t.Context(), call{user: "alice", path: workbooks, header: headers("X-Accident", kind, headerAuth, token)}); err == nil {
			t.Errorf("%s: status %d, although the handler has panicked", kind, a.status)
		}
	}
	if a := r.get(t, "alice", workbooks, "X-Accident", "error"); a.status != http.StatusTeapot {
		t.Errorf("error: status %d", a.status)
	}
	await(t, "http.log.error", map[string]any{"status": http.StatusTeapot})
	printed := 0
	for line := range strings.SplitSeq(string(logged.bytes()), "\n") {
		if !strings.Contains(line, "panic serving") {
			continue
		}
		printed++
		for what, secret := range map[string]string{"the client's password": base64.StdEncoding.EncodeToString([]byte("alice:" + testPassword)), "the client's token": token} {
			if strings.Contains(line, secret) {
				t.Errorf("a panic prints %s", what)
			}
		}
	}
	if printed != 5 {
		t.Errorf("%d panics were printed, want 5", printed)
	}
	if a := r.get(t, "alice", workbooks); a.status != 200 {
		t.Errorf("afterwards: status %d, code %q", a.status, a.code())
	}
}

// signInAs signs in as clients do, and returns the token.
func (r *rig) signInAs(t *testing.T, user string) string {
	t.Helper()
	a := r.do(t, call{user: user, method: http.MethodPost, path: api + "/auth/signin", header: headers("Accept", jsonType, "Content-Type", jsonType), body: `{"credentials":{"name":"x","password":"x","site":{"contentUrl":""}}}`})
	var said struct{ Credentials struct{ Token string } }
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || said.Credentials.Token == "" {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	return said.Credentials.Token
}

// TestDumpsShowNoSecret: what holds the credential, the session and the request
// shows none of their secrets to whoever prints it, be it by reflection.
func TestDumpsShowNoSecret(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.load(t, r.accidents(setup{}))
	r.get(t, "alice", workbooks)
	x := caught.Load()
	if x == nil || x.binding.Session == nil {
		t.Fatal("no session was caught")
	}
	direct := new(DirectTrust)
	direct.ClientID = r.app.ClientID
	direct.Secrets = []AppSecret{{r.app.Secrets[0].ID, "{env." + testSecret + "}"}}
	if err := direct.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	sealer, err := tableauauth.NewSealer(tableauapi.NewSecret(r.app.Secrets[0].Value.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	signIn := tableauapi.Credentials{Name: "alice", Password: tableauapi.NewSecret(r.app.Secrets[0].Value.Reveal())}
	for name, v := range map[string]any{
		"secret": tableauapi.NewSecret(r.app.Secrets[0].Value.Reveal()), "session": x.binding.Session, "binding": &x.binding, "sign-in": signIn,
		"credential module": direct, "credential": direct.credential, "sealer": sealer, "exchange": x, "client": Client{Name: "etl", Hash: testHash()},
	} {
		t.Run(name, func(t *testing.T) { r.dump(t, v) })
	}
}

// dump prints v in every way that a log could.
func (r *rig) dump(t *testing.T, v any) {
	t.Helper()
	holder := struct {
		Exported   any
		unexported any
	}{v, v}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		r.noLeak(t, verb, fmt.Appendf(nil, verb+verb, v, holder))
	}
	var out bytes.Buffer
	level := zap.NewAtomicLevelAt(zap.DebugLevel)
	encoding := zap.NewProductionEncoderConfig()
	for _, encoder := range []zapcore.Encoder{zapcore.NewJSONEncoder(encoding), zapcore.NewConsoleEncoder(encoding)} {
		l := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&out), level))
		l.Info("m", zap.Any("any", v), zap.Reflect("reflect", holder), zap.Any("list", []any{v}), zap.Error(fmt.Errorf("failed: %v", v)))
		l.Sugar().Infow("m", "v", v)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("m", "v", v, "holder", holder)
	}
	if text, err := json.Marshal(v); err == nil {
		out.Write(text)
	}
	if _, ok := v.(*exchange); !ok { // behind which is a whole server
		out.WriteString(cmp.Diff(reflect.Zero(reflect.TypeOf(v)).Interface(), v, cmp.Exporter(func(reflect.Type) bool { return true })))
	}
	if out.Len() == 0 {
		t.Error("nothing was printed")
	}
	r.noLeak(t, "a log or a dump", out.Bytes())
}

// TestStorageHoldsNoSession: of Tableau's nothing is kept on disk; of ours, the
// key for client tokens, which nobody else can read.
func TestStorageHoldsNoSession(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	token := r.signInAs(t, "alice")
	r.get(t, "alice", workbooks, headerAuth, token)
	files := 0
	err := filepath.WalkDir(r.storage, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if path != r.storage && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others can read %s: %v", path, info.Mode())
		}
		if entry.IsDir() {
			return nil
		}
		files++
		content, err := os.ReadFile(path)
		r.noLeak(t, path, content)
		if strings.Contains(string(content), token) {
			t.Errorf("%s holds the token of a client", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestDamagedStorageOpensNothing: whatever becomes of the stored keys, no token
// opens that was not sealed with one of them, and none is another's.
func TestDamagedStorageOpensNothing(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	alice, bob := r.signInAs(t, "alice"), r.signInAs(t, "bob")
	path := filepath.Join(r.storage, sealKeysPath)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"truncated": good[:len(good)/2], "empty": {}, "not JSON": []byte("<html>"), "of another kind": []byte(`{"key":"0123456789abcdef"}`),
		"no key": []byte("[]"), "an empty key": []byte(`[{"key":""}]`), "another key": []byte(`[{"key":"0123456789abcdef0123456789abcdef","created":"2099-01-01T00:00:00Z"}]`),
		"large": bytes.Repeat([]byte(" "), 8<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			r.load(t, setup{})
			for user, token := range map[string]string{"alice": alice, "bob": bob} {
				if a := r.get(t, user, workbooks, headerAuth, token); a.code() != "token_invalid" {
					t.Errorf("%s: status %d, code %q, want token_invalid", user, a.status, a.code())
				}
			}
			if a := r.get(t, "alice", workbooks, headerAuth, r.signInAs(t, "alice")); a.status != 200 {
				t.Errorf("a new token: status %d, code %q", a.status, a.code())
			}
		})
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	r.load(t, setup{})
	if a := r.get(t, "alice", workbooks, headerAuth, alice); a.status != 200 {
		t.Errorf("with the keys as they were: status %d, code %q", a.status, a.code())
	}
	if a := r.get(t, "alice", workbooks, headerAuth, bob); a.code() != "token_invalid" {
		t.Errorf("with the token of another: status %d, code %q", a.status, a.code())
	}
}
