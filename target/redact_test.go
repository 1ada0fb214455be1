package target_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/target"
)

func TestIsSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"TOKEN": true, "GITHUB_TOKEN": true, "token": true, "ACCESS_TOKEN_FILE": true, "CLIENT_SECRET": true, "DB_PASSWORD": true, "PGPASSWORD": true,
		"MYSQL_PWD": true, "SSH_PASSWD": true, "GPG_PASSPHRASE": true, "AWS_CREDENTIALS": true, "API_KEY": true, "apikey": true, "X-Api-Key": true,
		"PRIVATE_KEY": true, "AWS_ACCESS_KEY_ID": true, "Authorization": true, "Proxy-Authorization": true, "Cookie": true, "Set-Cookie": true,
		"X-Auth": true, "SMTP_PASS": true, "sig": true, "X-Hub-Signature-256": true, "session.id": true, "KEY": true,
		"PATH": false, "PWD": false, "OLDPWD": false, "HOME": false, "KEYBOARD": false, "XAUTHORITY": false, "AUTHOR": false, "Content-Type": false,
		"BYPASS": false, "MONKEY": false, "": false, "_": false, "LANG": false,
	} {
		if got := target.IsSecret(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

// No form in which a command or a callback is shown has a secret in it, and the original keeps it.
func TestRedacted(t *testing.T) {
	c := target.Command{Args: []string{"true"}, Env: map[string]string{
		"API_TOKEN": "hush1", "HOME": "/root", "DATABASE_URL": "postgres://me:hush2@db/x?sslmode=off", "URL": "redis://:hu/sh@3@h:1/", "NOTE": "a:b@c",
	}}
	b := target.Callback{URL: "https://example.com/@me?api_key=hush4&page=2&token=hush5", Header: map[string]string{"Authorization": "Bearer hush6", "Accept": "*/*"}}
	wantC := map[string]string{
		"API_TOKEN": target.Redaction, "HOME": "/root", "DATABASE_URL": "postgres://me:[redacted]@db/x?sslmode=off", "URL": "redis://:[redacted]@h:1/", "NOTE": "a:b@c",
	}
	if diff := cmp.Diff(wantC, c.Redacted().Env); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	wantB := target.Callback{
		URL:    "https://example.com/@me?api_key=%5Bredacted%5D&page=2&token=%5Bredacted%5D",
		Header: map[string]string{"Authorization": target.Redaction, "Accept": "*/*"},
	}
	if diff := cmp.Diff(wantB, b.Redacted()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var shown bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(h).Info("shown", "command", c, "callback", b, "pointers", &c, "and", &b)
	}
	fmt.Fprintf(&shown, "%v %+v %s %v %+v %s\n", c, c, c, b, &b, b)
	if s := shown.String(); strings.Contains(s, "hush") || strings.Contains(s, "hu/sh") || strings.Count(s, "example.com") < 5 {
		t.Error(s)
	}
	if text, err := json.Marshal(c); err != nil || !strings.Contains(string(text), "hush1") || c.Env["API_TOKEN"] != "hush1" {
		t.Errorf("%s, %v", text, err)
	}
	if text, err := json.Marshal(b); err != nil || !strings.Contains(string(text), "hush6") {
		t.Errorf("%s, %v", text, err)
	}
}

// FuzzRedact holds redaction to two things: what is redacted is refused or accepted as before, and no password of a URL is left.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"https://example.com/?token=x", "http://a:b@c/", "https://h/@x?a=b#c", "://@", "?token=", "http://u:p/w@h"} {
		f.Add(s, "xyzzy")
	}
	f.Fuzz(func(t *testing.T, u, secret string) {
		c := target.Callback{URL: u}.Redacted()
		_ = target.Callback{URL: u}.Check()
		if again := c.Redacted(); again.URL != c.URL {
			t.Errorf("%q becomes %q becomes %q", u, c.URL, again.URL)
		}
		if len(secret) < 5 || strings.Contains(u+"://me@h/?password="+target.Redaction, secret) || strings.ContainsAny(secret, " \t\r\n&#?%\x00\v\f") {
			return
		}
		// With a secret like 80/abc it is a right URL of the host me, port 80, and of a path: nothing in it is a password then.
		with := "https://me:" + secret + "@h/"
		if right, err := url.Parse(with); err != nil || right.User.String() == url.UserPassword("me", secret).String() {
			if s := (target.Callback{URL: with}).Redacted().URL; strings.Contains(s, secret) {
				t.Errorf("%q", s)
			}
		}
		if s := (target.Callback{URL: "https://h/?password=" + secret}).Redacted().URL; strings.Contains(s, secret) {
			t.Errorf("%q", s)
		}
	})
}
