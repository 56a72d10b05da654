package caddymodule

// This file checks that nothing which Tableau repeats gets into the audit file.

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

func TestErrorFields(t *testing.T) {
	const token = "abcdefgh|ijklmnop|0000"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, goodOrigin+workbooks, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(headerAuth, token)
	for _, c := range []struct {
		err         error
		class, want string
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, "network", "connection refused"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout", "i/o timeout"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "certificate", "unknown authority"},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "network", "ended early"},
		{context.Canceled, "canceled", ""},
		{fmt.Errorf("malformed HTTP response %q", token), "protocol", ""},
		{&net.OpError{Op: "dial", Err: errors.New(token)}, "network", ""},
	} {
		text := fmt.Sprint(errorFields(req, c.err))
		if !strings.Contains(text, "err_class="+c.class) || !strings.Contains(text, c.want) || strings.Contains(text, token) {
			t.Errorf("%v: %s", c.err, text)
		}
	}
	const password = `p&ss"word of the account`
	given := tableauapi.Credentials{Name: "svc", Password: tableauapi.NewSecret(password)}.Encode(tableauapi.XML)
	signIn, err := http.NewRequestWithContext(t.Context(), http.MethodPost, goodOrigin+api+"/auth/signin", bytes.NewReader(given))
	if err != nil {
		t.Fatal(err)
	}
	for _, echo := range []string{password, string(given), fmt.Sprintf("%q", given), base64.StdEncoding.EncodeToString(given)} {
		text := fmt.Sprint(errorFields(signIn, &net.OpError{Op: "write", Err: errors.New(echo)}))
		if tableauapi.NewSecret(password).EchoedIn(text) || !strings.Contains(text, "withheld") {
			t.Errorf("of a sign-in: %s", text)
		}
	}
	if withoutToken(req, "id "+token) != "" || withoutToken(req, "id") != "id" {
		t.Error("withoutToken")
	}
}
