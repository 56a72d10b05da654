package caddymodule

// This file says where Tableau may be. The configuration names a host, and a
// name service says which address that is: whoever can poison or rebind its
// answer must not turn the proxy against the machine that it runs on, or
// against the services of its cloud.

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// closed are the addresses that no name may lead to, besides loopback. What the
// services of clouds are asked at is in their documentation.
var closed = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("::/128"), "an unspecified address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address, where clouds keep their metadata"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "an address of Amazon's services on the machine"},
	{netip.MustParsePrefix("fd20:ce::254/128"), "the metadata server of Google Cloud"},
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), "the metadata server of Oracle Cloud"},
	{netip.MustParsePrefix("192.0.0.192/32"), "the metadata server of Oracle Cloud Classic"},
	{netip.MustParsePrefix("100.100.100.200/32"), "the metadata server of Alibaba Cloud"},
	{netip.MustParsePrefix("168.63.129.16/32"), "Azure's services for the machine"},
}

// translated are the IPv6 addresses that end in an IPv4 address, to which a
// gateway or the system itself passes them on: NAT64 (RFC 6052, RFC 8215), and
// the old IPv4-compatible ones (RFC 4291, section 2.5.5.1).
var translated = []netip.Prefix{
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("::/96"),
}

// sixToFour are those that hold one behind their first two bytes (RFC 3056).
var sixToFour = netip.MustParsePrefix("2002::/16")

// An addressRule is what a configuration allows in spite of the rule.
type addressRule []netip.Prefix

// newAddressRule reads the option allow_addresses.
func newAddressRule(allowed []string) (addressRule, error) {
	var rule addressRule
	for _, s := range allowed {
		prefix, err := netip.ParsePrefix(s)
		if addr, single := netip.ParseAddr(s); single == nil {
			prefix, err = netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("allow_addresses: %q is neither an address such as 127.0.1.1 nor a range such as 127.0.0.0/8", s)
		}
		rule = append(rule, prefix)
	}
	return rule, nil
}

// judge reports, as an *[addressError], that host must not be at addr. A host
// that is itself an address comes from no name service: the configuration says
// so. And localhost may be loopback, which is what it means (RFC 6761).
func (allowed addressRule) judge(host string, addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	inner := innermost(addr)
	switch {
	case isAddress(host),
		allowed.has(addr), allowed.has(inner),
		isLocalhost(host) && addr.IsLoopback():
		return nil
	case inner.IsLoopback():
		return &addressError{host, addr, "an address of this machine itself"}
	}
	for _, c := range closed {
		if c.prefix.Contains(addr) || c.prefix.Contains(inner) {
			return &addressError{host, addr, c.what}
		}
	}
	return nil
}

// judgeTarget is judge for an address with its port.
func (allowed addressRule) judgeTarget(host, address string) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s: %q is not an address that can be judged: %w", host, address, err)
	}
	return allowed.judge(host, target.Addr())
}

func (allowed addressRule) has(addr netip.Addr) bool {
	return slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// innermost returns the IPv4 address that addr stands for, or addr.
func innermost(addr netip.Addr) netip.Addr {
	bytes := addr.As16()
	switch {
	case !addr.Is6(), addr.IsUnspecified(), addr.IsLoopback():
		return addr
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(bytes[2:6]))
	case slices.ContainsFunc(translated, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return netip.AddrFrom4([4]byte(bytes[12:16]))
	default:
		return addr
	}
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// An addressError is a connection that was not made.
type addressError struct {
	host string
	addr netip.Addr
	what string
}

func (e *addressError) Error() string {
	return fmt.Sprintf("%s has the address %s, %s, and nothing was connected: correct the name service, or, if that is where it should lead, name the address in allow_addresses", e.host, e.addr, e.what)
}
