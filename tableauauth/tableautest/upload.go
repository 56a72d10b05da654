// This file takes files: in pieces through fileUploads, or in one request.

package tableautest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// paramUpload is the query parameter that names an upload.
const paramUpload = "uploadSessionId"

// maxUploads bounds how many uploads are remembered.
const maxUploads = 1000

// Upload describes a file that was sent to fileUploads.
type Upload struct {
	// ID is the upload session.
	ID         string
	Site, User string
	// Chunks is how many pieces it came in.
	Chunks int
	Bytes  int64
	// SHA256 of everything so far, in hexadecimal.
	SHA256 string
	// Published is the LUID of what was made of it, if anything.
	Published string
}

// upload is a file on its way. Its fields are guarded by mu.
type upload struct {
	mu sync.Mutex
	Upload
	sink
}

// sink counts and hashes what is written, and keeps it up to a limit.
type sink struct {
	hash  hash.Hash
	bytes int64
	keep  int64
	data  bytes.Buffer
}

func newSink(keep int64) sink { return sink{hash: sha256.New(), keep: keep} }

// Write never fails.
func (s *sink) Write(p []byte) (int, error) {
	_, _ = s.hash.Write(p)
	s.bytes += int64(len(p))
	if s.bytes <= s.keep {
		s.data.Write(p)
	} else {
		s.data = bytes.Buffer{}
	}
	return len(p), nil
}

// kept returns the content, or nil if it became too large to keep.
func (s *sink) kept() []byte {
	if s.bytes > s.keep {
		return nil
	}
	return append([]byte{}, s.data.Bytes()...)
}

func (s *sink) sum() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// Uploads lists the files that were sent, by upload session.
func (t *Tableau) Uploads() []Upload {
	c := t.content
	c.mu.RLock()
	list := make([]*upload, 0, len(c.uploads))
	for _, u := range c.uploads {
		list = append(list, u)
	}
	c.mu.RUnlock()
	out := make([]Upload, 0, len(list))
	for _, u := range list {
		u.mu.Lock()
		out = append(out, u.Upload)
		u.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Upload) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (x *exchange) initiateUpload() (answer, *apiError) {
	u := &upload{sink: newSink(x.t.opts.KeepBytes)}
	u.Upload = Upload{ID: uuid.NewString(), Site: x.site.ContentURL, User: x.user.Name, SHA256: u.sum()}
	c := x.t.content
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.uploads) >= maxUploads {
		clear(c.uploads)
	}
	c.uploads[u.ID] = u
	return answer{status: http.StatusCreated, nodes: []*node{u.node()}}, nil
}

func (u *upload) node() *node {
	return el("fileUpload", at(paramUpload, u.ID), at("fileSize", strconv.FormatInt(u.Bytes>>20, 10)))
}

// findUpload returns an upload of the same user at the same site.
func (x *exchange) findUpload(id string) (*upload, *apiError) {
	x.t.content.mu.RLock()
	u := x.t.content.uploads[id]
	x.t.content.mu.RUnlock()
	if u == nil || u.User != x.user.Name || u.Site != x.site.ContentURL {
		return nil, notFound(codeUploadNotFound, "Upload session")
	}
	return u, nil
}

func (x *exchange) appendUpload() (answer, *apiError) {
	u, err := x.findUpload(x.params["upload"])
	if err != nil {
		return answer{}, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	seen, err := x.readParts(func(name string, part io.Reader) error {
		if name != "tableau_file" {
			return discard(part)
		}
		_, err := io.Copy(&u.sink, part)
		return err
	})
	u.Bytes, u.SHA256 = u.sink.bytes, u.sum()
	if err != nil {
		return answer{}, err
	}
	if !slices.Contains(seen, "tableau_file") {
		return answer{}, badRequest(detailMalformed).because("no part is named tableau_file")
	}
	u.Chunks++
	return ok(u.node())
}

// partName finds the name in a Content-Disposition. It is not parsed as MIME,
// because Tableau's documentation leaves out the disposition type.
var partName = regexp.MustCompile(`(?:^|[;\s])name="?([^";]*)"?`)

// readParts reads a multipart/mixed body as it comes, and returns the names
// of its parts.
func (x *exchange) readParts(each func(name string, part io.Reader) error) ([]string, *apiError) {
	mediaType, params, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/mixed" || params["boundary"] == "" {
		return nil, badRequest("The Content-Type must be multipart/mixed with a boundary.")
	}
	var names []string
	parts := multipart.NewReader(x.r.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return names, badRequest(detailMalformed).because("reading a part: %v", err)
		}
		name := ""
		if match := partName.FindStringSubmatch(part.Header.Get("Content-Disposition")); match != nil {
			name = match[1]
		}
		names = append(names, name)
		if err := each(name, part); err != nil {
			return names, badRequest(detailMalformed).because("reading part %s: %v", name, err)
		}
	}
}

func discard(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
