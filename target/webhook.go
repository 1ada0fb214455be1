package target

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

const (
	secretPrefix = "whsec_"

	// Of the bytes of a secret, by Standard Webhooks.
	leastSecret = 24
	mostSecret  = 64
)

// ParseSecret reads a secret of Standard Webhooks: "whsec_" and the base64 of 24 to 64 bytes. The error does not show it.
func ParseSecret(s string) ([]byte, error) {
	want := secretPrefix + " and the base64 of " + strconv.Itoa(leastSecret) + " to " + strconv.Itoa(mostSecret) + " random bytes"
	text, ok := strings.CutPrefix(s, secretPrefix)
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(b) < leastSecret || len(b) > mostSecret {
		return nil, invalid("secret", Redaction, want)
	}
	return b, nil
}

// NewSecret returns a random secret, as ParseSecret reads it.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// signature returns the header that signs a message with each of the secrets, by Standard Webhooks: a receiver takes it if it knows one
// of them, so that a secret can be replaced without a moment at which both sides must do it.
func signature(secrets [][]byte, id string, timestamp int64, body string) string {
	all := make([]string, len(secrets))
	for i, key := range secrets {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(id + "." + strconv.FormatInt(timestamp, 10) + "." + body))
		all[i] = "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	return strings.Join(all, " ")
}

// encoded returns a text as it is in a header: percent-encoded, but for letters, digits and what is below. A run id has no full stop
// then, as Standard Webhooks asks of what is signed.
func encoded(s string) string {
	return percent(s, func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_~@/:+=", c) >= 0
	})
}

// escaped returns a query as it may stand in the first line of a request, where a blank would end the URL. What is escaped stays so.
func escaped(query string) string {
	return percent(query, func(c byte) bool { return ' ' < c && c < 0x7f })
}

// percent encodes the bytes that are not plain.
func percent(s string, plain func(byte) bool) string {
	const upper = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upper[c>>4], upper[c&15])
		}
	}
	return string(b)
}
