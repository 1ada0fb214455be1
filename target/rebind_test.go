package target_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dulyhq/duly/target"
)

// resolver returns one that asks a name server of the test, which answers with one address after the other, and then with the last. An
// answer of several addresses has commas between them.
func resolver(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	go func() {
		defer close(done)
		asked := 0
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			answer, isA := answerTo(buf[:n], strings.Split(addresses[min(asked, len(addresses)-1)], ","))
			if isA {
				asked++
			}
			if _, err := conn.WriteTo(answer, from); err != nil {
				return
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answerTo answers a question for addresses of IPv4, and says that there is none of another kind (RFC 1035).
func answerTo(question []byte, addresses []string) (answer []byte, isA bool) {
	end := 12
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5
	isA = binary.BigEndian.Uint16(question[end-4:]) == 1
	answer = append(answer, question[:2]...)
	answer = append(answer, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	answer = append(answer, question[12:end]...)
	for _, a := range addresses {
		if !isA {
			break
		}
		answer[7]++
		ip := netip.MustParseAddr(a).As4()
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, ip[:]...)
	}
	return answer, isA
}

// A name that stands for another address the second time gains nothing: what counts is the address that is connected to.
func TestRebinding(t *testing.T) {
	var reached atomic.Int64
	at := listening(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	c := target.Callback{URL: "http://rebind.test:" + port + "/"}
	r := resolver(t, "8.8.8.8", "127.0.0.1")
	looked, err := r.LookupNetIP(t.Context(), "ip4", "rebind.test") // as a check before the call would
	if err != nil || looked[0].String() != "8.8.8.8" {
		t.Fatal(looked, err)
	}
	a, _, err := called(t.Context(), t, target.CallbackOptions{Resolver: r}, c)
	var refused *target.AddressError
	if !errors.As(err, &refused) || refused.Address != netip.MustParseAddr("127.0.0.1") || !strings.Contains(a.Reason, "127.0.0.1 may not be called: it is a loopback address") {
		t.Errorf("%v, %+v", err, a)
	}
	if reached.Load() != 0 {
		t.Error("it was connected to")
	}
	if _, _, err := called(t.Context(), t, target.CallbackOptions{Resolver: r, Allow: here}, c); err != nil || reached.Load() != 1 {
		t.Errorf("allowed: %v", err)
	}
	for _, address := range []string{"169.254.169.254", "10.1.2.3", "0.0.0.0"} {
		if _, _, err := called(t.Context(), t, target.CallbackOptions{Resolver: resolver(t, address)}, c); !errors.As(err, &refused) || refused.Address.String() != address {
			t.Errorf("%s: %v", address, err)
		}
	}
}
