package schedule

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// equalCron compares all that a cron expression consists of.
var equalCron = cmp.AllowUnexported(cron{}, yearRange{}, hashItem{})

// cronText is the canonical text of an expression that must read.
func cronText(t *testing.T, expr string) string {
	t.Helper()
	k, err := parseCron(expr)
	if err != nil {
		t.Fatalf("parseCron(%q): %v", expr, err)
	}
	return string(k.appendText(nil))
}

func TestCronText(t *testing.T) {
	tests := []struct {
		expr, canonical string // no canonical text: as it was read
	}{
		// All, and steps.
		{"* * * * *", ""},
		{"? ? ? ? ?", "* * * * *"},
		{" \t0  9\t* *   mon-fri\t ", "0 9 * * mon-fri"},
		{"*/1 * * * *", "* * * * *"},
		{"*/15 */6 */10 */3 */2", ""},
		{"*/59 */23 */31 */12 */7", ""},
		{"*/15,7 * * * *", ""},
		{"*/15,7,30 * * * *", "*/15,7 * * * *"},
		{"*/10,*/5 * * * *", "*/5 * * * *"},
		{"*/2,*/3 * * * *", "*/2,3-57/6 * * * *"},
		{"*/20,5-8 * * * *", "*/20,5-8 * * * *"},
		{"*,5 * * * *", "* * * * *"},
		{"5,* * * * *", "0-59 * * * *"}, // begins with no star

		// Numbers, ranges and lists.
		{"00 007 * * *", "0 7 * * *"},
		{"5,3,4 * * * *", "3-5 * * * *"},
		{"5,4 * * * *", "4,5 * * * *"},
		{"1-1 * * * *", "1 * * * *"},
		{"0-59 0-23 1-31 1-12 0-7", "0-59 0-23 1-31 1-12 sun-sat"},
		{"1-9/2 * * * *", ""},
		{"1-10/2 * * * *", "1-9/2 * * * *"},
		{"0,20,40 * * * *", ""},
		{"0-40/20 * * * *", "0,20,40 * * * *"},
		{"0,15,30,45 * * * *", "0-45/15 * * * *"},
		{"0/15 * * * *", "0-45/15 * * * *"},
		{"10/20 * * * *", "10,30,50 * * * *"},
		{"0-2/5 * * * *", "0 * * * *"},
		{"1,2,3,10,20,30,40 * * * *", "1-3,10,20,30,40 * * * *"},
		{"0,15,30,45,50 * * * *", ""},

		// Ranges over the end.
		{"50-10/10 * * * *", "0,10,50 * * * *"},
		{"0 22-2 * * *", "0 0-2,22,23 * * *"},
		{"0 22-2/2 * * *", "0 0,2,22 * * *"},
		{"0 21-3/2 * * *", "0 1,3,21,23 * * *"},
		{"59-58 * * * *", "0-59 * * * *"},
		{"0 0 25-5 nov-feb *", "0 0 1-5,25-31 1,2,11,12 *"},
		{"0 0 25-5/3 * *", "0 0 3,25,28,31 * *"},
		{"0 0 * * FRI-TUE", "0 0 * * sun-tue,fri,sat"},
		{"0 0 * * thu-tue/3", "0 0 * * sun,thu"},

		// Names and Sundays.
		{"0 0 * JAN,feb,Dec Sun", "0 0 * 1,2,12 sun"},
		{"0 0 * oct/1 *", "0 0 * 10-12 *"},
		{"0 0 * * 7", "0 0 * * sun"},
		{"0 0 * * 0,7", "0 0 * * sun"},
		{"0 0 * * 5-7", "0 0 * * sun,fri,sat"},
		{"0 0 * * 7-2", "0 0 * * sun-tue"},
		{"0 0 * * 7-7", "0 0 * * sun"},
		{"0 0 * * 7-0", "0 0 * * sun"},
		{"0 0 * * 6-0", "0 0 * * sun,sat"},
		{"0 0 * * 0-7/2", "0 0 * * sun-sat/2"},
		{"0 0 * * 1-7/2", "0 0 * * sun,mon,wed,fri"},
		{"0 0 * * 7/2", "0 0 * * sun-sat/2"},
		{"0 0 * * 3/2", "0 0 * * wed,fri"},
		{"0 0 * * */2,mon", ""},

		// Last days, weekdays nearest to a day, and those of a month counted.
		{"0 0 L * *", "0 0 l * *"},
		{"0 0 L-0,l-30,L-3 * *", "0 0 l,l-3,l-30 * *"},
		{"0 0 LW,L-0W,L-2w * *", "0 0 lw,l-2w * *"},
		{"0 0 15W,2w,1 * *", "0 0 1,2w,15w * *"},
		{"0 0 l,1w,lw,1 * *", "0 0 1,1w,l,lw * *"},
		{"0 0 *,l,3w * *", "0 0 * * *"},
		{"0 0 1-31,lw * *", "0 0 1-31 * *"},
		{"0 0 */2,l * *", ""},
		{"0 0 * * 5L", "0 0 * * fril"},
		{"0 0 * * FRIL,mon#2,7L,0#1", "0 0 * * sun#1,sunl,mon#2,fril"},
		{"0 0 * * 1#4,1L,1#1,2", "0 0 * * tue,mon#1,mon#4,monl"},
		{"0 0 * * 0-6,sat#3", "0 0 * * sun-sat"},
		{"0 0 * * *,sat#3", "0 0 * * *"},
		{"0 0 * * mon#1,mon#2,mon#3,mon#4,mon#5,monl", "0 0 * * mon"},

		// H.
		{"H h(1-7) * * *", "h h(1-7) * * *"},
		{"H/10 H(9-17)/2 H(1-14) H H(MON-FRI)", "h/10 h(9-17)/2 h(1-14) h h(mon-fri)"},
		{"H(0-59) * H(1-28) * H(0-6)", "h * h * h"},
		{"* H(0-23) * H(1-12) *", "* h * h *"},
		{"H(5-5) * * * *", "5 * * * *"},
		{"h,H,5,h/30 * * * *", "5,h,h/30 * * * *"},
		{"*,h * * * *", "* * * * *"},
		{"*/30,h * * * *", "*/30,h * * * *"},
		{"1-5,h(2-4) * * * *", "1-5 * * * *"},
		{"h 0 h * * *", ""},

		// Seconds and years.
		{"0 0 9 * * *", ""},
		{"* * * * * *", ""},
		{"*/10 * * * * ?", "*/10 * * * * *"},
		{"0 0 0 * * * *", ""},
		{"0 0 0 * * ? ?", "0 0 0 * * * *"},
		{"0 0 0 1 1 * 2030", ""},
		{"0 0 0 1 1 * */1", "0 0 0 1 1 * *"},
		{"0 0 0 1 1 * *,2030", "0 0 0 1 1 * *"},
		{"0 0 0 1 1 * 1970-9999", ""},
		{"0 0 0 1 1 * */25", ""},
		{"0 0 0 1 1 * 1970/25", "0 0 0 1 1 * */25"},
		{"0 0 0 1 1 * 2022/3", ""},
		{"0 0 0 1 1 * 2022-9998/2", "0 0 0 1 1 * 2022/2"},
		{"0 0 0 1 1 * 9999", ""},
		{"0 0 0 1 1 * */9999", "0 0 0 1 1 * 1970"},
		{"0 0 0 1 1 * 2025,2021-2023,2028", "0 0 0 1 1 * 2021-2023,2025,2028"},
		{"0 0 0 1 1 * 2022,2020,2021", "0 0 0 1 1 * 2020-2022"},
		{"0 0 0 1 1 * 2021,2020", "0 0 0 1 1 * 2020,2021"},
		{"0 0 0 1 1 * 2020-2025,2023-2030", "0 0 0 1 1 * 2020-2030"},
		{"0 0 0 1 1 * 2020-2028/4", "0 0 0 1 1 * 2020,2024,2028"},
		{"0 0 0 1 1 * 2020,2024,2028,2032", "0 0 0 1 1 * 2020-2032/4"},
		{"0 0 0 1 1 * 2020-2035/4,2000", "0 0 0 1 1 * 2000,2020-2032/4"},
		{"0 0 0 1 1 * 2000/2,2000/4,2001", "0 0 0 1 1 * 2000/2,2001"},
		{"0 0 0 1 1 * 2000-2010,2002-2010/2,2050", "0 0 0 1 1 * 2000-2010,2050"},
		{"0 0 0 1 1 * 2004,2000/4,2001", "0 0 0 1 1 * 2000/4,2001"},

		// Macros.
		{"@yearly", "0 0 1 1 *"},
		{"@ANNUALLY", "0 0 1 1 *"},
		{"@Monthly", "0 0 1 * *"},
		{"@weekly", "0 0 * * sun"},
		{"\t@daily ", "0 0 * * *"},
		{"@midnight", "0 0 * * *"},
		{"@hourly", "0 * * * *"},
	}
	for _, tt := range tests {
		want := tt.canonical
		if want == "" {
			want = tt.expr
		}
		if got := cronText(t, tt.expr); got != want {
			t.Errorf("the canonical text of %q is %q, want %q", tt.expr, got, want)
		}
		checkCronRoundTrip(t, tt.expr)
	}
}

// checkCronRoundTrip holds what an expression says against what its canonical text says.
func checkCronRoundTrip(t interface {
	Helper()
	Errorf(string, ...any)
}, expr string,
) {
	t.Helper()
	k, err := parseCron(expr)
	if err != nil {
		t.Errorf("parseCron(%q): %v", expr, err)
		return
	}
	text := string(k.appendText(nil))
	again, err := parseCron(text)
	if err != nil {
		t.Errorf("the canonical text of %q is %q, and that does not read: %v", expr, text, err)
		return
	}
	if diff := cmp.Diff(k, again, equalCron); diff != "" {
		t.Errorf("%q and its canonical text %q differ (-expression +canonical):\n%s", expr, text, diff)
	}
	if s := string(again.appendText(nil)); s != text {
		t.Errorf("the canonical text of %q is %q, and the canonical text of that is %q", expr, text, s)
	}
}

// cronItem draws an item of a field as a person might write it, and now and then as none would.
func cronItem(f field) *rapid.Generator[string] {
	spec := cronFields[f]
	hi := spec.hi
	if f == fieldDow {
		hi = 7
	}
	if f == fieldYear {
		hi = 2100
	}
	return rapid.Custom(func(t *rapid.T) string {
		number := func(lo, hi int) string { return strconv.Itoa(rapid.IntRange(lo, hi).Draw(t, "number")) }
		value := func() string {
			if spec.names != nil && rapid.Bool().Draw(t, "named") {
				name := rapid.SampledFrom(spec.names).Draw(t, "name")
				if rapid.Bool().Draw(t, "upper") {
					return strings.ToUpper(name)
				}
				return name
			}
			return number(spec.lo, hi)
		}
		step := func() string {
			if rapid.Bool().Draw(t, "stepped") {
				return "/" + number(1, min(spec.maxStep, 40))
			}
			return ""
		}
		forms := []func() string{
			value,
			value,
			func() string { return "*" + step() },
			func() string { return value() + "/" + number(1, min(spec.maxStep, 40)) },
			func() string {
				if f == fieldYear {
					lo := rapid.IntRange(spec.lo, hi).Draw(t, "lo")
					return strconv.Itoa(lo) + "-" + number(lo, hi) + step()
				}
				return value() + "-" + value() + step()
			},
		}
		if f != fieldYear {
			forms = append(forms, func() string {
				if rapid.Bool().Draw(t, "anywhere") {
					return "h" + step()
				}
				last := min(spec.hi, 28)
				if f < fieldDom {
					last = spec.hi
				}
				lo := rapid.IntRange(spec.lo, last).Draw(t, "lo")
				return "H(" + strconv.Itoa(lo) + "-" + number(lo, last) + ")" + step()
			})
		}
		switch f {
		case fieldDom:
			forms = append(forms,
				func() string { return rapid.SampledFrom([]string{"L", "lw", "l-0w"}).Draw(t, "last") },
				func() string { return "l-" + number(0, 30) + rapid.SampledFrom([]string{"", "w"}).Draw(t, "w") },
				func() string { return number(1, 31) + "W" },
			)
		case fieldDow:
			forms = append(forms,
				func() string { return value() + "L" },
				func() string { return value() + "#" + number(1, 5) },
			)
		default:
		}
		return rapid.SampledFrom(forms).Draw(t, "form")()
	})
}

// cronExpr draws an expression of 5, 6 or 7 fields.
func cronExpr() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		first := rapid.SampledFrom([]field{fieldMinute, fieldSecond}).Draw(t, "first")
		last := fieldDow
		if first == fieldSecond && rapid.Bool().Draw(t, "with year") {
			last = fieldYear
		}
		var fields []string
		for f := first; f <= last; f++ {
			items := rapid.SliceOfN(cronItem(f), 1, 4).Draw(t, cronFields[f].name)
			fields = append(fields, strings.Join(items, ","))
		}
		return strings.Join(fields, " ")
	})
}

func TestCronTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkCronRoundTrip(t, cronExpr().Draw(t, "expression"))
	})
}

// The canonical text of the longest expressions can be read, too.
func TestCronTextLength(t *testing.T) {
	hashes := func(lo, hi int) string {
		var items []string
		for v := lo; v <= hi; v++ {
			if v%3 != 0 {
				items = append(items, strconv.Itoa(v))
			}
		}
		for step := 1; step <= maxHashes; step++ {
			items = append(items, "h("+strconv.Itoa(lo)+"-"+strconv.Itoa(hi)+")/"+strconv.Itoa(step))
		}
		return strings.Join(items, ",")
	}
	days := []string{hashes(1, 28), "l", "lw"}
	for i := 1; i <= 30; i++ {
		n := strconv.Itoa(i)
		days = append(days, "l-"+n, "l-"+n+"w", n+"w")
	}
	var week []string
	for d := range 7 {
		for n := 1; n <= 4; n++ {
			week = append(week, strconv.Itoa(d)+"#"+strconv.Itoa(n))
		}
	}
	expr := strings.Join([]string{
		hashes(0, 59), hashes(0, 59), hashes(0, 23), strings.Join(days, ","), hashes(1, 12), strings.Join(week, ","), rareYears(21),
	}, " ")
	checkCronRoundTrip(t, expr)
	if n := len(cronText(t, expr)); n > maxText/2 {
		t.Errorf("a canonical text of %d bytes, want room for clauses in %d", n, maxText)
	}
}

func FuzzParseCron(f *testing.F) {
	for _, seed := range []string{
		"", "* * * * *", "*/15,7 22-2/2 l-3w,15w nov-feb mon#2,fril", "h(0-29)/10 h * h *", "0 0 0 1 1 ? 2020/3,2000-2010/2",
		"@daily", "@reboot", "0 9 * *\u00a0*", "0 0 * * 7-0/3", "*/90 * * * *", "1,,2 * * * *", "\xff * * * *", "٣ * * * *",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseCron(text)
		if err == nil {
			if k.empty() && len(k.hashed) == 0 {
				if _, ok := k.next(makeCivil(0, 0)); ok {
					t.Errorf("%q is empty and has a match", text)
				}
			}
			checkCronRoundTrip(t, text)
			return
		}
		if err.Field == "" || err.Want == "" || err.Pos < 1 || err.Pos > len(text)+1 {
			t.Errorf("parseCron(%q) = %+v, want a field, what would be right and a place in the text", text, err)
		}
	})
}
