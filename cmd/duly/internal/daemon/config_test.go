package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/store/pebble"
)

// write makes a file that only its owner reads.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// given are settings from a file, and from "flag=value" and "DULY_X=value".
func given(t *testing.T, yaml string, more ...string) Given {
	t.Helper()
	dir := t.TempDir()
	g := Given{Data: filepath.Join(dir, "data"), Flags: map[string][]string{}}
	env := map[string]string{}
	for _, m := range more {
		name, text, _ := strings.Cut(m, "=")
		if strings.HasPrefix(name, "DULY_") {
			env[name] = text
			continue
		}
		s := settingOf(name)
		if s == nil {
			t.Fatalf("no setting %q", name)
		}
		g.Flags[name] = append(g.Flags[name], s.Values(text)...)
	}
	if yaml != "" {
		g.Config = write(t, dir, "duly.yaml", yaml)
	}
	g.Getenv = func(key string) string { return env[key] }
	return g
}

func TestLoad_NothingGiven(t *testing.T) {
	c, err := Load(given(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Listen) != 1 || c.Listen[0] != DefaultListen || c.Socket != filepath.Join(c.Data, "duly.sock") ||
		c.DrainTimeout != 30*time.Second || c.Insecure || c.AllowCommands || c.Durability != pebble.Sync {
		t.Errorf("the defaults are %+v", c)
	}
	if _, err := os.Stat(c.Data); err == nil {
		t.Error("Load has made the data directory")
	}
}

func TestLoad_Precedence(t *testing.T) {
	const yaml = "log_level: error\nlog_format: json\nworkers: 7\n"
	c, err := Load(given(t, yaml, "DULY_LOG_LEVEL=warn", "DULY_WORKERS=8", "workers=9"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Workers != 9 || c.LogLevel != "warn" || c.LogFormat != "json" {
		t.Errorf("workers %d, level %s, format %s; want the flag's 9, the variable's warn and the file's json", c.Workers, c.LogLevel, c.LogFormat)
	}
	report := c.Report()
	for _, want := range []string{"--workers", "DULY_LOG_LEVEL", "duly.yaml:2: log_format", "default"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
}

func TestLoad_File(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	c, err := Load(given(t, `# everything that a file can have
listen: [127.0.0.1:0, "[::1]:0"]
hosts: duly.example.com, tasks.example.com
insecure: true
durability: interval
min_free: 1GiB
drain_timeout: PT1M30S
output_bytes: 2MB
allow_addresses: [10.1.0.0/16, 192.0.2.7]
tokens:
  - name: ci
    scopes: [read, write]
    sha256: `+sum+`
`))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(c.Listen, " ") != "127.0.0.1:0 [::1]:0" || strings.Join(c.Hosts, " ") != "duly.example.com tasks.example.com" || !c.Insecure ||
		c.Durability != pebble.Interval || c.MinFree != 1<<30 || c.DrainTimeout != 90*time.Second || c.OutputBytes != 2e6 {
		t.Errorf("read %+v", c)
	}
	if showAddresses(c) != "10.1.0.0/16,192.0.2.7/32" {
		t.Errorf("addresses %s", showAddresses(c))
	}
	if len(c.Tokens) != 1 || c.Tokens[0].Name != "ci" || len(c.Tokens[0].Scopes) != 2 || c.Tokens[0].Scopes[1] != api.Write {
		t.Errorf("tokens %+v", c.Tokens)
	}
}

func TestLoad_Refuses(t *testing.T) {
	for name, tt := range map[string]struct {
		yaml string
		more []string
		want []string
	}{
		"an unknown key":                {"log_level: info\nlisten_address: x\n", nil, []string{"duly.yaml:2", `"listen_address"`, "listen", "webhook_secrets"}},
		"a key with a typo":             {"\nlisen: none\n", nil, []string{"duly.yaml:2", `"lisen"`, "did you mean listen?"}},
		"a key with dashes":             {"log-level: info\n", nil, []string{"duly.yaml:1", "did you mean log_level?"}},
		"the directory":                 {"data: /x\n", nil, []string{"duly.yaml:1", "--data or DULY_DATA"}},
		"a key twice":                   {"workers: 1\nhosts: a\nworkers: 2\n", nil, []string{"duly.yaml:3", `"workers"`, "line 1"}},
		"no value":                      {"workers:\n", nil, []string{"duly.yaml:1", `"workers"`, "a value after the colon"}},
		"a list where there is one":     {"workers: [1, 2]\n", nil, []string{"duly.yaml:1", "one value"}},
		"a mapping in a list":           {"hosts: [{a: b}]\n", nil, []string{"duly.yaml:1", "plain values"}},
		"a list of everything":          {"- listen: none\n", nil, []string{"duly.yaml:1", "keys with values"}},
		"no YAML":                       {"listen: [\n", nil, []string{"duly.yaml", "line"}},
		"two documents":                 {"workers: 1\n---\nworkers: 2\n", nil, []string{"duly.yaml:", "one document"}},
		"a bare number for a time":      {"drain_timeout: 30\n", nil, []string{"duly.yaml:1", `"30"`, "1m30s"}},
		"a bare number for a size":      {"min_free: 500\n", nil, []string{"duly.yaml:1", `"500"`, "500MiB"}},
		"a size that overflows":         {"min_free: 99999999TiB\n", nil, []string{`"99999999TiB"`}},
		"yes for true":                  {"insecure: yes\n", nil, []string{"true or false"}},
		"a token without a name":        {"tokens:\n- scopes: [read]\n", nil, []string{"duly.yaml:2", "a name"}},
		"a token without scopes":        {"tokens:\n- name: ci\n  sha256: x\n", nil, []string{"duly.yaml:2", `"ci"`, "scopes"}},
		"a token with a made-up scope":  {"tokens:\n- name: ci\n  scopes: [read, admin]\n", nil, []string{"duly.yaml:3", `"admin"`, "read, write, exec and backup"}},
		"a token without itself":        {"tokens:\n- name: ci\n  scopes: [read]\n", nil, []string{"duly.yaml:2", "either sha256 or file"}},
		"a token in the clear":          {"tokens:\n- name: ci\n  token: x\n", nil, []string{"duly.yaml:3", `"token"`, "name, scopes, sha256, file"}},
		"a token with a short digest":   {"tokens:\n- name: ci\n  scopes: [read]\n  sha256: abcd\n", nil, []string{"duly.yaml:2", "64 hexadecimal digits"}},
		"two tokens of a name":          {"tokens:\n- {name: a, scopes: [read], file: f}\n- {name: a, scopes: [read], file: g}\n", nil, []string{"duly.yaml:3", `"a"`}},
		"a token's file that is absent": {"tokens:\n- {name: a, scopes: [read], file: f}\n", nil, []string{"duly.yaml:2", `"a"`, "no such file"}},
		"an address without a port":     {"", []string{"listen=127.0.0.1"}, []string{"--listen", `"127.0.0.1"`, "127.0.0.1:4280"}},
		"a port that is none":           {"", []string{"DULY_LISTEN=127.0.0.1:99999"}, []string{"DULY_LISTEN", "65535"}},
		"other machines in the clear":   {"", []string{"listen=0.0.0.0:4280"}, []string{"--listen", `"0.0.0.0:4280"`, "--tls-cert", "--insecure"}},
		"every address in the clear":    {"", []string{"listen=:4280"}, []string{`":4280"`, "--insecure"}},
		"a name that may be anywhere":   {"", []string{"listen=example.com:4280"}, []string{"--insecure"}},
		"one of two in the clear":       {"", []string{"listen=127.0.0.1:1,10.0.0.1:1"}, []string{"10.0.0.1:1"}},
		"a certificate without its key": {"", []string{"tls_cert=c.pem"}, []string{"--tls-cert", "also --tls-key"}},
		"a key without its certificate": {"", []string{"tls_key=k.pem"}, []string{"--tls-key", "also --tls-cert"}},
		"a certificate that is absent":  {"", []string{"tls_cert=/no/c.pem", "tls_key=/no/k.pem"}, []string{"--tls-cert", "/no/c.pem"}},
		"nowhere to listen":             {"", []string{"listen=none", "socket=none"}, []string{"--listen", "--socket", "at least one"}},
		"a socket's path too long":      {"", []string{"socket=/" + strings.Repeat("x", 200)}, []string{"--socket", "103 bytes"}},
		"a host with a path":            {"", []string{"hosts=a.example/b"}, []string{"--hosts", "duly.example.com"}},
		"no network":                    {"", []string{"allow_addresses=10.0.0"}, []string{"--allow-addresses", "10.1.0.0/16"}},
		"too many workers":              {"", []string{"workers=0"}, []string{"--workers", "1 to 1000000"}},
		"a level that is none":          {"", []string{"log_level=trace"}, []string{"debug, info, warn or error"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(given(t, tt.yaml, tt.more...))
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %v", err)
			}
		})
	}
}

func TestLoad_LoopbackNeedsNothing(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "127.8.9.10:0", "[::1]:0", "localhost:0"} {
		if _, err := Load(given(t, "", "listen="+address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, more := range []string{"insecure=true", "DULY_INSECURE=true"} {
		if _, err := Load(given(t, "", "listen=:0", more)); err != nil {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// Files of secrets that others can read are as good as published.
func TestLoad_OpenSecrets(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a file is not its access list")
	}
	dir := t.TempDir()
	cert, key := selfSigned(t, dir, "one")
	secret := write(t, dir, "hooks", "whsec_"+strings.Repeat("A", 32)+"\n")
	token := write(t, dir, "token", strings.Repeat("t", 40)+"\n")
	yaml := "tokens:\n- {name: a, scopes: [read], file: " + token + "}\n"
	settings := []string{"tls_cert=" + cert, "tls_key=" + key, "webhook_secrets=" + secret}
	if _, err := Load(given(t, yaml, settings...)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{key, secret, token} {
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		_, err := Load(given(t, yaml, settings...))
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("%s of mode 0640: %v", filepath.Base(path), err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A credential of systemd's is read as it hands it over, with the mask of an access control list where the group's bits are; not one that
// all can read, nor any other file like that.
func TestLoad_Credential(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a file is not its access list")
	}
	dir := t.TempDir()
	secret := write(t, dir, "webhooks", "whsec_"+strings.Repeat("A", 32)+"\n")
	for _, tt := range []struct {
		directory string
		mode      os.FileMode
		taken     bool
	}{{dir, 0o440, true}, {dir, 0o444, false}, {dir, 0o460, false}, {filepath.Dir(dir), 0o440, false}, {"", 0o440, false}} {
		t.Setenv("CREDENTIALS_DIRECTORY", tt.directory)
		if err := os.Chmod(secret, tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(given(t, "", "webhook_secrets="+secret)); (err == nil) != tt.taken {
			t.Errorf("mode %v, the credentials are in %q: %v", tt.mode, tt.directory, err)
		}
	}
}

func TestLoad_Secrets(t *testing.T) {
	dir := t.TempDir()
	good := "whsec_" + strings.Repeat("A", 32)
	for name, tt := range map[string]struct{ text, want string }{
		"none":            {"# none yet\n\n", "at least one secret"},
		"one that is not": {good + "\nhunter2hunter2\n", ":2:"},
		"one too short":   {"whsec_AAAA\n", ":1:"},
	} {
		_, err := Load(given(t, "", "webhook_secrets="+write(t, dir, "hooks", tt.text)))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
	weak := write(t, dir, "weak", "12345\n")
	_, err := Load(given(t, "tokens:\n- {name: a, scopes: [read], file: "+weak+"}\n"))
	if err == nil || !strings.Contains(err.Error(), "22 to 512") || strings.Contains(err.Error(), "12345") {
		t.Errorf("a weak token: %v", err)
	}
	same := write(t, dir, "same", strings.Repeat("s", 30))
	_, err = Load(given(t, "tokens:\n- {name: a, scopes: [read], file: "+same+"}\n- {name: b, scopes: [write], file: "+same+"}\n"))
	if e, ok := errors.AsType[*ConfigError](err); !ok || !strings.Contains(e.Want, "that of a") {
		t.Errorf("a token twice: %v", err)
	}
	one, _ := selfSigned(t, dir, "one")
	_, other := selfSigned(t, dir, "other")
	if _, err := Load(given(t, "", "tls_cert="+one, "tls_key="+other)); err == nil || !strings.Contains(err.Error(), "belongs") {
		t.Errorf("the key of another certificate: %v", err)
	}
}

func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{"", "listen: none", "tokens:\n- name: a", "a: &x [*x]", "? {a: b}\n: c", "tokens: [[]]", "hosts: &a [b]\nlisten: *a"} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "f.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readFile(path); (got == nil) == (err == nil) {
			t.Errorf("readFile: %v, %v", got, err)
		}
	})
}

// selfSigned makes a certificate for loopback and its key.
func selfSigned(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert = write(t, dir, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return cert, write(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes})))
}
