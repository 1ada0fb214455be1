package wait

import (
	"context"
	"testing"
)

// Those who wait for several futures, and do not any more, leave nothing in them.
func TestFuture_NothingIsLeftBehind(t *testing.T) {
	left := func(what string, fs ...*Future[int]) {
		t.Helper()
		for i, f := range fs {
			if n := len(f.g.hooks); n != 0 {
				t.Errorf("%s: %d hooks in future %d", what, n, i)
			}
		}
	}
	var a, b, c Promise[int]
	fs := []*Future[int]{a.Future(), b.Future(), c.Future()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 3 {
		All(fs...).Cancel()
		left("All, cancelled", fs...)
		Any(fs...).Cancel()
		left("Any, cancelled", fs...)
		fs[0].Then(func(int, error) { t.Error("called") })()
		left("Then, taken back", fs...)
	}
	first, all := Any(fs...), All(fs...)
	if n := len(fs[2].g.hooks); n != 2 {
		t.Errorf("%d hooks, want 2", n)
	}
	a.Resolve(1, nil)
	if _, ok, _ := first.TryGet(); !ok || len(fs[2].g.hooks) != 1 {
		t.Error("the first has come, and its hooks are still there")
	}
	for range AsCompleted(ctx, fs...) {
		cancel()
	}
	all.Cancel()
	left("AsCompleted, ended", fs...)
	for range AsCompleted(t.Context(), fs...) {
		break
	}
	left("AsCompleted, left early", fs...)
}
