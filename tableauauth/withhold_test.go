package tableauauth

// This file has transports and servers repeat what they were sent, in every
// error that they can make of it.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// repeats are the errors of a transport that repeats what it was to send.
var repeats = map[string]func(sent []byte) error{
	"as it is":  func(sent []byte) error { return fmt.Errorf("cannot send %s", sent) },
	"quoted":    func(sent []byte) error { return fmt.Errorf("cannot send %q", sent) },
	"base64":    func(sent []byte) error { return errors.New(base64.StdEncoding.EncodeToString(sent)) },
	"hex":       func(sent []byte) error { return errors.New(hex.EncodeToString(sent)) },
	"half":      func(sent []byte) error { return fmt.Errorf("cannot send the rest of %s", sent[:len(sent)/2]) },
	"network":   func(sent []byte) error { return &net.OpError{Op: "write", Net: "tcp", Err: errors.New(string(sent))} },
	"time":      func(sent []byte) error { return &net.DNSError{Err: string(sent), Name: string(sent), IsTimeout: true} },
	"not sent":  func(sent []byte) error { return fmt.Errorf("%w: %s", ErrNotSent, sent) },
	"malformed": func(sent []byte) error { return fmt.Errorf("malformed HTTP response %q", sent) },
	"panic":     func(sent []byte) error { panic(string(sent)) },
}

// repeating is a transport that fails with what it was to send.
func repeating(failure func([]byte) error) http.RoundTripper {
	return roundTripFunc(func(req *http.Request) (*http.Response, error) {
		sent, err := httputil.DumpRequestOut(req, true)
		if err != nil {
			return nil, err
		}
		return nil, failure(sent)
	})
}

// A heard is everything that a pool says while it works.
type heard struct{ bytes.Buffer }

// options make a pool say it.
func (h *heard) options(base http.RoundTripper) PoolOptions {
	note := func(values ...any) { fmt.Fprintf(h, "%v %+v %#v\n", values, values, values) }
	return PoolOptions{
		Client: Client{Transport: base}, Logger: slog.New(slog.NewTextHandler(h, nil)),
		Observer: Observer{
			SignIn:  func(e SignInEvent) { note(e, e.Err) },
			SignOut: func(e SignOutEvent) { note(e, e.Err) },
		},
	}
}

// silentOn fails the test for every secret that was heard.
func (h *heard) silentOn(t *testing.T, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if s == "" || tableauapi.NewSecret(s).EchoedIn(h.String()) {
			t.Errorf("%q is in %s", s, h)
		}
	}
}

func TestErrorsOfSignInsRepeatNothing(t *testing.T) {
	const secret = `p&ss<w"rd'of+the/account`
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	pat, err := NewPAT(false, PersonalAccessToken{Name: "token", Secret: tableauapi.NewSecret(secret)})
	if err != nil {
		t.Fatal(err)
	}
	password, err := NewPassword(false, AccountPassword{Name: "svc", Password: tableauapi.NewSecret(secret)})
	if err != nil {
		t.Fatal(err)
	}
	for kind, credential := range map[string]Credential{"JWT": r.app, "PAT": pat, "password": password} {
		for name, failure := range repeats {
			t.Run(kind+"/"+name, func(t *testing.T) {
				var said heard
				var sent string
				pool, err := NewPool(Connection{Origin: testOrigin, Credential: credential}, said.options(repeating(func(b []byte) error {
					sent = string(b)
					return failure(b)
				})))
				if err != nil {
					t.Fatal(err)
				}
				_, _, err = pool.Get(t.Context(), grant("alice"))
				pool.Close(context.Background())
				if err == nil || sent == "" {
					t.Fatalf("error %v after %d bytes", err, len(sent))
				}
				fmt.Fprintf(&said, "%v %+v %#v", err, err, err)
				said.silentOn(t, presented(sent, secret)...)
				if got, want := errors.Is(err, ErrNotSent), name == "not sent"; got != want {
					t.Errorf("errors.Is(%v, ErrNotSent) is %t", err, got)
				}
				if failure, ok := errors.AsType[*SignInError](err); !ok || (failure.Reason == TimedOut) != (name == "time") {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// presented are the secrets of what was sent: those that are given, or its JWT.
func presented(sent, secret string) []string {
	_, rest, ok := strings.Cut(sent, `jwt="`)
	if !ok {
		return []string{secret}
	}
	jwt, _, _ := strings.Cut(rest, `"`)
	return strings.Split(jwt, ".")[1:] // the first part says how it is signed, and no more
}

func TestErrorsOfSignOutsAndProbesRepeatNothing(t *testing.T) {
	for name, failure := range repeats {
		t.Run(name, func(t *testing.T) {
			var said heard
			r := newRig(t, tableautest.Options{}, said.options(nil))
			s := r.session(t, "alice")
			client := &Client{Origin: testOrigin, Transport: repeating(failure)}
			if got := client.probe(t.Context(), s); got != unknown {
				t.Errorf("the probe says %v", got)
			}
			for _, err := range []error{
				client.signOut(t.Context(), s),
				client.ask(t.Context(), s, "/sessions/current", nil),
			} {
				if err == nil {
					t.Fatal("no error")
				}
				fmt.Fprintf(&said, "%v %+v %#v\n", err, err, err)
			}
			r.pool.UseClient(*client)
			r.pool.Close(t.Context())
			if !strings.Contains(said.String(), "session not signed out") {
				t.Errorf("the log has no failed sign-out: %s", &said)
			}
			said.silentOn(t, s.token.Reveal())
		})
	}
}

// What Tableau says may repeat it too, in whatever it answers.
func TestAnswersRepeatNothing(t *testing.T) {
	const luid = oneLUID
	for name, answer := range map[string]func(sent string) (int, string, string){
		"detail": func(s string) (int, string, string) {
			return 401, "", `<error code="401001"><detail>` + s + `</detail></error>`
		},
		"summary": func(s string) (int, string, string) {
			return 400, "", `<error code="400000"><summary>` + s[:20] + `</summary></error>`
		},
		"code":     func(s string) (int, string, string) { return 403, "", `<error code="` + s + `"/>` },
		"redirect": func(s string) (int, string, string) { return 302, "https://" + s + ".example/", "" },
		"element":  func(s string) (int, string, string) { return 200, "", `<` + s + `/>` },
		"site": func(s string) (int, string, string) {
			return 200, "", `<credentials token="abc"><site id="` + luid + `" contentUrl="` + s + `"/><user id="` + luid + `"/></credentials>`
		},
	} {
		t.Run(name, func(t *testing.T) {
			var said heard
			var jwt string
			base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
				sent, err := io.ReadAll(req.Body)
				if err != nil {
					return nil, err
				}
				jwt = strings.Join(presented(string(sent), ""), ".")
				status, location, body := answer(strings.ReplaceAll(jwt, "_", "-"))
				res, err := answering(status, `<tsResponse xmlns="http://tableau.com/api">`+body+`</tsResponse>`).RoundTrip(req)
				res.Header.Set("Location", location)
				return res, err
			})
			r := newRig(t, tableautest.Options{}, said.options(base))
			_, _, err := r.pool.Get(t.Context(), grant("alice"))
			if err == nil || jwt == "" {
				t.Fatalf("error %v", err)
			}
			fmt.Fprintf(&said, "%v %+v %#v", err, err, err)
			said.silentOn(t, strings.ReplaceAll(jwt, "_", "-"))
		})
	}
}

// A server's bytes come into the errors of net/http itself.
func TestMalformedAnswerRepeatsNothing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	tokens := make(chan string, 2)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 64<<10)
			n, _ := conn.Read(buf)
			_, rest, _ := strings.Cut(string(buf[:n]), "X-Tableau-Auth: ")
			token, _, _ := strings.Cut(rest, "\r\n")
			tokens <- token
			fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", token)
			conn.Close()
		}
	}()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	client := &Client{Origin: "http://" + listener.Addr().String(), Transport: transport}
	err = client.signOut(t.Context(), s)
	if token := <-tokens; err == nil || s.token.EchoedIn(err.Error()) || token != s.token.Reveal() {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(err.Error(), "withheld") {
		t.Errorf("got %v, want it withheld: the server does not repeat the token any more", err)
	}
}
