package caddymodule

// This file checks where connections to Tableau go, whatever a name service says.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestAddressRule(t *testing.T) {
	const name = "tableau.corp.example"
	for _, test := range []struct {
		host, addr string
		allowed    []string
		refused    string // a part of why, or ""
	}{
		{name, "203.0.113.7", nil, ""},
		{name, "10.1.2.3", nil, ""},
		{name, "172.16.9.9", nil, ""},
		{name, "192.168.1.1", nil, ""},
		{name, "100.64.0.1", nil, ""},
		{name, "2001:db8::1", nil, ""},
		{name, "fd12:3456::1", nil, ""},
		{name, "64:ff9b::10.1.2.3", nil, ""},

		{name, "127.0.0.1", nil, "this machine itself"},
		{name, "127.0.1.1", nil, "this machine itself"},
		{name, "::1", nil, "this machine itself"},
		{name, "::ffff:127.0.0.1", nil, "this machine itself"},
		{name, "::127.0.0.1", nil, "this machine itself"},
		{name, "64:ff9b::127.0.0.1", nil, "this machine itself"},
		{name, "2002:7f00:1::", nil, "this machine itself"},
		{name, "0.0.0.0", nil, "unspecified"},
		{name, "0.1.2.3", nil, "unspecified"},
		{name, "::", nil, "unspecified"},
		{name, "::ffff:0.0.0.0", nil, "unspecified"},
		{name, "169.254.169.254", nil, "link-local"},
		{name, "169.254.170.2", nil, "link-local"},
		{name, "::ffff:169.254.169.254", nil, "link-local"},
		{name, "::169.254.169.254", nil, "link-local"},
		{name, "64:ff9b::169.254.169.254", nil, "link-local"},
		{name, "64:ff9b:1::169.254.169.254", nil, "link-local"},
		{name, "2002:a9fe:a9fe::1", nil, "link-local"},
		{name, "fe80::1", nil, "link-local"},
		{name, "fe80::1%eth0", nil, "link-local"},
		{name, "febf::1", nil, "link-local"},
		{name, "224.0.0.1", nil, "multicast"},
		{name, "ff02::1", nil, "multicast"},
		{name, "255.255.255.255", nil, "broadcast"},
		{name, "fd00:ec2::254", nil, "Amazon"},
		{name, "fd00:ec2::23", nil, "Amazon"},
		{name, "fd20:ce::254", nil, "Google"},
		{name, "fd00:c1::a9fe:a9fe", nil, "Oracle"},
		{name, "192.0.0.192", nil, "Oracle"},
		{name, "100.100.100.200", nil, "Alibaba"},
		{name, "64:ff9b::100.100.100.200", nil, "Alibaba"},
		{name, "168.63.129.16", nil, "Azure"},

		{name, "127.0.0.1", []string{"127.0.0.1"}, ""},
		{name, "127.0.0.2", []string{"127.0.0.1"}, "this machine itself"},
		{name, "127.0.1.1", []string{"10.0.0.0/8", "127.0.0.0/8"}, ""},
		{name, "::ffff:127.0.1.1", []string{"127.0.0.0/8"}, ""},
		{name, "64:ff9b::127.0.1.1", []string{"127.0.0.0/8"}, ""},
		{name, "169.254.1.1", []string{"127.0.0.0/8"}, "link-local"},
		{name, "fe80::1%eth0", []string{"fe80::/10"}, ""},

		{"127.0.0.1", "127.0.0.1", nil, ""},
		{"::1", "::1", nil, ""},
		{"169.254.169.254", "169.254.169.254", nil, ""},
		{"localhost", "127.0.0.1", nil, ""},
		{"LocalHost.", "::1", nil, ""},
		{"tableau.localhost", "127.0.0.1", nil, ""},
		{"localhost", "169.254.169.254", nil, "link-local"},
		{"localhost.corp.example", "127.0.0.1", nil, "this machine itself"},
		{"127.0.0.1.corp.example", "127.0.0.1", nil, "this machine itself"},
		{"127.1", "127.0.0.1", nil, "this machine itself"},
	} {
		rule, err := newAddressRule(test.allowed)
		if err != nil {
			t.Fatal(err)
		}
		err = rule.judgeTarget(test.host, netip.AddrPortFrom(netip.MustParseAddr(test.addr), 443).String())
		if test.refused == "" && err != nil {
			t.Errorf("%s at %s, allowed %v: %v", test.host, test.addr, test.allowed, err)
		}
		if test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
			t.Errorf("%s at %s, allowed %v: %v, want %q", test.host, test.addr, test.allowed, err, test.refused)
		}
	}
	for _, wrong := range []string{"", "/run/tableau.sock", "tableau.corp.example:443", "203.0.113.7"} {
		if err := addressRule(nil).judgeTarget(name, wrong); err == nil {
			t.Errorf("%q is an address", wrong)
		}
	}
	for _, wrong := range []string{"", "tableau.corp.example", "10.0.0.0/33", "10.0.0.0/8,127.0.0.1", "127.0.0.1:443"} {
		if _, err := newAddressRule([]string{wrong}); err == nil || !strings.Contains(err.Error(), "neither an address") {
			t.Errorf("allow_addresses %q: %v", wrong, err)
		}
	}
}

// A nameServer answers every question for an IPv4 address with the same one.
type nameServer struct {
	net.PacketConn
	answer atomic.Pointer[netip.Addr]
}

func newNameServer(t *testing.T, answer string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{PacketConn: conn}
	n.leadTo(answer)
	t.Cleanup(func() { _ = conn.Close() })
	go n.serve()
	return n
}

func (n *nameServer) leadTo(addr string) {
	a := netip.MustParseAddr(addr)
	n.answer.Store(&a)
}

func (n *nameServer) serve() {
	packet := make([]byte, 512)
	for {
		length, from, err := n.ReadFrom(packet)
		if err != nil {
			return // closed
		}
		var m dnsmessage.Message
		if m.Unpack(packet[:length]) != nil {
			continue
		}
		m.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: n.answer.Load().As4()},
			}}
		}
		if answer, err := m.Pack(); err == nil {
			_, _ = n.WriteTo(answer, from)
		}
	}
}

// behindNames is a rig whose Tableau is known by a name, and how often it was
// connected to.
func behindNames(t *testing.T, names *nameServer, options, transport string) (*rig, *front, setup) {
	t.Helper()
	ca := newTestCA(t)
	f := newFront(t, serverTLS(ca))
	r := newRig(t, tableautest.Options{})
	s := setup{handlers: strings.Replace(
		f.block(r, tableauName, ca.file("ca.pem", ca.root()), "resolvers "+names.LocalAddr().String()+"\n"+transport),
		"\n\t\tcredentials", "\n\t\t"+options+"\n\t\tcredentials", 1)}
	return r, f, s
}

// tableauName is a name in the certificate of serverTLS.
const tableauName = "tableau.corp.example"

func serverTLS(ca *testCA) *tls.Config {
	named := func(c *x509.Certificate) { c.DNSNames = []string{tableauName} }
	return &tls.Config{Certificates: []tls.Certificate{ca.issue(named)}}
}

// TestNamesThatLeadElsewhere: nothing is connected to at an address where no
// Tableau can be, and nothing is signed in.
func TestNamesThatLeadElsewhere(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0"} {
		t.Run(addr, func(t *testing.T) {
			r, f, s := behindNames(t, newNameServer(t, addr), "", "")
			r.load(t, s)
			a := r.get(t, "alice", workbooks)
			if a.status != http.StatusBadGateway || a.code() != "address_refused" || strings.Contains(a.body, addr) {
				t.Errorf("status %d, code %q: %s", a.status, a.code(), a.body)
			}
			entry := await(t, "tableau.audit", map[string]any{"identity": "alice", "error": "address_refused"})
			if cause, _ := entry["cause"].(string); !strings.Contains(cause, tableauName+" has the address "+addr) || !strings.Contains(cause, "allow_addresses") {
				t.Errorf("the record's cause is %q", cause)
			}
			if n := f.dialled.Load(); n != 0 {
				t.Errorf("there were %d connections", n)
			}
		})
	}
}

// TestNameThatIsRebound: an address that is allowed is connected to, and when the
// name leads to another later, a live session does not go there.
func TestNameThatIsRebound(t *testing.T) {
	names := newNameServer(t, "127.0.0.1")
	r, f, s := behindNames(t, names, "allow_addresses 10.0.0.0/8 127.0.0.1", "")
	r.load(t, s)
	if a := r.get(t, "alice", workbooks); a.status != http.StatusOK {
		t.Fatalf("status %d, code %q: %s", a.status, a.code(), a.body)
	}
	names.leadTo("127.0.0.2")
	dialled := f.dialled.Load()
	for user, what := range map[string]string{"alice": "a session", "bob": "a JWT"} {
		if a := r.get(t, user, workbooks); a.status != http.StatusBadGateway || a.code() != "address_refused" {
			t.Errorf("%s: status %d, code %q", what, a.status, a.code())
		}
	}
	if n := f.dialled.Load() - dialled; n != 0 {
		t.Errorf("there were %d connections", n)
	}
	names.leadTo("127.0.0.1")
	if a := r.get(t, "alice", workbooks); a.status != http.StatusOK {
		t.Errorf("rebound again: status %d, code %q: %s", a.status, a.code(), a.body)
	}
}

// TestAddressesOfBothHalves: tableau_auth and the transport of reverse_proxy each
// hold their own connections to the rule.
func TestAddressesOfBothHalves(t *testing.T) {
	for name, test := range map[string]struct{ auth, transport, code string }{
		"both":          {"allow_addresses 127.0.0.1", "allow_addresses 127.0.0.0/8", ""},
		"sign-ins only": {"allow_addresses 127.0.0.1", "", "address_refused"},
		"requests only": {"", "allow_addresses 127.0.0.1", "address_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			names := newNameServer(t, "127.0.0.1")
			r, f, s := behindNames(t, names, test.auth, "")
			_, port, _ := net.SplitHostPort(f.Addr().String())
			s.handlers = strings.Replace(s.handlers, "tableau_proxy", "tableau_auth", 1) + fmt.Sprintf(`
	reverse_proxy https://%s:%s {
		lb_try_duration 10s
		transport tableau {
			%s
			resolvers %s
			tls_trust_pool %s
		}
	}`, tableauName, port, test.transport, names.LocalAddr(), pool(s.handlers))
			r.load(t, s)
			a := r.get(t, "alice", workbooks)
			if a.code() != test.code || (test.code == "") != (a.status == http.StatusOK) {
				t.Errorf("status %d, code %q, want %q: %s", a.status, a.code(), test.code, a.body)
			}
			if n := len(r.data()); (n > 0) != (test.code == "") {
				t.Errorf("Tableau saw %d requests", n)
			}
		})
	}
}

// pool is what tls_trust_pool is given in a block of options.
func pool(block string) string {
	_, rest, _ := strings.Cut(block, "tls_trust_pool ")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// provisioned is t with its connections guarded.
func provisioned(t *testing.T, transport *reverseproxy.HTTPTransport) *reverseproxy.HTTPTransport {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := transport.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if err := guard(transport, nil); err != nil {
		t.Fatal(err)
	}
	return transport
}

// Connections keep to the transport's other options.
func TestDialKeepsToTheOptions(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const moment = caddy.Duration(time.Millisecond)
	from := freeAddress(t)
	transport := provisioned(t, &reverseproxy.HTTPTransport{LocalAddress: from, ReadTimeout: moment, WriteTimeout: moment, DialTimeout: caddy.Duration(patience)})
	conn, err := transport.Transport.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.LocalAddr().String(); got != from {
		t.Errorf("the connection is from %s, want %s", got, from)
	}
	var slow net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &slow) || !slow.Timeout() {
		t.Errorf("reading what does not come: %v", err)
	}
	for err = nil; err == nil; { // until the buffers are full
		_, err = conn.Write(make([]byte, 1<<20))
	}
	if !errors.As(err, &slow) || !slow.Timeout() {
		t.Errorf("writing what nobody reads: %v", err)
	}
}

// reverse_proxy may try again what was not sent, but not where it must not go.
func TestDialErrorsAreKnownAsSuch(t *testing.T) {
	transport := provisioned(t, &reverseproxy.HTTPTransport{Resolver: &reverseproxy.UpstreamResolver{Addresses: []string{newNameServer(t, "127.0.0.1").LocalAddr().String()}}})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, dial := range map[string]func() (net.Conn, error){
		"refused by the rule": func() (net.Conn, error) {
			return transport.Transport.DialContext(t.Context(), "tcp", tableauName+":443")
		},
		"nobody there": func() (net.Conn, error) {
			return transport.Transport.DialContext(t.Context(), "tcp", freeAddress(t))
		},
		"no port":  func() (net.Conn, error) { return transport.Transport.DialContext(t.Context(), "tcp", "127.0.0.1") },
		"canceled": func() (net.Conn, error) { return transport.Transport.DialContext(canceled, "tcp", "127.0.0.1:1") },
	} {
		conn, err := dial()
		_, known := errors.AsType[reverseproxy.DialError](err)
		_, byRule := errors.AsType[*addressError](err)
		if conn != nil || known == byRule || byRule != (name == "refused by the rule") {
			t.Errorf("%s: %v, a DialError: %t", name, err, known)
		}
		if _, network := errors.AsType[*net.OpError](err); !network && name != "no port" {
			t.Errorf("%s: %v is no error of the network", name, err)
		}
	}
}

// What cannot be read is no dialer, although Caddy has read it before.
func TestGuardRefuses(t *testing.T) {
	for name, transport := range map[string]*reverseproxy.HTTPTransport{
		"local address": {LocalAddress: "tcp/127.0.0.1:1-x"},
		"resolver":      {Resolver: &reverseproxy.UpstreamResolver{Addresses: []string{"udp/127.0.0.1:1-x"}}},
	} {
		if err := guard(transport, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// inTransport puts an option of the connection where tableau_auth has it.
func inTransport(option string) string {
	if strings.HasPrefix(option, "allow_addresses") {
		return option
	}
	return "transport {\n\t" + option + "\n}"
}

// What would take the check out, or let a request choose a name, is refused.
func TestOptionsThatHideTheAddress(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	for _, test := range []struct{ options, want string }{
		{"proxy_protocol v1", "proxy_protocol"},
		{"versions 3", "versions 3"},
		{"tls_server_name {http.request.host}", "tls_server_name with a placeholder"},
		{"tls_insecure_skip_verify", "would let anybody pose as Tableau"},
		{"local_address unix//run/x", "unix"},
		{"allow_addresses tableau.corp.example", "is neither an address"},
		{"allow_addresses", "allow_addresses"},
	} {
		for half, config := range map[string]string{
			"tableau_auth":      ":0 {\n\ttableau_auth " + goodOrigin + " {\n" + good + inTransport(test.options) + "\n\t}\n}\n",
			"transport tableau": ":0 {\n\treverse_proxy " + goodOrigin + " {\n\ttransport tableau {\n\t" + test.options + "\n}\n\t}\n}\n",
		} {
			if err := validate(t, config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %s: %v", half, test.options, err)
			}
		}
	}
}
