// This file holds the clients: one that writes bytes of HTTP/1.1 and one that
// writes frames of HTTP/2, and what they read.

package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An answer is what came back for a message.
type answer struct {
	status int // 0 if the connection or the stream ended without one
	header http.Header
	body   string
	raw    []byte // all that was read for it, interim answers and trailers too
	ended  string // why there is none
	again  bool   // the server has not looked at the message
}

// get is the only value of a header, or "".
func (a *answer) get(name string) string { return a.header.Get(name) }

// A client sends messages, one after the other, on connections that it opens
// when it needs one.
type client struct {
	proxy *proxy
	h1    map[listener]*h1Conn
	h2    map[listener]*h2Conn
}

func newClient(p *proxy) *client {
	return &client{p, make(map[listener]*h1Conn), make(map[listener]*h2Conn)}
}

func (c *client) close() {
	for _, conn := range c.h1 {
		_ = conn.Close()
	}
	for _, conn := range c.h2 {
		_ = conn.Close()
	}
}

// send sends a message with its mark and reads the answer.
func (c *client) send(m *message, id string) (*answer, error) {
	if m.h2 {
		return c.sendFrames(m, id)
	}
	return c.sendBytes(m, id)
}

// An h1Conn is a connection of HTTP/1.1 that keeps what is read from it.
type h1Conn struct {
	net.Conn
	reader *bufio.Reader
	kept   bytes.Buffer
}

func newH1Conn(conn net.Conn) *h1Conn {
	c := &h1Conn{Conn: conn}
	c.reader = bufio.NewReader(io.TeeReader(conn, &c.kept))
	return c
}

// sendBytes uses the connection that is there, unless the server has closed it
// before a byte of an answer came.
func (c *client) sendBytes(m *message, id string) (*answer, error) {
	text := strings.ReplaceAll(m.bytes(), noID, id)
	for {
		conn, used := c.h1[m.to]
		if !used {
			raw, err := c.proxy.dial(m.to, false)
			if err != nil {
				return nil, err
			}
			conn = newH1Conn(raw)
			c.h1[m.to] = conn
		}
		a, reusable := conn.exchange(m.method, text)
		if !reusable || m.raw != "" || m.version != "" {
			_ = conn.Close()
			delete(c.h1, m.to)
		}
		if a.status != 0 || !used {
			return a, nil
		}
	}
}

// exchange writes a request and reads its answer. It is reusable if the server
// has not said that it closes.
func (c *h1Conn) exchange(method, text string) (a *answer, reusable bool) {
	_ = c.SetDeadline(time.Now().Add(patience))
	c.kept.Reset()
	a = new(answer)
	if _, err := io.WriteString(c, text); err != nil && !isClosed(err) {
		a.ended = err.Error()
		return a, false
	}
	for {
		res, err := http.ReadResponse(c.reader, &http.Request{Method: method})
		if err != nil {
			a.ended, a.raw = reason(err), bytes.Clone(c.kept.Bytes())
			return a, false
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(res.Body)
		a.status, a.header, a.body, a.raw = res.StatusCode, res.Header, string(body), bytes.Clone(c.kept.Bytes())
		return a, err == nil && !res.Close && res.StatusCode != http.StatusSwitchingProtocols && c.reader.Buffered() == 0
	}
}

// isClosed tells whether the other side has closed: an answer may be there.
func isClosed(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok
}

// reason is why there is no answer, in words that do not differ from run to run.
func reason(err error) string {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "nothing came"
	}
	return "closed"
}

// maxStreams is how many requests a connection of HTTP/2 is used for.
const maxStreams = 500

// An h2Conn is a connection of HTTP/2.
type h2Conn struct {
	net.Conn
	framer  *http2.Framer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	stream  uint32 // the last one
}

// openH2 opens a connection, with windows that need no attention.
func (c *client) openH2(to listener) (*h2Conn, error) {
	raw, err := c.proxy.dial(to, true)
	if err != nil {
		return nil, err
	}
	conn := &h2Conn{Conn: raw, framer: http2.NewFramer(raw, bufio.NewReader(raw)), decoder: hpack.NewDecoder(4096, nil)}
	conn.framer.AllowIllegalWrites = true
	conn.encoder = hpack.NewEncoder(&conn.encoded)
	if _, err := io.WriteString(raw, http2.ClientPreface); err != nil {
		return nil, err
	}
	window := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}
	return conn, errors.Join(conn.framer.WriteSettings(window), conn.framer.WriteWindowUpdate(0, 1<<30))
}

// sendFrames opens a new connection if the one that is there has been closed
// before anything came for this message.
func (c *client) sendFrames(m *message, id string) (*answer, error) {
	for {
		conn, used := c.h2[m.to]
		if used && conn.stream/2 >= maxStreams {
			_ = conn.Close()
			used = false
		}
		if !used {
			var err error
			if conn, err = c.openH2(m.to); err != nil {
				return nil, err
			}
			c.h2[m.to] = conn
		}
		a, reusable := conn.exchange(m, id)
		if !reusable {
			_ = conn.Close()
			delete(c.h2, m.to)
		}
		if a.status != 0 || !a.again || !used {
			return a, nil
		}
	}
}

// exchange sends a message on a stream of its own.
func (c *h2Conn) exchange(m *message, id string) (a *answer, reusable bool) {
	_ = c.SetDeadline(time.Now().Add(patience))
	if c.stream++; c.stream%2 == 0 {
		c.stream++
	}
	err := c.headers(m.frames(), id, m.body == "" && len(m.trailers) == 0)
	if err == nil && (m.body != "" || len(m.trailers) > 0) {
		err = c.framer.WriteData(c.stream, len(m.trailers) == 0, []byte(m.body))
	}
	if err == nil && len(m.trailers) > 0 {
		err = c.headers(lowered(m.trailers), id, true)
	}
	if err != nil && !isClosed(err) {
		return &answer{ended: err.Error()}, false
	}
	return c.read()
}

// headers writes a block of fields, in as many frames as it takes.
func (c *h2Conn) headers(fields []field, id string, end bool) error {
	c.encoded.Reset()
	for _, f := range fields {
		if f.value == noID {
			f.value = id
		}
		if err := c.encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value}); err != nil {
			return err
		}
	}
	const most = 16 << 10
	block := c.encoded.Bytes()
	head := block[:min(len(block), most)]
	block = block[len(head):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: head, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(len(block), most)]
		block = block[len(part):]
		err = c.framer.WriteContinuation(c.stream, len(block) == 0, part)
	}
	return err
}

// read reads frames until the stream has ended.
func (c *h2Conn) read() (a *answer, reusable bool) {
	a = &answer{header: http.Header{}}
	var block []byte
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			a.ended, a.again = reason(err), errors.Is(err, io.EOF)
			return a, false
		}
		mine := frame.Header().StreamID == c.stream
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.framer.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			if f.ErrCode == http2.ErrCodeNo {
				continue // once this stream has ended
			}
			a.ended, a.again = "GOAWAY "+f.ErrCode.String(), f.LastStreamID < c.stream
			return a, false
		case *http2.RSTStreamFrame:
			if mine {
				// After a whole answer it only says that nobody reads the rest
				// of the request.
				a.ended = "RST_STREAM " + f.ErrCode.String()
				return a, true
			}
		case *http2.HeadersFrame:
			block = append(block[:0], f.HeaderBlockFragment()...)
			if f.HeadersEnded() {
				err = a.take(c.decoder, block)
			}
		case *http2.ContinuationFrame:
			if block = append(block, f.HeaderBlockFragment()...); f.HeadersEnded() {
				err = a.take(c.decoder, block)
			}
		case *http2.DataFrame:
			if mine {
				a.body += string(f.Data())
				a.raw = append(a.raw, f.Data()...)
			}
		}
		if err != nil {
			a.ended = reason(err)
			return a, false
		}
		if mine && frame.Header().Flags.Has(http2.FlagDataEndStream) && isOfStream(frame) {
			return a, true
		}
	}
}

// isOfStream tells whether a frame is one of those that can end a stream.
func isOfStream(f http2.Frame) bool {
	return f.Header().Type == http2.FrameData || f.Header().Type == http2.FrameHeaders
}

// take decodes a block of an answer: an interim one, the answer or its trailers.
func (a *answer) take(decoder *hpack.Decoder, block []byte) error {
	fields, err := decoder.DecodeFull(block)
	if err != nil {
		return err
	}
	for _, f := range fields {
		a.raw = fmt.Appendf(a.raw, "%s: %s\r\n", f.Name, f.Value)
		switch {
		case f.Name == ":status":
			status, err := strconv.Atoi(f.Value)
			if err != nil {
				return err
			}
			if status >= 200 {
				a.status = status
			}
		case a.status != 0:
			a.header.Add(f.Name, f.Value)
		}
	}
	return nil
}
