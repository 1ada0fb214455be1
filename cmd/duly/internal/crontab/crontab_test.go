package crontab_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // where the system has no zone data

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/cmd/duly/internal/crontab"
)

// begin is before both changes of the clocks of a year.
var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// tell is a table as a person reads it: each entry, and each finding, on a line.
func tell(t *crontab.Table) string {
	var b strings.Builder
	for i := range t.Entries {
		e := &t.Entries[i]
		fmt.Fprintf(&b, "%d %s", e.Line, e.Schedule)
		if e.User != "" {
			fmt.Fprintf(&b, " as %s", e.User)
		}
		fmt.Fprintf(&b, ": %q", e.Command)
		if e.Stdin != "" {
			fmt.Fprintf(&b, " reads %q", e.Stdin)
		}
		all := e.Settings()
		var names []string
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&b, " %s=%q", name, all[name])
		}
		b.WriteByte('\n')
	}
	for _, f := range t.Findings {
		ignored := ""
		if f.Ignored {
			ignored = "ignored: "
		}
		fmt.Fprintf(&b, "%d:%d %s: %s%s\n", f.Line, f.Column, f.Severity, ignored, f.Text)
	}
	return b.String()
}

// TestRead goes through the rules of crontab(5), one by one.
func TestRead(t *testing.T) {
	tests := []struct {
		name   string
		system bool
		text   string
		want   string
	}{
		{name: "nothing", text: "", want: ""},
		{name: "blank lines and comments", text: "\n  \t\n# 0 0 * * * x\n \t# y\n", want: ""},
		{name: "a line", text: "0 3 * * * echo a\n", want: "1 cron 0 3 * * *: \"echo a\"\n"},
		{name: "blanks before and between", text: " \t0\t3  *   * *\t \techo  a \n", want: "1 cron 0 3 * * *: \"echo  a \"\n"},
		{name: "no comments behind commands", text: "0 3 * * * echo a # b\n", want: "1 cron 0 3 * * *: \"echo a # b\"\n"},
		{name: "names in any case, ranges, lists, steps", text: "0,30 9-17/2 1-7 JAN,mar-May Mon-FRI x\n", want: "1 cron 0,30 9-17/2 1-7 1,3-5 mon-fri: \"x\"\n" +
			"1:13 warning: day of month \"1-7\" and day of week \"Mon-FRI\" are both restricted: it runs on days that match either, here as with cron\n"},
		{name: "7 is Sunday", text: "0 3 * * 5-7 x\n0 4 * * 7 x\n", want: "1 cron 0 3 * * sun,fri,sat: \"x\"\n2 cron 0 4 * * sun: \"x\"\n"},
		{name: "a star restricts no days", text: "0 3 */2 * mon x\n", want: "1 cron 0 3 */2 * mon: \"x\"\n1:1 warning: day */2 is counted anew each month: the last interval depends on how long the month is\n"},
		{name: "macros in any case", text: "@daily a\n@Midnight b\n@HOURLY c\n@weekly d\n@monthly e\n@yearly f\n@annually g\n", want: "" +
			"1 cron 0 0 * * *: \"a\"\n2 cron 0 0 * * *: \"b\"\n3 cron 0 * * * *: \"c\"\n4 cron 0 0 * * sun: \"d\"\n5 cron 0 0 1 * *: \"e\"\n6 cron 0 0 1 1 *: \"f\"\n7 cron 0 0 1 1 *: \"g\"\n"},
		{name: "reboot", text: "@reboot a\n", want: "1:1 warning: ignored: @reboot: no schedule is of the start of the machine; let a unit of systemd run it (Type=oneshot, After=duly.service) or put it (duly in 0s -- CMD): docs/migrating/crontab.md shows one\n"},
		{name: "no such macro", text: "@dayly a\n@every_minute b\n", want: "" +
			"1:1 error: \"@dayly\": want one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, @reboot; did you mean @daily?\n" +
			"2:1 error: \"@every_minute\": want one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, @reboot; duly every runs something every so often\n"},
		{name: "a value that is wrong, at its place", text: "0 3 * * * a\n5 24 * * * b\n 0 0 1 jan,foo * c\n", want: "1 cron 0 3 * * *: \"a\"\n" +
			"2:3 error: hour \"24\": want 0 to 23; midnight is 0\n" +
			"3:12 error: month \"foo\": want 1 to 12 or jan to dec\n"},
		{name: "no line at all", text: "hello world\n1 2 3\n", want: "" +
			"1:1 error: \"hello world\": want NAME=VALUE, or five fields (minute hour day-of-month month day-of-week) and a command\n" +
			"2:1 error: \"1 2 3\": want NAME=VALUE, or five fields (minute hour day-of-month month day-of-week) and a command\n"},
		{name: "no command", text: "0 3 * * *\n0 3 * * * \n@daily\n0 3 * * * %in\n0 0 3 * * * x\n", want: "" +
			"1:10 error: the command is missing\n2:11 error: the command is missing\n3:7 error: the command is missing\n" +
			"4:11 error: there is no command before the %: want one, or \\% for a percent sign\n" +
			"5:11 error: the command begins with *: want five fields before it, minute first\n"},
		{name: "never", text: "0 0 30 2 * x\n", want: "1:1 warning: ignored: it never runs: no year has such a day\n"},
		{name: "percent is standard input", text: "0 22 * * * mail joe%Joe,%%Where are you?%\n0 1 * * * cat%\n0 2 * * * cat%a\n", want: "" +
			"1 cron 0 22 * * *: \"mail joe\" reads \"Joe,\\n\\nWhere are you?\\n\"\n2 cron 0 1 * * *: \"cat\"\n3 cron 0 2 * * *: \"cat\" reads \"a\\n\"\n"},
		{name: "escaped percent", text: `0 1 * * * date +\%F \\ \x` + "\n" + `0 2 * * * cat%1\%\n%2\\%3\` + "\n" + `0 3 * * * a\\%b` + "\n", want: "" +
			`1 cron 0 1 * * *: "date +%F \\\\ \\x"` + "\n" + `2 cron 0 2 * * *: "cat" reads "1%\\n\n2\\%3\\\n"` + "\n" + `3 cron 0 3 * * *: "a\\\\" reads "b\n"` + "\n"},
		{name: "percent that was not meant", text: "0 1 * * * date +%F\n0 1 * * * date '+x %F'\n0 1 * * * echo 'a' \\' %b\n", want: "" +
			"1 cron 0 1 * * *: \"date +\" reads \"F\\n\"\n2 cron 0 1 * * *: \"date '+x \" reads \"F'\\n\"\n3 cron 0 1 * * *: \"echo 'a' \\\\' \" reads \"b\\n\"\n" +
			"1:17 warning: the % ends the command, and what follows is its standard input: want \\% for a percent sign\n" +
			"2:20 warning: the % ends the command, and what follows is its standard input: want \\% for a percent sign\n"},
		{name: "settings hold from their line on", text: "0 1 * * * a\nA=1\n0 2 * * * b\nA=2\nB = 3\n0 3 * * * c\n", want: "" +
			"1 cron 0 1 * * *: \"a\"\n3 cron 0 2 * * *: \"b\" A=\"1\"\n6 cron 0 3 * * *: \"c\" A=\"2\" B=\"3\"\n"},
		{name: "values", text: "A=x y  \nB=\"  x y \"\t\nC = ' x\" '\nD=x \"y\"\nE=\nF = \n'G H'=1\n\"I\" = 2\nJ=a=b\nK=#x\n\tL=1\nM='a # b'\n0 1 * * * a\n", want: "13 cron 0 1 * * *: \"a\"" +
			` A="x y" B="  x y " C=" x\" " D="x \"y\"" E="" F="" G H="1" I="2" J="a=b" K="#x" L="1" M="a # b"` + "\n"},
		{name: "no comments behind values", text: "A=1 # b\nB=\t#c\nC=a#b\nCRON_TZ=UTC # d\nCRON_TZ=UTC\nD='x' # e\n0 1 * * * a\n", want: "7 cron 0 1 * * *: \"a\" A=\"1 # b\" B=\"#c\" C=\"a#b\" CRON_TZ=\"UTC\"\n" +
			"1:5 warning: A: a comment has a line of its own: what follows # is a part of the value, here as with cron\n" +
			"2:4 warning: B: a comment has a line of its own: what follows # is a part of the value, here as with cron\n" +
			"4:13 error: CRON_TZ \"UTC # d\": want the zone alone: a comment has a line of its own\n" +
			"6:3 error: D: want the quote ' closed at the end of the value, and nothing behind it\n"},
		{name: "quotes that are not closed", text: "A=\"x\nB='x' y\nC='\n\"D=1\n", want: "" +
			"1:3 error: A: want the quote \" closed at the end of the value, and nothing behind it\n" +
			"2:3 error: B: want the quote ' closed at the end of the value, and nothing behind it\n" +
			"3:3 error: C: want the quote ' closed at the end of the value, and nothing behind it\n" +
			"4:1 error: \"\\\"D=1\": want NAME=VALUE, or five fields (minute hour day-of-month month day-of-week) and a command\n"},
		{name: "settings behind a dash", text: "- A=\n- A='x\n-A=1\n-\n", want: "" +
			"1:1 warning: ignored: the - is passed over: it keeps cronie from logging the line, and duly keeps the history of everything\n" +
			"1:3 error: \"A=\": want NAME=VALUE, or five fields (minute hour day-of-month month day-of-week) and a command\n" +
			"2:1 warning: ignored: the - is passed over: it keeps cronie from logging the line, and duly keeps the history of everything\n" +
			"2:5 error: A: want the quote ' closed at the end of the value, and nothing behind it\n" +
			"4:1 warning: ignored: the - is passed over: it keeps cronie from logging the line, and duly keeps the history of everything\n" +
			"4:2 error: \"\": want NAME=VALUE, or five fields (minute hour day-of-month month day-of-week) and a command\n"},
		{name: "names", text: "=1\nDULY_NAME=x\nLOGNAME=x\nUSER=x\n", want: "" +
			"1:1 error: there is no name before =: want NAME=VALUE\n" +
			"2:1 warning: ignored: DULY_NAME is not set: the daemon sets what begins with DULY_\n" +
			"3:1 warning: ignored: LOGNAME is not set: it is the name of whoever a command runs as, as with cron\n" +
			"4:1 warning: ignored: USER is not set: it is the name of whoever a command runs as, as with cron\n"},
		{name: "nothing is expanded", text: "A=1\nB=$A\nC=${A}x\nPATH=~/bin:/bin\n0 1 * * * a\n", want: "" +
			"5 cron 0 1 * * *: \"a\" A=\"1\" B=\"$A\" C=\"${A}x\" PATH=\"~/bin:/bin\"\n" +
			"2:3 warning: B: nothing in a value is expanded, here as with cron: $ stays as it is\n" +
			"3:3 warning: C: nothing in a value is expanded, here as with cron: $ stays as it is\n" +
			"4:6 warning: PATH: nothing in a value is expanded, here as with cron: ~ stays as it is\n"},
		{name: "mail", text: "MAILTO=\"\"\nMAILTO=joe\nMAILFROM=x\n0 1 * * * a\n", want: "4 cron 0 1 * * *: \"a\" MAILFROM=\"x\" MAILTO=\"joe\"\n" +
			"2:1 warning: ignored: MAILTO: nothing is mailed; duly logs NAME prints what a task has printed, and duly ls how its last run went\n" +
			"3:1 warning: ignored: MAILFROM is only handed to the commands: it is the sender of mail, and duly sends none\n"},
		{name: "shell and home", text: "SHELL=/bin/bash\nHOME=/srv\n0 1 * * * a\nSHELL=bash\nHOME=srv\nSHELL=\n", want: "3 cron 0 1 * * *: \"a\" HOME=\"/srv\" SHELL=\"/bin/bash\"\n" +
			"4:7 warning: SHELL \"bash\" is no path: cron does not look for it, and fails; here it is looked for in PATH\n" +
			"5:6 error: HOME \"srv\": want a directory that begins with /, in which the commands run; nothing in a value is expanded\n" +
			"6:1 error: SHELL is empty: want a program such as /bin/bash\n"},
		{name: "zones", text: "0 1 * * * a\nCRON_TZ=Japan\n0 1 * * * b\nCRON_TZ=\n0 1 * * * c\nTZ=Asia/Tokyo\n", want: "" +
			"1 cron 0 1 * * *: \"a\"\n3 cron 0 1 * * * in Japan: \"b\" CRON_TZ=\"Japan\"\n5 cron 0 1 * * *: \"c\" CRON_TZ=\"\"\n" +
			"6:1 warning: TZ is for the commands alone: by which clock the lines run says CRON_TZ\n"},
		{name: "no zone", text: "CRON_TZ=Mars/Olympus\nCRON_TZ=Asia/Tokyo 0 9 * * * x\n", want: "" +
			"1:9 error: CRON_TZ \"Mars/Olympus\": want a zone of the IANA database, such as Europe/Berlin\n" +
			"2:9 error: CRON_TZ \"Asia/Tokyo 0 9 * * * x\": want the zone on a line of its own, before \"0 9 * * * x\"\n"},
		{name: "random delay", text: "RANDOM_DELAY=45\n0 1 * * * a\nRANDOM_DELAY=1441\n0 1 * * * b\nRANDOM_DELAY=99999999999999999999\n", want: "" +
			"2 cron 0 1 * * * jitter 45m: \"a\" RANDOM_DELAY=\"45\"\n4 cron 0 1 * * *: \"b\" RANDOM_DELAY=\"1441\"\n" +
			"3:14 warning: ignored: RANDOM_DELAY \"1441\": want minutes, 0 to 1440; here there is no delay\n" +
			"5:14 warning: ignored: RANDOM_DELAY \"99999999999999999999\": want minutes, 0 to 1440; here there is no delay\n"},
		{name: "random values", text: "~ 1~3 * * ~ a\n0 0 5~31 feb~mar * b\n0~ 0 9~3 * * c\n", want: "" +
			"1 cron h h(1-3) * * h: \"a\"\n2 cron 0 0 h(5-28) h(2-3) *: \"b\"\n" +
			"1:1 warning: minute \"~\": cronie picks a value whenever it reads the crontab; here it follows from the task's name, and stays\n" +
			"1:3 warning: hour \"1~3\": cronie picks a value whenever it reads the crontab; here it follows from the task's name, and stays\n" +
			"1:11 warning: day of week \"~\": cronie picks a value whenever it reads the crontab; here it follows from the task's name, and stays\n" +
			"2:5 warning: day of month \"5~31\": cronie picks a value whenever it reads the crontab; here it follows from the task's name, and stays\n" +
			"2:10 warning: month \"feb~mar\": cronie picks a value whenever it reads the crontab; here it follows from the task's name, and stays\n" +
			"3:1 warning: minute \"0~\": cronie picks a value whenever it reads the crontab; here it follows from the task's name, and stays\n" +
			"3:6 error: day of month \"9~3\": want two values of 1 to 28 with ~ between them, the lower one first\n"},
		{name: "steps that are longer than the field", text: "*/60 * * * * a\n0 8-10/24 * * * b\n0 0 */40 * mon c\n", want: "" +
			"1 cron 0 * * * *: \"a\"\n2 cron 0 8 * * *: \"b\"\n" +
			"1:1 warning: minute \"*/60\": the step is longer than the field, so that this is 0 alone, here as with cron\n" +
			"2:3 warning: hour \"8-10/24\": the step is longer than the field, so that this is 8 alone, here as with cron\n" +
			"3:7 error: day of month \"*/40\": want a step from 1 to 31\n"},
		{name: "not of crontab(5)", text: "5/20 * * * * a\n0 22-2 * * * b\n0 0 L * * c\n0 0 ? * mon#1 d\n0 0 * * sat-sun e\n", want: "" +
			"1 cron 5,25,45 * * * *: \"a\"\n2 cron 0 0-2,22,23 * * *: \"b\"\n3 cron 0 0 l * *: \"c\"\n4 cron 0 0 * * mon#1: \"d\"\n5 cron 0 0 * * sun,sat: \"e\"\n" +
			"1:1 warning: minute \"5/20\" is not of crontab(5), and another cron refuses it or reads it otherwise; here it is read as duly cron does\n" +
			"2:3 warning: hour \"22-2\" is not of crontab(5), and another cron refuses it or reads it otherwise; here it is read as duly cron does\n" +
			"3:5 warning: day of month \"L\" is not of crontab(5), and another cron refuses it or reads it otherwise; here it is read as duly cron does\n" +
			"4:5 warning: day of month \"?\" is not of crontab(5), and another cron refuses it or reads it otherwise; here it is read as duly cron does\n" +
			"4:9 warning: day of week \"mon#1\" is not of crontab(5), and another cron refuses it or reads it otherwise; here it is read as duly cron does\n"},
		{name: "what schedules warn of", text: "0 0 31 * * a\n* 3 * * * b\n", want: "1 cron 0 0 31 * *: \"a\"\n2 cron * 3 * * *: \"b\"\n" +
			"1:1 warning: day 31 is not in every month: it is left out in February, April, June, September and November\n" +
			"2:1 warning: it runs 60 times in each hour that it names: did you mean \"cron 0 3 * * *\"?\n"},
		{name: "daylight saving", text: "CRON_TZ=Europe/Berlin\n30 2 * * * a\n0 9 * * * b\n30 * * * * c\n", want: "" +
			"2 cron 30 2 * * * in Europe/Berlin: \"a\" CRON_TZ=\"Europe/Berlin\"\n3 cron 0 9 * * * in Europe/Berlin: \"b\" CRON_TZ=\"Europe/Berlin\"\n" +
			"4 cron 30 * * * * in Europe/Berlin: \"c\" CRON_TZ=\"Europe/Berlin\"\n" +
			"2:4 warning: on 2026-03-29 the clocks of Europe/Berlin skip a time that is named: it runs once behind the gap then, at 03:00 +02:00\n" +
			"2:4 warning: on 2026-10-25 the clocks of Europe/Berlin repeat a time that is named: it runs the first time, at 02:30 +02:00, and not the second\n"},
		{name: "daylight saving, otherwise than cron", text: "CRON_TZ=Europe/Berlin\n*/30 2 * * * a\n", want: "" +
			"2 cron */30 2 * * * in Europe/Berlin: \"a\" CRON_TZ=\"Europe/Berlin\"\n" +
			"2:6 warning: on 2026-03-29 the clocks of Europe/Berlin skip a time that is named: it runs once behind the gap then, at 03:00 +02:00; cron leaves it out, since the minutes begin with *\n" +
			"2:6 warning: on 2026-10-25 the clocks of Europe/Berlin repeat a time that is named: it runs the first time, at 02:00 +02:00, and not the second; cron runs it both times, since the minutes begin with *\n"},
		{name: "options of cronie", text: "-0 1 * * * a\n0 2 * * * -n b\n", want: "1 cron 0 1 * * *: \"a\"\n2 cron 0 2 * * *: \"b\"\n" +
			"1:1 warning: ignored: the - is passed over: it keeps cronie from logging the line, and duly keeps the history of everything\n" +
			"2:11 warning: ignored: the -n is passed over: it asks for mail only of what has failed, and duly sends no mail\n"},
		{name: "options of BSD", text: "0 1 * * * -q -s a -n\n0 2 * * * -x b\n0 3 * * * -n\n", want: "1 cron 0 1 * * *: \"a -n\"\n2 cron 0 2 * * *: \"-x b\"\n3 cron 0 3 * * *: \"-n\"\n" +
			"1:11 warning: ignored: the -q is passed over: it keeps BSD's cron from logging the line, and duly keeps the history of everything\n" +
			"1:14 warning: ignored: the -s is passed over: it keeps OpenBSD's cron from starting what still runs; --overlap skip does it here, for all lines\n" +
			"2:11 warning: \"-x\": the command begins with -, and no program is called so; cronie refuses it as an option that it does not know\n" +
			"3:11 warning: \"-n\": the command begins with -, and no program is called so; cronie refuses it as an option that it does not know\n"},
		{name: "no line break at the end", text: "0 1 * * * a\n0 2 * * * b", want: "1 cron 0 1 * * *: \"a\"\n2 cron 0 2 * * *: \"b\"\n" +
			"2:12 warning: the last line does not end with a line break: cron passes it over, or the whole crontab; here it is taken\n"},
		{name: "a byte order mark", text: "\ufeff0 1 * * * a\n0 2 * * * b\n", want: "1 cron 0 1 * * *: \"a\"\n2 cron 0 2 * * *: \"b\"\n" +
			"1:1 warning: the file begins with a byte order mark: here it is left out, but cron takes it for a part of the first line\n"},
		{name: "a byte order mark alone", text: "\ufeff", want: "1:1 warning: the file begins with a byte order mark: here it is left out, but cron takes it for a part of the first line\n"},
		{name: "lines as on Windows", text: "A=\"x\"\r\n\r\n# c\r\n0 1 * * * a\r\n", want: "4 cron 0 1 * * *: \"a\" A=\"x\"\n" +
			"1:6 warning: lines end as on Windows; here that is left out, but cron makes the carriage return a part of the command\n"},
		{name: "a system's crontab", system: true, text: "17 * * * *\troot    cd / && run-parts --report /etc/cron.hourly\n@daily ann x\n0 1 * * * ann\n0 2 * * *\n0 3 * * * /bin/true x\n@reboot root x\n", want: "" +
			"1 cron 17 * * * * as root: \"cd / && run-parts --report /etc/cron.hourly\"\n2 cron 0 0 * * * as ann: \"x\"\n" +
			"3:11 error: \"ann\" stands alone: want a user and a command, in a system's crontab\n" +
			"4:10 error: the user is missing: want one before the command, in a system's crontab\n" +
			"5:11 error: \"/bin/true\": want a user before the command; a user's own crontab has none, and is read without --system\n" +
			"6:1 warning: ignored: @reboot: no schedule is of the start of the machine; let a unit of systemd run it (Type=oneshot, After=duly.service) or put it (duly in 0s -- CMD): docs/migrating/crontab.md shows one\n"},
		{name: "a user where none belongs", text: "0 1 * * * root x\n", want: "1 cron 0 1 * * *: \"root x\"\n" +
			"1:11 warning: the command is called root: of a system's crontab, whose lines have a user, --system says so\n"},
		{name: "bytes", text: "0 1 * * * a\x00b\n0 1 * * * a\xffb\n# \xff\x00\n0 1 * * * ä\n", want: "4 cron 0 1 * * *: \"ä\"\n" +
			"1:12 error: there is a byte 0: want text\n2:12 error: there is a byte that is not UTF-8: want UTF-8, into which iconv(1) translates\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := crontab.Read(tt.text, crontab.Options{System: tt.system, Now: begin})
			if diff := cmp.Diff(tt.want, tell(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRead_Zone: what is said outside holds up to the first CRON_TZ, and again after an empty one.
func TestRead_Zone(t *testing.T) {
	got := crontab.Read("0 9 * * * a\nCRON_TZ=UTC\n0 9 * * * b\nCRON_TZ=''\n0 9 * * * c\n", crontab.Options{Zone: "Asia/Tokyo", Now: begin})
	var zones []string
	for _, e := range got.Entries {
		zones = append(zones, e.Schedule.Zone())
	}
	if diff := cmp.Diff([]string{"Asia/Tokyo", "UTC", "Asia/Tokyo"}, zones); diff != "" || len(got.Findings) > 0 {
		t.Errorf("(-want +got):\n%s\n%v", diff, got.Findings)
	}
}

// TestRead_Hostile: what no crontab is ends soon, with few words.
func TestRead_Hostile(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	tests := []struct {
		name, text, want string // of the last finding
		most             int    // findings
	}{
		{"a long line", "0 1 * * * " + long + "\n0 2 * * * x\n", "1:131072 error: the line is 1048586 bytes long: want at most 131071, which is what a process can be handed", 1},
		{"a long setting", "A='" + long + "\n", "1:131072 error: the line is 1048579 bytes long", 1},
		{"a long field", strings.Repeat("1,", 60_000) + "1 * * * * x\n", `1:4097 error: cron "1,1,1`, 1},
		{"many random values", strings.Repeat("~,", 60_000) + "~ * * * * x\n", "1:4097 error: cron", 1},
		{"a long file", strings.Repeat("\n", crontab.MaxFile+1), "1:1 error: the crontab is longer than 4194304 bytes", 1},
		{"much that is wrong", strings.Repeat("x\n", 1<<20), "1000:1 error: this is all that is said of a crontab", 1001},
		{"much of all", strings.Repeat("A=1\n0 1 * * * x\n", 100_000), "2001:1 error: there are more than 1000 settings", 1},
		{"many lines", strings.Repeat("@daily x\n", 100_000), "10001:1 error: there are more than 10000 lines to run", 1},
		{"much to be set", strings.Repeat("A="+long[:1<<16]+"\n", 2), "2:1 error: the settings have more than 131072 bytes", 1},
		{"bytes", strings.Repeat("\x00\xff\n", 1000), "1000:1 error: this is all", 1001},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := crontab.Read(tt.text, crontab.Options{Now: begin})
			if len(got.Findings) == 0 || len(got.Findings) > tt.most || !got.Bad() {
				t.Fatalf("%d findings", len(got.Findings))
			}
			last := tell(&crontab.Table{Findings: got.Findings[len(got.Findings)-1:]})
			if !strings.HasPrefix(last, tt.want) || len(last) > 400 {
				t.Errorf("the last finding is %q, want %q", last, tt.want)
			}
		})
	}
}

// TestRead_Long: a thousand lines and their settings.
func TestRead_Long(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "# %d\n%d %d * * * job %d\n", i, i%60, i%24, i)
	}
	got := crontab.Read(b.String(), crontab.Options{Zone: "Europe/Berlin", Now: begin})
	if len(got.Entries) != 1000 || got.Bad() || got.Entries[999].Line != 2000 {
		t.Errorf("%d entries, findings %v", len(got.Entries), got.Findings)
	}
}

// FuzzRead: no text panics or hangs, each place is in the text, and what is found right keeps to what an entry promises.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"SHELL=/bin/bash\n30 2 * * mon-fri x%y\\%z\n", "CRON_TZ=Europe/Berlin\nRANDOM_DELAY=5\n@daily root a\n", "A='b\r\n*/90 ~ L 1-13 7#2 x", "- A=", "-@reboot x\n0 0 30 2 * x\n",
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, system bool) {
		got := crontab.Read(text, crontab.Options{System: system, Zone: "America/Santiago", Now: begin})
		lines := strings.Split(text, "\n")
		for _, x := range got.Findings {
			if x.Line < 1 || x.Line > len(lines) || x.Column < 1 || x.Column > len(lines[x.Line-1])+1 || x.Text == "" {
				t.Fatalf("a finding at %d:%d: %q", x.Line, x.Column, x.Text)
			}
		}
		for i := range got.Entries {
			e := &got.Entries[i]
			if err := e.Schedule.Err(); err != nil || strings.TrimSpace(e.Command) == "" && strings.Trim(e.Command, " \t\v\f\r") == "" || (e.User != "") != system {
				t.Fatalf("line %d: %q as %q, %v", e.Line, e.Command, e.User, err)
			}
			if strings.Contains(e.Command+e.Stdin, "\x00") || e.Stdin != "" && !strings.HasSuffix(e.Stdin, "\n") {
				t.Fatalf("line %d: %q reads %q", e.Line, e.Command, e.Stdin)
			}
		}
		names := crontab.Names("x", got.Entries, nil)
		slices.Sort(names)
		if len(slices.Compact(names)) != len(got.Entries) {
			t.Fatalf("names come twice: %q", names)
		}
	})
}
