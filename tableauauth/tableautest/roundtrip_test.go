// This file tests the in-memory transport and the listening server.

package tableautest

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowBody gives a chunk, and then nothing until it is closed.
type slowBody struct {
	closed chan struct{}
	first  bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	if !b.first {
		b.first = true
		return copy(p, "x"), nil
	}
	<-b.closed
	return 0, errors.New("closed")
}

func (b *slowBody) Close() error {
	close(b.closed)
	return nil
}

func TestCancelledUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Tableau: New(Options{}), t: t}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req := w.request("POST", "/api/3.27/auth/signin", &slowBody{closed: make(chan struct{})}).WithContext(ctx)
		if _, err := w.RoundTripper().RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if e := w.last(); !e.ClientGone || e.BodyBytes != 1 {
			t.Errorf("journal: gone %v, %d bytes", e.ClientGone, e.BodyBytes)
		}
	})
}

func bigWorld(t *testing.T) (*world, *http.Request) {
	w := &world{Tableau: New(Options{Workbooks: []Workbook{{Site: "finance", Name: "Big", Size: 1 << 40}}}), t: t}
	return w, w.get(sitePath("finance", "/workbooks/"+WorkbookLUID("finance", "Default", "Big")+"/content"), w.issue("finance", "alice"))
}

func TestClosedDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, req := bigWorld(t)
		resp, err := w.RoundTripper().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		synctest.Wait()
		if e := w.last(); !e.ClientGone || e.ResponseBytes < 1<<20 {
			t.Errorf("journal: gone %v, %d bytes", e.ClientGone, e.ResponseBytes)
		}
	})
}

// A handler that is not writing notices a closed body too.
func TestClosedBodyEndsTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Tableau: New(Options{}), t: t}
		w.AddFault(Fault{MidBodyDelay: time.Hour})
		start := time.Now()
		resp, err := w.RoundTripper().RoundTrip(w.get(current, w.issue("", "alice")))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		synctest.Wait()
		if len(w.Journal()) != 1 || time.Since(start) != 0 {
			t.Error("the handler goes on")
		}
	})
}

func TestCancelledDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, req := bigWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := w.RoundTripper().RoundTrip(req.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		cancel()
		if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("reading on: %v", err)
		}
	})
}

func TestCancelledBefore(t *testing.T) {
	w := newWorld(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.RoundTripper().RoundTrip(w.request("GET", current, nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := len(w.Journal()); n != 0 {
		t.Errorf("%d requests served", n)
	}
}

func TestRequestAsServersSeeIt(t *testing.T) {
	w := newWorld(t, Options{})
	req := w.request("POST", "/api/3.27/auth/signin?a=b", io.NopCloser(strings.NewReader("x")))
	req.Header.Set("User-Agent", "test")
	req.Trailer = http.Header{"X-Late": nil}
	resp, err := w.RoundTripper().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	e := w.last()
	if e.Host != "tableau.test" || e.Query != "a=b" || e.UserAgent != "test" || e.Path != "/api/3.27/auth/signin" ||
		len(e.Trailers) != 1 || e.BodyBytes != 1 || e.Status != 400 {
		t.Errorf("journal: %+v", e)
	}
}

func TestServers(t *testing.T) {
	plain, secure := NewServer(Options{}), NewTLSServer(Options{})
	defer plain.Close()
	defer secure.Close()
	if plain.CAPEM() != nil {
		t.Error("a certificate without TLS")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(secure.CAPEM()) {
		t.Error("CAPEM is no certificate")
	}
	client := secure.HTTP.Client()
	defer client.CloseIdleConnections()
	resp, err := client.Get(secure.URL + "/api/2.4/serverInfo")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if e := secure.Journal()[0]; e.Proto != "HTTP/2.0" || e.Status != 200 {
		t.Errorf("journal: %+v", e)
	}
}

func TestCloseLetsHangingRequestsGo(t *testing.T) {
	s := NewServer(Options{})
	fault := s.AddFault(Fault{Hang: true})
	done := make(chan error, 1)
	go func() {
		resp, err := http.Get(s.URL + current)
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	if err := fault.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	<-done
	http.DefaultClient.CloseIdleConnections()
}
