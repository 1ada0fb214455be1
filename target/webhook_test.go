package target_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

// The signatures were computed apart from this package, by the words of Standard Webhooks.
func TestWebhookVectors(t *testing.T) {
	for _, x := range []struct {
		secrets   []string
		id        string
		timestamp int64
		body      string
		want      string
	}{
		{[]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		{[]string{"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}, "order-42@1@1700000000000000000", 1700000000, "", "v1,nAuTCZkwvPi6Pz1N3CMwkWsLVXniIchkCFH2a2H88WA="},
		{[]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}, "tea%20time@1@5", 1, "grüße\n", "v1,pviN8x3KGFjjtggQBCdxsGtOKSdnUpuTlrZ/UN5oZaI= v1,IDiTDy3MShJKuG41Vmc4FdbTsvni7ZE0RCGgv01nFoA="},
		{[]string{"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "a", 0, ".", "v1,OcFh5qtlbVeLkSWtSxfnxEPeV1jbSoouDS5lmwVuBdw= v1,oTgQI3Wzn/j5TxbJbHCKw53ybtntHyzDHNfB+U8tbFA= v1,DR+rcXSdNV/pJZkyDIMZh2IpHDy5uTK4RjQrZFK+Y40="},
		{[]string{"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}, "ns/a@1@-5", -62135596800, "{\"a\":\"b.c\"}", "v1,To9gK3wirU7ndknSE97jZbI/QHn+JJnbWj019H0L5pk="},
	} {
		var keys [][]byte
		for _, s := range x.secrets {
			k, err := target.ParseSecret(s)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k)
		}
		if got := target.Signature(keys, x.id, x.timestamp, x.body); got != x.want {
			t.Errorf("%s: got %s, want %s", x.id, got, x.want)
		}
	}
}

// A receiver that knows the old secret or the new one takes what is signed with both, and nobody else does.
func TestRotation(t *testing.T) {
	secrets := []string{target.NewSecret(), target.NewSecret(), target.NewSecret()}
	var keys [][]byte
	for _, s := range secrets {
		k, err := target.ParseSecret(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	header := target.Signature(keys[:2], "id", 5, "body")
	for i, k := range keys {
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte("id.5.body"))
		taken := false
		for s := range strings.SplitSeq(header, " ") {
			b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "v1,"))
			taken = taken || err == nil && hmac.Equal(b, mac.Sum(nil))
		}
		if taken != (i < 2) {
			t.Errorf("secret %d: %t", i, taken)
		}
	}
}

func TestParseSecret(t *testing.T) {
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for s, ok := range map[string]bool{
		"whsec_" + b64(24): true, "whsec_" + b64(64): true, "whsec_" + b64(23): false, "whsec_" + b64(65): false, b64(32): false, "": false,
		"whsec_": false, "whsec_hush!": false, "WHSEC_" + b64(32): false, "whsec_" + strings.TrimRight(b64(32), "="): false,
	} {
		k, err := target.ParseSecret(s)
		if ok != (err == nil) || ok != (len(k) > 0) || !ok && (!errors.Is(err, duly.ErrInvalid) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
