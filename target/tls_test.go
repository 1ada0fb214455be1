package target_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

// An authority signs certificates of tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

var trusted = func() *authority {
	a, err := newAuthority()
	if err != nil {
		panic(err)
	}
	return a
}()

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the tests' authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err = x509.ParseCertificate(der)
	return &authority{key, cert}, err
}

// trust makes the tests' authority the only one that this process knows, in place of the system's.
func trust() {
	if err := os.Setenv("GODEBUG", strings.Trim(os.Getenv("GODEBUG")+",x509usefallbackroots=1", ",")); err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(trusted.cert)
	x509.SetFallbackRoots(pool)
}

// issue returns a certificate, after it was changed.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "receiver"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

// A callback goes only to a receiver that proves who it is, and nothing of it is sent before.
func TestCertificates(t *testing.T) {
	other, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		by     *authority
		change func(*x509.Certificate)
		old    bool
		want   string
	}{
		"right":        {by: trusted},
		"another host": {by: trusted, change: func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"receiver.example"} }, want: "127.0.0.1"},
		"common name":  {by: trusted, change: func(c *x509.Certificate) { c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1" }, want: "Common Name"},
		"expired":      {by: trusted, change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, want: "expired"},
		"not yet":      {by: trusted, change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }, want: "not yet valid"},
		"for clients":  {by: trusted, change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, want: "key usage"},
		"unknown":      {by: other, want: "unknown authority"},
		"TLS 1.1":      {by: trusted, old: true, want: "protocol version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if x.change == nil {
				x.change = func(*x509.Certificate) {}
			}
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if x.want != "" || r.ProtoMajor != 2 {
					t.Errorf("asked by %s", r.Proto)
				}
			}))
			s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			s.EnableHTTP2 = true
			s.TLS = &tls.Config{Certificates: []tls.Certificate{x.by.issue(t, x.change)}, MinVersion: tls.VersionTLS10}
			if x.old {
				s.TLS.MaxVersion = tls.VersionTLS11
			}
			s.StartTLS()
			defer s.Close()
			a, _, err := called(t.Context(), t, target.CallbackOptions{Allow: here}, target.Callback{URL: s.URL})
			if (x.want == "") != (err == nil) || x.want != "" && (a.Outcome != target.OutcomeFailed || !strings.Contains(a.Reason, x.want)) {
				t.Errorf("%v, %+v; want %q", err, a, x.want)
			}
		})
	}
}

// A frame is one of HTTP/2 (RFC 9113, section 4.1).
func frame(kind, flags byte, stream uint32, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	return string(b) + payload
}

const (
	headers, settings, ping, goaway, continuation, rst = 1, 4, 6, 7, 9, 3

	ack, endHeaders = 1, 4
)

// framed returns the URL of a server that answers each stream of HTTP/2 with frames.
func framed(t *testing.T, answer func(c *script, stream uint32)) string {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{trusted.issue(t, func(*x509.Certificate) {})}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	return "https://" + accepting(t, func(conn net.Conn) {
		c := &script{Conn: tls.Server(conn, config)}
		preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
		if _, err := io.ReadFull(c, preface); err != nil {
			return
		}
		c.say(frame(settings, 0, 0, ""))
		head := make([]byte, 9)
		for {
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head)>>8)); err != nil {
				return
			}
			switch {
			case head[3] == settings && head[4]&ack == 0:
				c.say(frame(settings, ack, 0, ""))
			case head[3] == headers:
				answer(c, binary.BigEndian.Uint32(head[5:]))
			}
		}
	})
}

// A receiver that speaks HTTP/2 has no way of its own to keep an attempt, or to have it read without end.
func TestHostileFrames(t *testing.T) {
	code := func(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
	asked := make(chan struct{}, 100)
	for name, x := range map[string]struct {
		answer func(t *testing.T, c *script, stream uint32)
		times  int // after so many streams the attempt's time is over; 0: it ends by itself
		want   string
	}{
		"reset":   {func(_ *testing.T, c *script, n uint32) { c.say(frame(rst, 0, n, code(2))) }, 0, "INTERNAL_ERROR"},
		"refused": {func(_ *testing.T, c *script, n uint32) { c.say(frame(rst, 0, n, code(7))); asked <- struct{}{} }, 2, ""},
		"goaway": {func(_ *testing.T, c *script, n uint32) {
			c.say(frame(goaway, 0, 0, code(n)+code(11)+"calm"))
			_ = c.Close() // it has said so
		}, 0, "GOAWAY"},
		"no frame": {func(_ *testing.T, c *script, _ uint32) { c.say(strings.Repeat("HTTP/1.1 200 OK\r\n\r\n", 10)) }, 0, "http2"},
		"endless header": {func(t *testing.T, c *script, n uint32) {
			t.Helper()
			c.say(frame(headers, 0, n, "\x88"))
			c.flood(t, frame(continuation, 0, n, strings.Repeat("\x00\x01a\x01b", 1000)))
		}, 0, "PROTOCOL_ERROR"},
		"endless 103": {func(t *testing.T, c *script, n uint32) {
			t.Helper()
			c.flood(t, frame(headers, endHeaders, n, "\x08\x03103"))
		}, 0, "too large"},
		"endless pings": {func(t *testing.T, c *script, _ uint32) {
			t.Helper()
			some := strings.Repeat(frame(ping, 0, 0, "12345678"), 500)
			for range 20 { // their answers are not read
				c.say(some)
			}
			asked <- struct{}{}
		}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // asked is all cases'
			at := framed(t, func(c *script, stream uint32) { x.answer(t, c, stream) })
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if x.times > 0 {
				go func() {
					for range x.times {
						<-asked
					}
					cancel(duly.ErrTimeout)
				}()
			}
			a, _, err := called(ctx, t, target.CallbackOptions{Allow: here}, target.Callback{URL: at})
			if a.Outcome != target.OutcomeFailed || !strings.Contains(a.Reason, x.want) || errors.Is(err, duly.ErrTimeout) != (x.times > 0) {
				t.Errorf("%v, %+v", err, a)
			}
		})
	}
}
