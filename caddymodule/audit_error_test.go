package caddymodule

// This file checks that nothing which Tableau repeats gets into the audit file.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
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
	if withoutToken(req, "id "+token) != "" || withoutToken(req, "id") != "id" {
		t.Error("withoutToken")
	}
}
