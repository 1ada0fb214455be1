package daemon

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
)

// A certificate is a chain with its key.
type certificate = tls.Certificate

// readCertificate reads the certificate and its key. That the key's file is open to others is refused, as for every secret.
func readCertificate(c *Config) (*certificate, error) {
	if _, err := os.Stat(c.TLSCert); err != nil {
		return nil, fmt.Errorf("%s: %w", c.where("tls_cert"), err)
	}
	if _, err := readSecret(c.TLSKey); err != nil {
		return nil, fmt.Errorf("%s: %w", c.where("tls_key"), err)
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("%s %s and %s %s: want a certificate in PEM and the key that belongs to it: %w",
			c.where("tls_cert"), c.TLSCert, c.where("tls_key"), c.TLSKey, err)
	}
	return &cert, nil
}

// tlsConfig serves with the certificate that was read last.
func tlsConfig(cert *atomic.Pointer[certificate]) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*certificate, error) { return cert.Load(), nil },
	}
}
