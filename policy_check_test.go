package duly_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dulyhq/duly"
)

// What is read elsewhere and put into a store as it is has to be what a put would have written: a scheduler that reads it later can only
// take the default in its place.
func TestCheckPolicy(t *testing.T) {
	for _, good := range []string{
		"", `{}`, `{"attempts":3,"backoff":"1s","max_backoff":"1m0s","max_elapsed":"1h0m0s","overlap":"buffer-many:3","catch_up":"all:7","window":"1m0s",` +
			`"grace":"1s","start_within":"1s","timeout":"1s","key_limit":2,"at_most_once":true,"stop_on_error":true,"resume_missed":true}`,
	} {
		if err := duly.CheckPolicy([]byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		`[]`:                                   "policy",
		`{"atempts":3}`:                        "atempts",
		`{"attempts":-1}`:                      "attempts",
		`{"attempts":1000001}`:                 "attempts",
		`{"attempts":"3"}`:                     "attempts",
		`{"backoff":"-1s"}`:                    "backoff",
		`{"backoff":"soon"}`:                   "soon",
		`{"backoff":"1h","max_backoff":"1s"}`:  "max backoff",
		`{"max_elapsed":"-1s"}`:                "max elapsed",
		`{"window":"-1s"}`:                     "window",
		`{"grace":"-1s"}`:                      "grace",
		`{"start_within":"-1s"}`:               "start within",
		`{"timeout":"-1s"}`:                    "timeout",
		`{"key_limit":-1}`:                     "key's k",
		`{"overlap":"buffer-many:0"}`:          "buffer-many:0",
		`{"catch_up":"all:10001"}`:             "all:10001",
		`{"at_most_once":1}`:                   "at_most_once",
		`{"overlap":"sometimes","attempts":3}`: "sometimes",
	} {
		err := duly.CheckPolicy([]byte(bad))
		if !errors.Is(err, duly.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ErrInvalid that names %s", bad, err, want)
		}
	}
}
