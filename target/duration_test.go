package target_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1m30s": 90 * time.Second, "1.5h": 90 * time.Minute, "300ms": 300 * time.Millisecond, "0s": 0, "-2s": -2 * time.Second,
		"PT1M30S": 90 * time.Second, "P1DT2H": 26 * time.Hour, "P2W": 14 * 24 * time.Hour, "PT0S": 0, "P0D": 0, "PT36H": 36 * time.Hour,
		"PT1.5S": 1500 * time.Millisecond, "PT0,5M": 30 * time.Second, "P1.5D": 36 * time.Hour, "-PT5M": -5 * time.Minute, "+PT5M": 5 * time.Minute,
		"P1W1DT1H1M1.000000001S":  8*24*time.Hour + time.Hour + time.Minute + time.Second + 1,
		"PT9223372036.854775807S": math.MaxInt64, "-PT9223372036.854775808S": math.MinInt64,
		"2562047h47m16.854775807s": math.MaxInt64, "-2562047h47m16.854775808s": math.MinInt64,
	} {
		d, err := target.ParseDuration(text)
		if err != nil || time.Duration(d) != want {
			t.Errorf("%q: got %v, %v; want %v", text, d, err, want)
		}
	}
}

func TestParseDurationRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "PT1M30S", "5": "with a unit", "0": "with a unit", "-0": "with a unit", "1.5": "with a unit", "3d": `"P1D"`, "five": "1m30s",
		"P": "PT1M30S", "PT": "PT1M30S", "P1DT": "PT1M30S", "P1": "PT1M30S", "PT1": "PT1M30S", "T1H": "1m30s", "P1H": "PT1M30S",
		"PT1D": "PT1M30S", "P1Y": "years", "P1M": "months", "P1Y2M": "years", "PT1M1H": "PT1M30S", "PT1M1M": "PT1M30S",
		"PT1.5M1S": "PT1M30S", "PT.5S": "PT1M30S", "PT1.S": "PT1M30S", "PT1.0000000001S": "nine digits", "PTT1S": "PT1M30S",
		"PT-1S": "PT1M30S", "--PT1S": "1m30s", "P 1D": "PT1M30S", "PT1S ": "PT1M30S", "pt1s": "1m30s", "PT1s": "PT1M30S",
		"PT9223372036.854775808S": "at most", "P106752D": "at most", "PT99999999999999999999999999S": "at most", "2562047h48m": "1m30s",
		"P106751DT24H": "at most", strings.Repeat("9", 1<<20): "1m30s", "P" + strings.Repeat("0", 200) + "D": "1m30s",
	} {
		d, err := target.ParseDuration(text)
		var e *target.Error
		if !errors.As(err, &e) || !errors.Is(err, duly.ErrInvalid) || d != 0 || !strings.Contains(e.Want, want) || len(err.Error()) > 300 {
			t.Errorf("%.40q: got %v, %v; want an error that says %q", text, d, err, want)
		}
	}
}

func TestDurationJSON(t *testing.T) {
	type doc struct {
		Grace target.Duration `json:"grace,omitempty"`
	}
	for text, want := range map[string]string{
		`{"grace":"PT90S"}`: `{"grace":"1m30s"}`, `{"grace":"0s"}`: `{}`, `{"grace":null}`: `{}`, `{}`: `{}`, `{"grace":"1\u0068"}`: `{"grace":"1h0m0s"}`,
	} {
		var v doc
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if b, err := json.Marshal(v); err != nil || string(b) != want {
			t.Errorf("%s: got %s, %v; want %s", text, b, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"grace":90}`:     `target: duration is "90", want a duration as "1m30s" or "PT1M30S", in quotation marks`,
		`{"grace":"90"}`:   `target: duration is "90", want a duration as "1m30s" or "PT1M30S", with a unit`,
		`{"grace":["1s"]}`: `target: duration is "[\"1s\"]", want a duration as "1m30s" or "PT1M30S", in quotation marks`,
		`{"grace":true}`:   `target: duration is "true", want a duration as "1m30s" or "PT1M30S", in quotation marks`,
	} {
		var v doc
		err := json.Unmarshal([]byte(text), &v)
		if err == nil || !errors.Is(err, duly.ErrInvalid) {
			t.Errorf("%s: got %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", text, diff)
		}
	}
}

// FuzzParseDuration holds it to what it promises of any text: no panic; what is read is written and read again as the same; what
// time.ParseDuration reads is read alike; and what ISO 8601 writes is the sum of its parts.
func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"1m30s", "PT1M30S", "P1DT2H", "-P1W", "PT0.000000001S", "P1Y", "0", "PT", "P106751DT23H47M16.854775807S"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := target.ParseDuration(s)
		if err != nil {
			if !errors.Is(err, duly.ErrInvalid) || d != 0 {
				t.Errorf("%v, %v", d, err)
			}
			return
		}
		again, err := target.ParseDuration(d.String())
		if err != nil || again != d {
			t.Errorf("%v is read as %v, %v", d, again, err)
		}
		if plain, err := time.ParseDuration(s); err == nil && plain != time.Duration(d) {
			t.Errorf("got %v, time.ParseDuration says %v", d, plain)
		}
		if days, ok := strings.CutPrefix(s, "P"); ok && strings.HasSuffix(days, "D") {
			whole, frac, found := strings.Cut(strings.TrimSuffix(days, "D"), ".")
			if !found && !strings.Contains(whole, ",") && !strings.Contains(whole, "W") {
				n, err := json.Number(strings.TrimLeft(whole, "0") + "0").Int64() // ten times as many
				if err != nil || time.Duration(n/10)*24*time.Hour != time.Duration(d) {
					t.Errorf("%q and %q: %v", whole, frac, d)
				}
			}
		}
	})
}
