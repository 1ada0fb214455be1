package target_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/target"
)

// TestCallbackCodec holds it to what encoding/json makes of the same bytes, whoever wrote them.
func TestCallbackCodec(t *testing.T) {
	t.Parallel()
	check := func(t interface {
		Helper()
		Fatalf(format string, args ...any)
	}, b []byte,
	) {
		t.Helper()
		var want target.Callback
		wantErr := json.Unmarshal(b, &want)
		got, err := target.CallbackCodec{}.Decode(b)
		if (err == nil) != (wantErr == nil) || err == nil && !cmp.Equal(got, want) {
			t.Fatalf("%q: %+v, %v\nwant %+v, %v", b, got, err, want, wantErr)
		}
	}
	for _, s := range []string{
		`{"url":"u"}`, `{"url":"u","output_limit":7}`, `{"url":"u","url":"v"}`, `{"header":{"a":"1"},"header":{"b":"2"}}`, `{"header":{"a":"1","a":"2"}}`,
		`{"header":{}}`, `{"header":null}`, `{"url":null}`, `{}`, ``, `{`, `{"url"`, `{"url":`, `{"url":"`, `{"url":"\`, `{"url":"\"`, `{"url":"u"`, `{"url":"u",}`,
		`{"url":"u"}x`, ` {"url":"u"}`, `{"url": "u"}`, `{"URL":"u"}`, `{"more":"u"}`, `{"url":"\u0061\ud83d\ude00\ud83d"}`, "{\"url\":\"\xff\"}", "{\"url\":\"a\nb\"}",
		`{"url":"\"\\\/\b\f\n\r\t"}`, `{"url":"\x"}`, `{"body":"{\"a\":\"b\"}","header":{"X-\"":"\\"},"method":"PUT"}`, `{"url":1}`, `[]`, `null`,
	} {
		check(t, []byte(s))
	}
	words := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("a:,{}<\"\\/\n\t\x7f\u2028é")), 0, 12, -1))
	rapid.Check(t, func(t *rapid.T) {
		c := target.Callback{URL: words.Draw(t, "url"), Method: words.Draw(t, "method"), Body: words.Draw(t, "body"), OutputLimit: rapid.Int64Range(0, 2).Draw(t, "limit")}
		if rapid.Bool().Draw(t, "headers") {
			c.Header = rapid.MapOfN(words, words, 0, 3).Draw(t, "header")
		}
		b, err := target.CallbackCodec{}.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		check(t, b)
		if len(b) > 0 { // as something else might have written it
			i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			b[i] = rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte(`"\{}:, nu`))).Draw(t, "byte")
			check(t, b)
		}
	})
}
