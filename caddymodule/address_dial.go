package caddymodule

// This file makes the connections to Tableau. Caddy's transport keeps its dialer
// to itself, so the one here stands in its place, with the same options and one
// more: each address is judged when it is about to be connected to, so that no
// second answer of a name service can come between.

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

var (
	errSkipVerify    = errors.New("transport: tls_insecure_skip_verify would let anybody pose as Tableau and take the sessions: trust the server's CA with tls_trust_pool instead")
	errServerName    = errors.New("transport: tls_server_name with a placeholder would let a request say whose certificate is believed: write the name that is in Tableau's certificate")
	errHTTP3         = errors.New("transport: versions 3: addresses of QUIC connections cannot be checked before they are used: leave versions out")
	errProxyProtocol = errors.New("transport: proxy_protocol: connections are shared, so that they belong to no client: leave it out")
)

// checkConnection refuses options of t with which Tableau could be anybody or
// anywhere.
func checkConnection(t *reverseproxy.HTTPTransport) error {
	switch {
	case t.TLS != nil && t.TLS.InsecureSkipVerify:
		return errSkipVerify
	case t.TLS != nil && strings.Contains(t.TLS.ServerName, "{"):
		return errServerName
	case slices.Contains(t.Versions, "3"):
		return errHTTP3
	case t.ProxyProtocol != "":
		return errProxyProtocol
	default:
		return nil
	}
}

// A dialer connects where its rule lets it.
type dialer struct {
	net.Dialer

	rule                      addressRule
	readTimeout, writeTimeout time.Duration
}

// guard has t, which is provisioned, connect only where rule lets it. What goes
// through a forward proxy is connected by that: the rule is then about the
// address of the proxy.
func guard(t *reverseproxy.HTTPTransport, rule addressRule) error {
	d := &dialer{
		Dialer:       net.Dialer{Timeout: time.Duration(t.DialTimeout), FallbackDelay: time.Duration(t.FallbackDelay)},
		rule:         rule,
		readTimeout:  time.Duration(t.ReadTimeout),
		writeTimeout: time.Duration(t.WriteTimeout),
	}
	if t.KeepAlive != nil {
		interval := time.Duration(t.KeepAlive.ProbeInterval)
		d.KeepAlive, d.KeepAliveConfig = interval, net.KeepAliveConfig{Enable: interval > 0, Interval: interval}
	}
	var err error
	if d.LocalAddr, err = localAddress(t.LocalAddress); err != nil {
		return err
	}
	if d.Resolver, err = resolver(t); err != nil {
		return err
	}
	t.Transport.DialContext = d.dial
	return nil
}

// dial is for http.Transport.DialContext.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, dialError{err}
	}
	guarded := d.Dialer
	guarded.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return d.rule.judgeTarget(host, address)
	}
	conn, err := guarded.DialContext(ctx, network, address)
	if _, refused := errors.AsType[*addressError](err); refused {
		return nil, err // not to be tried again
	}
	if err != nil {
		return nil, dialError{err}
	}
	if d.readTimeout > 0 || d.writeTimeout > 0 {
		conn = &timedConn{conn, d.readTimeout, d.writeTimeout}
	}
	return conn, nil
}

// A dialError is known to reverse_proxy as that of a request that was not sent,
// and may be sent again. Caddy's own hides what was wrong from errors.As.
type dialError struct{ error }

func (e dialError) Unwrap() []error { return []error{e.error, reverseproxy.NewDialError(e.error)} }

// localAddress reads the transport's local_address; "" is any.
func localAddress(s string) (net.Addr, error) {
	if s == "" {
		return nil, nil
	}
	address, err := caddy.ParseNetworkAddressWithDefaults(s, "tcp", 0)
	if err != nil {
		return nil, err
	}
	return net.ResolveTCPAddr(address.Network, address.JoinHostPort(0))
}

// resolver asks the transport's resolvers in turn; nil is the system's.
func resolver(t *reverseproxy.HTTPTransport) (*net.Resolver, error) {
	if t.Resolver == nil || len(t.Resolver.Addresses) == 0 {
		return nil, nil
	}
	var addresses []caddy.NetworkAddress
	for _, s := range t.Resolver.Addresses {
		address, err := caddy.ParseNetworkAddressWithDefaults(s, "udp", 53)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	var asked atomic.Uint64
	d := &net.Dialer{Timeout: time.Duration(t.DialTimeout), FallbackDelay: time.Duration(t.FallbackDelay)}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		next := addresses[asked.Add(1)%uint64(len(addresses))]
		return d.DialContext(ctx, next.Network, next.JoinHostPort(0))
	}}, nil
}

// A timedConn keeps to the transport's read_timeout and write_timeout.
type timedConn struct {
	net.Conn
	read, write time.Duration
}

func (c *timedConn) Read(b []byte) (int, error) {
	if c.read > 0 {
		_ = c.SetReadDeadline(time.Now().Add(c.read)) // fails if it is closed, as Read does
	}
	return c.Conn.Read(b)
}

func (c *timedConn) Write(b []byte) (int, error) {
	if c.write > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(c.write))
	}
	return c.Conn.Write(b)
}
