package target

import (
	"fmt"
	"net/netip"
	"strings"
)

// Addresses says which addresses callbacks may connect to. The zero Addresses allows those of the public internet: not this machine,
// not the networks around it, and not where clouds keep a machine's credentials.
type Addresses struct {
	// Private allows loopback and private networks (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7) as well; still not link-local
	// addresses nor those of metadata services.
	Private bool
	// Allow are allowed whatever else they are.
	Allow []netip.Prefix
}

// A network is one with a purpose of its own, by the registries of IANA (RFC 6890) or by a cloud's habit.
type network struct {
	netip.Prefix
	private bool // Private allows it
	what    string
}

func networks(private bool, what string, prefixes ...string) (all []network) {
	for _, p := range prefixes {
		all = append(all, network{netip.MustParsePrefix(p), private, what})
	}
	return all
}

// special are looked at in their order: the first that has an address names it.
var special = concat(
	networks(false, "a metadata service", "169.254.169.254/32", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32",
		"fd00:ec2::/32", "fd20:ce::254/128"),
	networks(true, "a loopback address", "127.0.0.0/8", "::1/128"),
	networks(true, "a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
	networks(false, "a link-local address", "169.254.0.0/16", "fe80::/10", "fec0::/10"),
	networks(false, "a multicast address", "224.0.0.0/4", "ff00::/8"),
	networks(false, "not an address of a machine", "0.0.0.0/8", "240.0.0.0/4", "::/128"),
	networks(false, "an address for special use", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "2001::/23", "2001:db8::/32", "3fff::/20"),
)

func concat(lists ...[]network) (all []network) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var (
	global6 = netip.MustParsePrefix("2000::/3")
	// embedding are networks whose addresses stand for one of IPv4, from the byte on.
	embedding = []struct {
		netip.Prefix
		at int
	}{
		{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
		{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
		{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible, RFC 4291
		{netip.MustParsePrefix("::ffff:0:0:0/96"), 12},
	}
)

// Refuse returns why an address may not be connected to, or "".
func (p Addresses) Refuse(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return "no address"
	}
	for _, allow := range p.Allow {
		if allow.Contains(a) {
			return ""
		}
	}
	for _, n := range special {
		if n.Contains(a) {
			if n.private && p.Private {
				return ""
			}
			return n.what
		}
	}
	if a.Is4() {
		return ""
	}
	for _, e := range embedding {
		if e.Contains(a) {
			b := a.As16()
			return p.Refuse(netip.AddrFrom4([4]byte(b[e.at:])))
		}
	}
	if !global6.Contains(a) {
		return "not an address of the public internet"
	}
	return ""
}

// Check is the callback's own Check, and refuses a URL that names an address which may not be connected to, or this machine. What a
// name in a URL stands for is seen when it is connected to, each time.
func (p Addresses) Check(c *Callback) error {
	u, err := checkCallback(c)
	if err != nil {
		return err
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	why := ""
	if a, err := netip.ParseAddr(host); err == nil {
		why = p.Refuse(a)
	} else if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		if why = p.Refuse(netip.AddrFrom4([4]byte{127, 0, 0, 1})); why != "" && p.Refuse(netip.IPv6Loopback()) == "" {
			why = ""
		}
	}
	if why != "" {
		return invalid("url", quote(redactURL(c.URL)), "an address that may be called: this is "+why+", which has to be allowed")
	}
	return nil
}

// An AddressError says that a callback was not sent because of the address that its host has.
type AddressError struct {
	Address netip.Addr
	Why     string
}

// Error returns one line.
func (e *AddressError) Error() string {
	return fmt.Sprintf("%v may not be called: it is %s, which has to be allowed", e.Address, e.Why)
}
