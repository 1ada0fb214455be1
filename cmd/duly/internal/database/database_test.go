package database

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text, shown string
		secrets     []string
	}{
		{"postgres://ada@db.example.com/duly", "postgres://ada@db.example.com/duly", nil},
		{"postgres://ada:hunter22@db.example.com:5433/duly?sslmode=require", "postgres://ada@db.example.com:5433/duly?sslmode=require", []string{"hunter22"}},
		{"postgresql://ada:a%40b%2Fcd@[::1]/duly", "postgresql://ada@[::1]/duly", []string{"a@b/cd", "a%40b%2Fcd"}},
		{"postgres://h/d?password=correct-horse&sslpassword=battery&user=ada", "postgres://h/d?user=ada", []string{"correct-horse", "battery"}},
		{"postgres:///duly?host=/run/postgresql", "postgres:///duly?host=%2Frun%2Fpostgresql", nil},
		{"postgres:///?service=duly", "postgres:///?service=duly", nil},
		{"postgres://a,b:5433/duly", "postgres://a,b:5433/duly", nil},
		{"postgres://ada:abc@h/d", "postgres://ada@h/d", nil}, // too short to be looked for, and not shown all the same
	} {
		a, wrong := Parse(tt.text)
		if wrong != "" {
			t.Errorf("%s: want %s", tt.text, wrong)
			continue
		}
		if a.URL() != tt.text || a.String() != tt.shown || a.None() {
			t.Errorf("%s: it leads to %s and shows %s, want %s", tt.text, a.URL(), a, tt.shown)
		}
		for _, s := range tt.secrets {
			if !slices.Contains(a.Secrets(), s) || !a.HasSecret() {
				t.Errorf("%s: the secrets are %q, want %q among them", tt.text, a.Secrets(), s)
			}
			if err := a.Hide(errors.New("parse " + tt.text + ":\n\tno, " + s)); strings.Contains(err.Error(), s) || strings.ContainsAny(err.Error(), "\n\t") {
				t.Errorf("%s: the error says %q", tt.text, err)
			}
		}
		if shown := fmt.Sprintf("%v %+v %s", a, a, a); shown != tt.shown+" "+tt.shown+" "+tt.shown {
			t.Errorf("%s: printed as %s", tt.text, shown)
		}
	}
}

// What can't be right is refused, and nothing of it is shown, for it may be a password.
func TestParse_Refused(t *testing.T) {
	for _, text := range []string{
		"", "duly", "host=h password=hunter22", "mysql://ada:hunter22@h/d", "POSTGRES://ada:hunter22@h/d", "postgres://ada:hun%zzter22@h/d",
		"postgres://ada:12#hunter22@h/d", "postgres://ada:12/hunter22@h/d", "postgres://ada:12?hunter22@h/d", "postgres://h/d?password=%zzhunter22",
		"postgres://h/d?a;password=hunter22", "postgres://ada:hun ter22@h/d", "postgres://\x00",
	} {
		a, wrong := Parse(text)
		if wrong == "" || !a.None() || a.String() != "" {
			t.Errorf("%q is taken: %v", text, a)
		}
		if strings.Contains(wrong, "ter22") || !strings.Contains(wrong, "postgres://") {
			t.Errorf("%q: want %s", text, wrong)
		}
	}
}

func TestHide(t *testing.T) {
	a, _ := Parse("postgres://ada:hunter22@h/d")
	cause := errors.New("FATAL: hunter22")
	err := a.Hide(fmt.Errorf("connect: %w", cause))
	if !errors.Is(err, cause) || err.Error() != "connect: FATAL: [redacted]" {
		t.Errorf("%v", err)
	}
	twice := "failed to connect to `user=ada`:\n\t127.0.0.1:1 (h): refused\n\t127.0.0.1:1 (h): refused\n\t[::1]:1 (h): refused"
	if got, want := a.Hide(errors.New(twice)).Error(), "failed to connect to `user=ada`: 127.0.0.1:1 (h): refused [::1]:1 (h): refused"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if a.Hide(nil) != nil {
		t.Error("no error is one")
	}
	if got := (Address{}).Hide(cause).Error(); got != cause.Error() {
		t.Errorf("without an address: %s", got)
	}
}
