package tableauauth

// This file holds what the cross-user oracle sends both ways: pages whose every
// record carries the owner and the nonce of one request.

import (
	"io"
	"strconv"
)

const (
	// recordSize is small, so that hardly a read or a frame is without an owner.
	recordSize = 32
	recordTail = recordSize - 6 // where the number of the record begins
)

// A page is the content of one request or answer: the same 32 bytes again and
// again, but for their number. It is written by one reader or writer.
type page struct {
	record [recordSize]byte
	size   int // bytes
	at     int // bytes written or checked so far
}

// newPage returns the page of records that user has asked for with nonce.
func newPage(nonce uint64, user uint32, records int) page {
	p := page{size: records * recordSize}
	putHex(p.record[:16], nonce)
	p.record[16] = ' '
	putHex(p.record[17:25], uint64(user))
	p.record[25] = ' '
	p.record[recordSize-1] = '\n'
	return p
}

// rest returns what is to come of the record at p.at.
func (p *page) rest() []byte {
	putHex(p.record[recordTail:recordSize-1], uint64(p.at/recordSize))
	return p.record[p.at%recordSize:]
}

// Read implements io.Reader.
func (p *page) Read(b []byte) (n int, err error) {
	for n < len(b) && p.at < p.size {
		c := copy(b[n:min(len(b), n+p.size-p.at)], p.rest())
		n, p.at = n+c, p.at+c
	}
	if p.at == p.size {
		err = io.EOF
	}
	return n, err
}

// accepts reports whether b is what comes next of the page.
func (p *page) accepts(b []byte) bool {
	for len(b) > 0 {
		want := p.rest()
		n := min(len(want), len(b))
		if p.at+n > p.size || string(want[:n]) != string(b[:n]) {
			return false
		}
		b, p.at = b[n:], p.at+n
	}
	return true
}

func (p *page) whole() bool { return p.at == p.size }

// A wish is what the client asks the oracle's Tableau for: the query of the
// request.
type wish struct {
	nonce   uint64
	user    uint32
	records int // of the answer
	sends   int // records of the request's body
	mode    byte
}

// What the oracle's Tableau does with a request.
const (
	modePlain = 'p'
	modeHold  = 'h' // it answers nothing, until the client has gone
	modeHalf  = 'm' // it answers half, then waits until the client has gone
	modeEarly = 'e' // it answers before it takes the body
	modeOther = 'u' // it answers 401, for a reason of its own
)

const wishSize = 16 + 8 + 5 + 5 + 1

// query returns the wish as a query string.
func (w wish) query() string {
	var b [2 + wishSize]byte
	b[0], b[1] = 'o', '='
	putHex(b[2:18], w.nonce)
	putHex(b[18:26], uint64(w.user))
	putHex(b[26:31], uint64(w.records))
	putHex(b[31:36], uint64(w.sends))
	b[36] = w.mode
	return string(b[:])
}

// once is a header that only some requests have, with its value.
func (w wish) once() (value string, there bool) {
	if w.nonce&1 == 0 {
		return "", false
	}
	return w.query()[2:18], true
}

// overH1 tells whether the request goes to Tableau over HTTP/1.1, as one in eight
// does.
func (w wish) overH1() bool { return w.nonce>>61 == 0 }

// parseWish reads a query string.
func parseWish(query string) (w wish, ok bool) {
	if len(query) != 2+wishSize || query[:2] != "o=" {
		return w, false
	}
	var numbers [4]uint64
	at := 2
	for i, digits := range []int{16, 8, 5, 5} {
		n, err := strconv.ParseUint(query[at:at+digits], 16, 64)
		if err != nil {
			return w, false
		}
		numbers[i], at = n, at+digits
	}
	return wish{numbers[0], uint32(numbers[1]), int(numbers[2]), int(numbers[3]), query[at]}, true
}

// userName is the name of a user at Tableau.
func userName(user uint32) string {
	var b [9]byte
	b[0] = 'u'
	putHex(b[1:], uint64(user))
	return string(b[:])
}

// parseUser is the reverse of userName.
func parseUser(name string) (user uint32, ok bool) {
	if len(name) != 9 || name[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(name[1:], 16, 32)
	return uint32(n), err == nil
}

// putHex fills b with the lowest digits of n.
func putHex(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
}
