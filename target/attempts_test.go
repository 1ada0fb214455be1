package target_test

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/target"
)

// TestAttemptJSON holds the short way of writing an attempt down to what encoding/json makes of it.
func TestAttemptJSON(t *testing.T) {
	t.Parallel()
	instants := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 3).Draw(t, "none") == 0 {
			return time.Time{}
		}
		const year10000 = 253402300800
		return time.Unix(rapid.Int64Range(-1<<33, year10000+1000).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	})
	words := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("a/-.<>&\"\\ \n\x7f\u2028é")), 0, 20, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 9), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		a := target.Attempt{
			Namespace: words.Draw(t, "namespace"), Name: words.Draw(t, "name"), Kind: words.Draw(t, "kind"), RunID: words.Draw(t, "run_id"),
			Number: rapid.Int().Draw(t, "number"), Fence: rapid.Int64().Draw(t, "fence"),
			ScheduledFor: instants.Draw(t, "scheduled for"), Due: instants.Draw(t, "due"), Started: instants.Draw(t, "started"), Ended: instants.Draw(t, "ended"),
			Outcome: words.Draw(t, "outcome"), ExitCode: rapid.Ptr(rapid.Int(), true).Draw(t, "exit code"), Signal: words.Draw(t, "signal"),
			Status: rapid.IntRange(0, 599).Draw(t, "status"), Reason: words.Draw(t, "reason"),
			Bytes: rapid.Int64().Draw(t, "bytes"), Omitted: rapid.Int64Range(0, 9).Draw(t, "omitted"), Running: rapid.Bool().Draw(t, "running"),
		}
		want, wantErr := json.Marshal(&a)
		got, err := target.AttemptJSON(&a)
		if (err == nil) != (wantErr == nil) || err == nil && string(got) != string(want) {
			t.Fatalf("%s, %v\nwant %s, %v", got, err, want, wantErr)
		}
	})
}
