package tableauauth

// This file holds the clients of the cross-user oracle: they ask as anybody,
// leave in the middle, and check every byte they get.

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// oracleCounts are what a client counts, added up in the end.
type oracleCounts struct {
	Requests   int64 // begun
	Answers    int64 // of which every byte was checked: all of it, or all until the client left
	Whole      int64 // answers checked to their end
	Bytes      int64 // checked
	LeftBody   int64 // cancelled while the body was being sent
	LeftWait   int64 // cancelled while no answer was there
	LeftAnswer int64 // cancelled in the middle of an answer
	Ended      int64 // told that the session has ended, and that the body was not kept
	Twice      int64 // told so by Tableau: the session of the second attempt was ended, too
	H1, H2     int64 // answers by protocol
	Posts      int64 // answers to requests with a body
}

func (c *oracleCounts) add(d oracleCounts) {
	c.Requests += d.Requests
	c.Answers += d.Answers
	c.Whole += d.Whole
	c.Bytes += d.Bytes
	c.LeftBody += d.LeftBody
	c.LeftWait += d.LeftWait
	c.LeftAnswer += d.LeftAnswer
	c.Ended += d.Ended
	c.Twice += d.Twice
	c.H1 += d.H1
	c.H2 += d.H2
	c.Posts += d.Posts
}

// An oracleClient makes one request after the other, each as another user.
type oracleClient struct {
	transport http.RoundTripper
	h2        bool
	host      string
	random    *rand.Rand
	users     *rand.Zipf
	seen      []atomic.Bool // which users have asked
	id, n     uint64
	counts    oracleCounts
	faults    *faultLog
	buffer    [8192]byte
}

// leaving is when a client leaves.
type leaving int

const (
	stays leaving = iota
	leavesBody
	leavesWait
	leavesAnswer
)

// errLeaves is what a body ends with whose client leaves.
var errLeaves = errors.New("the client leaves")

// request makes one request and checks the answer.
func (c *oracleClient) request() {
	c.n++
	c.counts.Requests++
	asked, leaves := c.draw()
	c.seen[asked.user].Store(true)
	ctx, cancel := context.Background(), func() {}
	if leaves == leavesWait {
		var leave context.CancelFunc
		ctx, leave = context.WithCancel(ctx)
		timer := time.AfterFunc(time.Duration(c.random.Int64N(int64(2*time.Millisecond))), leave)
		cancel = func() { timer.Stop(); leave() }
	}
	defer cancel()

	res, err := c.transport.RoundTrip(c.build(ctx, asked, leaves))
	switch {
	case err == nil:
	case leaves == leavesBody && errors.Is(err, errLeaves):
		c.counts.LeftBody++
		return
	case leaves == leavesWait && errors.Is(err, context.Canceled):
		c.counts.LeftWait++
		return
	default:
		c.faults.note("no answer: %v", err)
		return
	}
	defer res.Body.Close()
	c.check(ctx, res, asked, leaves)
}

// draw decides what is asked for, and whether the client leaves: 30 in 100 do.
func (c *oracleClient) draw() (wish, leaving) {
	w := wish{
		// An odd factor leaves every number different from the others.
		nonce: (c.id<<40 | c.n) * 0x9e3779b97f4a7c15, user: uint32(c.users.Uint64()),
		records: c.records(), mode: modePlain,
	}
	leaves := stays
	if roll := c.random.IntN(10); roll < 3 {
		leaves = leavesBody + leaving(roll)
	}
	if leaves == leavesBody || c.random.IntN(10) < 4 {
		w.sends = c.records()
	}
	switch half := c.random.IntN(2) == 0; {
	case half && leaves == leavesWait:
		w.mode = modeHold
	case half && leaves == leavesAnswer:
		w.mode, w.records = modeHalf, max(w.records, 4)
	case leaves == stays && w.sends > 0 && c.h2 && !w.overH1() && c.random.IntN(4) == 0:
		w.mode = modeEarly // which HTTP/1.1 servers do not promise
	case leaves == stays && c.random.IntN(50) == 0:
		w.mode = modeOther
	}
	return w, leaves
}

// records draws a size: mostly 64 to 512 bytes, rarely 64 KiB.
func (c *oracleClient) records() int {
	switch roll := c.random.IntN(1000); {
	case roll < 2:
		return 64 << 10 / recordSize
	case roll < 50:
		return 16 + c.random.IntN(240)
	default:
		return 2 + c.random.IntN(15)
	}
}

func (c *oracleClient) build(ctx context.Context, asked wish, leaves leaving) *http.Request {
	req := &http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "https", Host: c.host, Path: "/api/3.24/sites/-/workbooks", RawQuery: asked.query()},
		Header: http.Header{headerOracleUser: {userName(asked.user)}, "User-Agent": {"oracle"}},
	}
	if value, there := asked.once(); there {
		req.Header[headerOnce] = []string{value}
	}
	if asked.sends > 0 {
		p := newPage(asked.nonce, asked.user, asked.sends)
		req.Method = http.MethodPost
		req.ContentLength = int64(p.size)
		body := &oracleBody{page: p, until: p.size}
		if leaves == leavesBody {
			body.until = c.random.IntN(p.size)
		}
		if c.random.IntN(4) == 0 {
			req.ContentLength = -1
		}
		req.Body = body
	}
	return req.WithContext(ctx)
}

// An oracleBody is a page of which only the beginning can be had, if the client
// leaves.
type oracleBody struct {
	page
	until int
}

// Read implements io.Reader.
func (b *oracleBody) Read(p []byte) (int, error) {
	if b.at == b.until && b.until < b.size {
		return 0, errLeaves
	}
	return b.page.Read(p[:min(len(p), b.until-b.at)])
}

// Close implements io.Closer.
func (*oracleBody) Close() error { return nil }

// check checks an answer: every byte until its end, or until the client leaves.
func (c *oracleClient) check(ctx context.Context, res *http.Response, asked wish, leaves leaving) {
	if !c.answered(ctx, res, asked, leaves) {
		return
	}
	want := newPage(asked.nonce, asked.user, asked.records)
	until := want.size
	switch {
	case leaves == leavesAnswer && asked.mode == modeHalf:
		until = 1 + c.random.IntN(want.size/2)
	case leaves == leavesAnswer:
		until = 1 + c.random.IntN(want.size)
	}
	for {
		n, err := res.Body.Read(c.buffer[:min(len(c.buffer), until-want.at+1)])
		if !want.accepts(c.buffer[:n]) {
			c.faults.note("user %s, nonce %x: byte %d of %d is another's: %q", userName(asked.user), asked.nonce, want.at, want.size, c.buffer[:min(n, 2*recordSize)])
			return
		}
		switch {
		case leaves == leavesAnswer && want.at >= until:
			c.counts.LeftAnswer++
		case err == nil:
			continue
		case err == io.EOF && want.whole():
			c.counts.Whole++
		case leaves == leavesWait && ctx.Err() != nil:
			c.counts.LeftAnswer++
		case leaves == leavesBody:
			c.counts.LeftBody++
		default:
			c.faults.note("user %s: %d of %d bytes, then %v", userName(asked.user), want.at, want.size, err)
		}
		c.counted(res, want.at, asked)
		return
	}
}

// answered reports whether res is the page that was asked for, as its head has
// it.
func (c *oracleClient) answered(ctx context.Context, res *http.Response, asked wish, leaves leaving) bool {
	if res.StatusCode == http.StatusOK || asked.mode == modeOther && len(res.Header[headerOracle]) > 0 {
		if got := res.Header[headerOracle]; len(got) != 1 || got[0] != asked.query() {
			c.faults.note("the head of another answer: %q instead of %s", got, asked.query())
			return false
		}
		return true
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
	switch why := res.Header.Get(headerRefused); {
	case leaves == leavesBody: // whatever came of half a request
		c.counts.LeftBody++
	case res.StatusCode == http.StatusUnauthorized && why == refusedEnded && asked.sends*recordSize > oracleReplay:
		c.counts.Ended++
	case res.StatusCode == http.StatusUnauthorized && why == "":
		c.counts.Twice++
	case leaves == leavesWait && ctx.Err() != nil:
		c.counts.LeftWait++
	default:
		c.faults.note(oracleStatusFault, res.StatusCode, why, text)
	}
	return false
}

func (c *oracleClient) counted(res *http.Response, bytes int, asked wish) {
	c.counts.Answers++
	c.counts.Bytes += int64(bytes)
	if res.ProtoMajor == 2 {
		c.counts.H2++
	} else {
		c.counts.H1++
	}
	if asked.sends > 0 {
		c.counts.Posts++
	}
}
