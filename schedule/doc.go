// Package schedule says when: a [Schedule] is a rule that yields instants, one or many.
//
// It is pure arithmetic. It starts nothing, reads no clock and knows nothing of tasks but their names; that an occurrence
// is late, missed or overlaps the run before it is for whoever runs it to settle.
//
//	s := schedule.Every(15 * time.Minute).Jitter(30 * time.Second)
//	r := s.Bind("report", accepted)      // phase from the instant of acceptance, jitter from the name
//	due := r.Next(t).Add(r.Offset())     // Next is nominal, strictly after t; the zero time is never
//
// # Which of the three that recur
//
// [Every] keeps to a grid: use it for what belongs to a rhythm, such as samples, reports, heartbeats. A long or late run
// moves no later occurrence, and one that comes due during a run is dealt with by the overlap policy, here by skipping it.
// [Pace] rests between runs, however long they take: use it to be gentle with what the run works on, such as polling or
// clean-up. [PaceFromStart] keeps starts a period apart and, unlike Every, never makes up for lost time nor goes back into
// phase: it is what java.util.Timer calls fixed delay, and is there for those who move from it. Each with 10 s, and a
// second run that takes 14 s in place of 4:
//
//	seconds        0         10        20        30        40        50        60
//	Every                    [==]      [============]      [==]      [==]      [==]
//	Pace                     [==]          [============]          [==]          [==]
//	PaceFromStart            [==]      [============][==]      [==]      [==]      [==]
//
// Every skips the occurrence at 30 and is in phase again at 40. Pace begins 10 s after the end, at 48. PaceFromStart is
// late at 30, begins as soon as it can, at 34, and stays with the new phase.
//
// # Bounds
//
// [Schedule.From] gives the first instant, [Schedule.Until] the last that is allowed, [Schedule.Times] the number of
// starts, [Schedule.AlignTo] a point of the grid, [Schedule.Jitter] spreads tasks by their names. Given twice, a bound's
// last value holds. Without From a recurring schedule fires first after one period; AlignTo fires first at the first
// instant of the grid after acceptance.
//
// # Text
//
// [Parse] reads, and [Schedule.String] prints in canonical form, one line of words:
//
//	in 5m                                  After
//	at 2026-12-24T17:00:00Z                At
//	every 1h30m                            Every
//	pace 10s                               Pace
//	pace-from-start 10s                    PaceFromStart
//	cron 0 9 * * mon-fri                   Cron
//	calendar Mon..Fri 09:00                Calendar
//	rrule FREQ=MONTHLY;BYDAY=-1FR          RRule
//	(every 1h) or (cron 30 12 * * sat)     Union, of any number of schedules in parentheses
//
// Three forms more are read and printed as one of these: "every weekday at 9" and "on the 1st at 6:30" are the cron expressions that they
// mean, and R5/2026-01-31T00:00:00Z/P1M, a repeating interval of ISO 8601, is an "every" or an "rrule".
//
// A form is followed by any of these, printed in this order and only where they are not the default:
//
//	in ZONE   gap after|skip|shift   fold first|second|both                        cron, calendar, rrule
//	days or|and                                                                    cron
//	except (S)                                                                     every, cron, calendar, rrule, a union
//	from T   until T   times N                                                     what recurs
//	jitter D                                                                       all
//	align T                                                                        every
//
// An expression ends where one of these words begins. That of cron may be a word such as @daily; "TZ=Europe/Berlin 0 9 * * *" is
// "0 9 * * * in Europe/Berlin", and "@every 5m" is "every 5m". It is printed in lower case, with the names of weekdays,
// the numbers of months, and whatever means the same in the same way. A calendar is printed in the form that systemd-analyze
// calendar calls normalised, with the zone as a clause.
//
// A recurrence is a rule of RFC 5545, or several, and the lines DTSTART, RDATE, EXRULE and EXDATE, all of them on one line:
//
//	rrule FREQ=DAILY;COUNT=9 DTSTART:20260130T090000 EXDATE:20260201T090000 in Europe/Berlin
//
// It may also be given as the lines of iCalendar. It is printed in upper case and without TZID, which "in" says, with the parts of
// a rule in a fixed order.
//
// except may be given several times, and takes "at", "cron", "calendar", "rrule" with a DTSTART and unions of these in parentheses,
// with clauses of their own; without a zone they go by that of the rest.
// A schedule nests at most four deep.
//
// D is a length as [ParseSpan] reads it: 1h30m, 2h 30min, PT1H30M. It is printed as time.Duration prints it, with zeros left
// out (1h, not 1h0m0s). In "in" a day is 24 hours; elsewhere days and weeks are words of calendars and refused, and months, which
// differ in length, always. T is RFC 3339 (seconds may be left out), with a zone in brackets behind it
// or in place of the offset, or a date alone for its midnight in UTC:
//
//	2026-12-24T17:00:00Z   2026-12-24T18:00+01:00   2026-12-24T18:00[Europe/Berlin]   2027-01-01
//
// A time in a zone is resolved to its instant when read: the first instant after a gap, the first of two in a fold. An
// offset that contradicts the zone is refused. Instants are printed in UTC.
package schedule
