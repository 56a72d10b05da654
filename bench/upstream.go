package main

// This file holds the servers that every variant is measured with, each run as
// a process of its own: the Tableau of the benchmark, the token service that
// forward_auth asks, and a reverse proxy in ten lines of Go.

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	headerUser  = "Remote-User"    // who sends a request
	headerToken = "X-Tableau-Auth" //nolint:gosec // a name
	headerOwner = "X-Owner"        // of an answer: whose token its request had

	siteName = "bench"
	siteLUID = "9a8b7c6d-1111-4222-8333-444455556666"
	bookLUID = "0b1c2d3e-5555-4666-8777-888899990000"

	apiPath      = "/api/3.24"
	listPath     = apiPath + "/sites/" + siteLUID + "/workbooks"
	downloadPath = apiPath + "/sites/" + siteLUID + "/workbooks/" + bookLUID + "/content"
	uploadPath   = apiPath + "/sites/" + siteLUID + "/fileUploads/" + bookLUID

	answerBytes = 1 << 10
	bodyBytes   = 10_000_000

	// shared is the owner of the token that some proxies put into all requests.
	shared = "shared"
)

// userName is the name of a user by number.
func userName(n int) string { return fmt.Sprintf("u%06d", n) }

// tokenOf is the token of a user, as long as Tableau's.
func tokenOf(user string) string { return user + tokenTail }

const tokenTail = "|9f86d081884c7d659a2feaa0c55ad015|" + siteLUID

// ownerOf is whose token a request has. Without one it is who sends it, so that
// a proxy that knows no users can be checked for mixing them up as well.
func ownerOf(h http.Header) string {
	if token := h.Get(headerToken); token != "" {
		owner, _, _ := strings.Cut(token, "|")
		return owner
	}
	return h.Get(headerUser)
}

// newUpstream is the Tableau of the benchmark: it signs everybody in, and says in
// every answer whose token the request had.
func newUpstream() http.Handler {
	page := []byte(`{"pagination":{"pageNumber":"1","pageSize":"100","totalAvailable":"1"},"workbooks":{"workbook":[`)
	page = append(page, strings.Repeat(" ", answerBytes-len(page)-3)+"]}}"...)
	large := make([]byte, 256<<10)

	mux := http.NewServeMux()
	mux.HandleFunc("POST "+"/api/{version}/auth/signin", signIn)
	mux.HandleFunc("POST "+"/api/{version}/auth/signout", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET "+downloadPath, func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, "application/octet-stream", bodyBytes)
		for left := bodyBytes; left > 0; left -= len(large) {
			if _, err := w.Write(large[:min(left, len(large))]); err != nil {
				return // the client has left
			}
		}
	})
	mux.HandleFunc("PUT "+uploadPath, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != bodyBytes {
			http.Error(w, fmt.Sprintf("%d bytes, %v", n, err), http.StatusBadRequest)
			return
		}
		answer(w, r, "application/json", len(page))
		_, _ = w.Write(page)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, "application/json", len(page))
		_, _ = w.Write(page)
	})
	return mux
}

func answer(w http.ResponseWriter, r *http.Request, mediaType string, size int) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(size))
	h.Set(headerOwner, ownerOf(r.Header))
}

// signIn signs in whom the JWT names. That it is genuine does not matter here.
func signIn(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Credentials struct {
			JWT string `xml:"jwt,attr"`
		} `xml:"credentials"`
	}
	var claims jwt.RegisteredClaims
	err := xml.NewDecoder(r.Body).Decode(&request)
	if err == nil {
		_, _, err = jwt.NewParser().ParseUnverified(request.Credentials.JWT, &claims)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	fmt.Fprintf(w, `<tsResponse xmlns="http://tableau.com/api"><credentials token="%s"><site id="%s" contentUrl="%s"/><user id="%s"/></credentials></tsResponse>`,
		tokenOf(claims.Subject), siteLUID, siteName, bookLUID)
}

// newTokenService answers who has which token, as forward_auth asks it.
func newTokenService(users int) http.Handler {
	tokens := tokensByUser(users)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := tokens[r.Header.Get(headerUser)]
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set(headerToken, token)
	})
}

// newReverseProxy is the standard library's, with a look-up of the token.
func newReverseProxy(upstream string, users int) http.Handler {
	tokens := tokensByUser(users)
	target := &url.URL{Scheme: "http", Host: upstream}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set(headerToken, tokens[r.In.Header.Get(headerUser)])
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true},
		ErrorLog:  log.Default(),
	}
}

func tokensByUser(users int) map[string]string {
	tokens := make(map[string]string, users)
	for n := range users {
		tokens[userName(n)] = tokenOf(userName(n))
	}
	return tokens
}

// serve serves until ctx ends.
func serve(ctx context.Context, address string, handler http.Handler) error {
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
