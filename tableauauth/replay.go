package tableauauth

// This file keeps the beginning of a request body while it is being sent, so
// that the request can be sent again.

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// DefaultReplayBuffer is how much of a request body a [Transport] keeps, in
// bytes.
const DefaultReplayBuffer = 1 << 20

var errBodyGone = errors.New("the request body cannot be sent again: its beginning was not kept")

// A keptBody is a request body that can be read more than once, as long as no
// more than limit bytes of it were read. Nothing is read ahead: bytes are kept
// as the transport takes them.
//
// The transport may still be reading in the background when Tableau has
// answered early. That read is allowed to end: what it brings is kept for the
// next attempt too, so no byte is lost or sent twice.
type keptBody struct {
	src   io.ReadCloser
	limit int

	mu   sync.Mutex // held while reading from src
	kept pieces     // the first bytes read from src, until gone
	read int64      // bytes read from src
	end  error      // what src ended with

	gone     atomic.Bool // kept is not the whole of what was read
	settled  atomic.Bool // there will be no further attempt
	current  atomic.Pointer[bodyAttempt]
	unwanted atomic.Bool // close was called
	closing  sync.Once
}

// keepBody returns the body of req for repeated sending, or nil if it has none.
func keepBody(req *http.Request, limit int) *keptBody {
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	return &keptBody{src: req.Body, limit: limit}
}

// sure reports whether a body of this Content-Length (-1: unknown) will be kept
// whole.
func (k *keptBody) sure(length int64) bool {
	return k == nil || length >= 0 && length <= int64(k.limit)
}

// attempt returns the body from its beginning. Earlier attempts can read no
// more.
func (k *keptBody) attempt() io.ReadCloser {
	if k == nil {
		return nil
	}
	a := &bodyAttempt{body: k}
	k.current.Store(a)
	return a
}

// rewound is attempt as http.Request's GetBody.
func (k *keptBody) rewound() (io.ReadCloser, error) {
	if !k.again() {
		return nil, errBodyGone
	}
	return k.attempt(), nil
}

// again reports whether the body can still be sent from its beginning. It does
// not wait for a read under way: should that read be one byte too many, the
// next attempt fails instead of sending half a body.
func (k *keptBody) again() bool { return k == nil || !k.gone.Load() }

// settle says that there will be no further attempt: nothing more is kept, and
// the body is closed as soon as the last attempt is.
func (k *keptBody) settle() {
	if k == nil {
		return
	}
	k.settled.Store(true)
	if a := k.current.Load(); a == nil || a.closed.Load() {
		k.close()
	}
}

// close closes the source, or leaves it to the read that is under way: what
// Caddy wraps a body in must not be read and closed at the same time.
func (k *keptBody) close() {
	k.unwanted.Store(true)
	if k.mu.TryLock() {
		k.unlock()
	}
}

// unlock ends a read, and closes the source if that was left to it, or is being
// asked for in this moment.
func (k *keptBody) unlock() {
	for {
		if k.unwanted.Load() {
			k.closing.Do(func() {
				_ = k.src.Close()
				k.gone.Store(true)
				k.kept.drop()
			})
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		if !k.unwanted.Load() || !k.mu.TryLock() {
			return
		}
	}
}

// keep stores what was read from src. The lock is held.
func (k *keptBody) keep(b []byte) {
	k.read += int64(len(b))
	if k.gone.Load() {
		return
	}
	if k.kept.length+len(b) > k.limit || k.settled.Load() {
		k.kept.drop()
		k.gone.Store(true)
		return
	}
	k.kept.add(b)
}

// pieces are bytes that were kept, in parts that are used again for other
// bodies: to begin with a little and to grow would copy each byte many times,
// and to begin with what a client announces would be its to waste.
type pieces struct {
	parts  []*[pieceSize]byte
	length int
}

const pieceSize = 16 << 10

var piecePool = sync.Pool{New: func() any { return new([pieceSize]byte) }}

func (p *pieces) add(b []byte) {
	for len(b) > 0 {
		at := p.length % pieceSize
		if at == 0 {
			p.parts = append(p.parts, piecePool.Get().(*[pieceSize]byte))
		}
		n := copy(p.parts[len(p.parts)-1][at:], b)
		p.length += n
		b = b[n:]
	}
}

// copy copies what is behind off, at most to the end of a part.
func (p *pieces) copy(to []byte, off int) int {
	i, at := off/pieceSize, off%pieceSize
	return copy(to, p.parts[i][at:min(pieceSize, p.length-i*pieceSize)])
}

// drop gives the parts back. Nobody may be reading them.
func (p *pieces) drop() {
	for _, part := range p.parts {
		piecePool.Put(part)
	}
	*p = pieces{}
}

// A bodyAttempt is the body of one sending.
type bodyAttempt struct {
	body   *keptBody
	off    int64 // bytes read by this attempt
	closed atomic.Bool
}

// Read implements io.Reader: first what was kept, then the source.
func (a *bodyAttempt) Read(p []byte) (n int, err error) {
	k := a.body
	k.mu.Lock()
	defer k.unlock()
	switch {
	case k.current.Load() != a || a.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case a.off < k.read && k.gone.Load():
		return 0, errBodyGone
	case a.off < k.read:
		n = k.kept.copy(p, int(a.off))
	case k.end != nil:
		return 0, k.end
	default:
		n, k.end = k.src.Read(p)
		k.keep(p[:n])
		err = k.end
	}
	a.off += int64(n)
	return n, err
}

// Close implements io.Closer. The source stays open for a further attempt.
func (a *bodyAttempt) Close() error {
	a.closed.Store(true)
	if k := a.body; k.settled.Load() && k.current.Load() == a {
		k.close()
	}
	return nil
}
