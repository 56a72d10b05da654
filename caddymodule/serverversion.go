package caddymodule

// This file finds out which version of the REST API a server has: sessions that
// are opened for groups of operations must not ask for scopes that it does not
// know.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

const (
	// versionLife is how long a version is believed: servers are upgraded
	// while this one runs.
	versionLife = time.Hour
	// versionRetry is how long nothing is asked after a failure.
	versionRetry = time.Minute
	// versionPatience bounds the question, and so how long requests may wait
	// for the first answer.
	versionPatience = 5 * time.Second

	// serverInfoPath is of the first version that has serverinfo.
	serverInfoPath = "/api/2.4/serverinfo"
	// maxServerInfo is how much of the answer is read, in bytes.
	maxServerInfo = 64 << 10
)

// A serverVersion asks a server for its version now and then.
type serverVersion struct {
	ctx    context.Context // ends with the configuration
	ask    func(context.Context) (string, error)
	logger *zap.Logger

	mu     sync.Mutex
	known  string        // "" as long as there was no answer
	next   time.Time     // when to ask again
	asking chan struct{} // closed when the question under way has ended
}

// newServerVersion asks the server at origin by transport.
func newServerVersion(ctx context.Context, origin string, transport http.RoundTripper, logger *zap.Logger) *serverVersion {
	return &serverVersion{ctx: ctx, logger: logger, ask: func(ctx context.Context) (string, error) {
		return askVersion(ctx, origin, transport)
	}}
}

// get returns the version, or "" if it cannot be had. Only as long as there has
// been no answer does it wait; later, the one there is holds until there is
// another.
func (s *serverVersion) get(ctx context.Context) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking == nil && !time.Now().Before(s.next) {
		s.asking = make(chan struct{})
		go s.renew(s.asking)
	}
	if asking := s.asking; asking != nil && s.known == "" {
		s.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	return s.known
}

// renew asks once.
func (s *serverVersion) renew(done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(s.ctx, versionPatience)
	defer cancel()
	version, err := s.ask(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = nil
	if err != nil {
		s.next = time.Now().Add(versionRetry)
		s.logger.Warn("the version of Tableau's REST API is not known, so sessions may get fewer scopes than their group has",
			zap.String("believed", s.known), zap.Error(err))
		return
	}
	s.known, s.next = version, time.Now().Add(versionLife)
}

// askVersion reads serverinfo, which needs no session.
func askVersion(ctx context.Context, origin string, transport http.RoundTripper) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+serverInfoPath, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", tableauapi.XML.ContentType())
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("serverinfo: HTTP %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxServerInfo+1))
	if err != nil {
		return "", err
	}
	if len(body) > maxServerInfo {
		return "", errors.New("serverinfo: the answer is too large")
	}
	info, err := tableauapi.DecodeServerInfo(body)
	return info.RESTAPIVersion, err
}
