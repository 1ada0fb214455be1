package postgres

import (
	"testing"
	"time"
)

func TestSampled(t *testing.T) {
	wall := time.Unix(1_000, 0)
	s, ok := sampled(5_000_000, 9_000_000, wall, wall.Add(4*time.Millisecond), wall.UnixMicro()-30_000)
	if want := (sample{boot: 9_000_000, offset: 32 * time.Millisecond, within: 2 * time.Millisecond}); !ok || s != want {
		t.Errorf("sample is %+v, %v; want %+v", s, ok, want)
	}
	if s, ok := sampled(5_000_000, 9_000_000, wall, wall.Add(time.Second), wall.UnixMicro()); ok {
		t.Errorf("a clock that was set during the exchange gives %+v", s)
	}
}

// contract: H4
func TestOffset(t *testing.T) {
	const second, ms = int64(time.Second), time.Millisecond
	for name, c := range map[string]struct {
		samples []sample
		best    sample
		kept    int
		set     bool // by the last sample
	}{
		"the shortest round trip is the best": {
			samples: []sample{{0, 10 * ms, 5 * ms}, {1 * second, 12 * ms, 1 * ms}, {2 * second, 15 * ms, 8 * ms}},
			best:    sample{1 * second, 12 * ms, 1 * ms}, kept: 2,
		},
		"of equals the youngest": {
			samples: []sample{{0, 10 * ms, 5 * ms}, {1 * second, 12 * ms, 5 * ms}},
			best:    sample{1 * second, 12 * ms, 5 * ms}, kept: 1,
		},
		"after a minute it is forgotten": {
			samples: []sample{{0, 10 * ms, 1 * ms}, {30 * second, 12 * ms, 5 * ms}, {61 * second, 13 * ms, 7 * ms}},
			best:    sample{30 * second, 12 * ms, 5 * ms}, kept: 2,
		},
		"a clock that is set contradicts all before": {
			samples: []sample{{0, 10 * ms, 1 * ms}, {1 * second, 2000 * ms, 5 * ms}},
			best:    sample{1 * second, 2000 * ms, 5 * ms}, kept: 1, set: true,
		},
		"one that is not exact contradicts nothing": {
			samples: []sample{{0, 10 * ms, 1 * ms}, {1 * second, 900 * ms, 1000 * ms}},
			best:    sample{0, 10 * ms, 1 * ms}, kept: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o offset
			set := false
			for _, s := range c.samples {
				set = o.add(s)
			}
			if set != c.set {
				t.Errorf("a clock was set: %v, want %v", set, c.set)
			}
			if got, ok := o.best(); !ok || got != c.best {
				t.Errorf("best is %+v, %v; want %+v", got, ok, c.best)
			}
			if len(o.samples) != c.kept {
				t.Errorf("%d samples are kept, want %d", len(o.samples), c.kept)
			}
		})
	}
}

// What is kept is bounded, however exact each sample is beside the one before.
func TestOffsetIsBounded(t *testing.T) {
	var o offset
	for i := range 10 * mostSamples {
		o.add(sample{boot: int64(i), within: time.Duration(i)})
	}
	if n := len(o.samples); n > mostSamples {
		t.Errorf("%d samples are kept, want at most %d", n, mostSamples)
	}
}

// contract: H4
func TestStandsDown(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		sample sample
		was    bool
		want   bool
		told   int64
	}{
		"right":                       {sample: sample{offset: 3 * ms}, told: 3_000},
		"a second off":                {sample: sample{offset: 1000 * ms}, told: 1_000_000},
		"more than a second ahead":    {sample: sample{offset: 1001 * ms}, want: true, told: 1_001_000},
		"more than a second behind":   {sample: sample{offset: -1001 * ms}, want: true, told: -1_001_000},
		"perhaps more than a second":  {sample: sample{offset: 1200 * ms, within: 300 * ms}, told: 1_000_000},
		"not surely back":             {sample: sample{offset: -1200 * ms, within: 300 * ms}, was: true, want: true, told: -1_200_000},
		"back":                        {sample: sample{offset: -1000 * ms}, was: true, told: -1_000_000},
		"hardly more than a second":   {sample: sample{offset: 1000*ms + 100}, want: true, told: 1_000_001},
		"hardly more than it, behind": {sample: sample{offset: -1000*ms - 100}, want: true, told: -1_000_001},
	} {
		t.Run(name, func(t *testing.T) {
			var o offset
			o.add(c.sample)
			down := o.stands(c.was)
			if told := o.told(down); down != c.want || told != c.told {
				t.Errorf("stands down %v and tells %d; want %v, %d", down, told, c.want, c.told)
			}
			if m := (member{offset: o.told(down)}); m.standsDown() != down {
				t.Errorf("others take it to stand down: %v", m.standsDown())
			}
		})
	}
	var none offset
	if none.stands(false) || !none.stands(true) || none.told(false) != 0 {
		t.Error("without a sample the node does not stay what it is")
	}
}
