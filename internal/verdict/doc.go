// Package verdict checks what a scheduler really did against what it had accepted, from a log that is kept outside the scheduler.
//
// Handlers log where each attempt begins and ends, producers log what was acknowledged, and whoever starts and kills processes logs
// that; [Check] reads it afterwards and names each fault with the lines that prove it. It imports nothing of duly, so that it can't
// share a mistake with it, and it is for tests only. It is not for measuring: it says what was wrong, not how fast it was.
//
// Its central type is [Record], one line of the log.
//
// # The log
//
// A log is a file of lines, appended by any number of goroutines and processes with one write each:
//
//	6f0c2a91 begin at=1764349200000123 node="a" boot=3 serial=12 name="tea" gen=7 for=1764349200000000 due=1764349200000000 fence=41
//
// First stands the CRC-32C (Castagnoli) of what follows the blank behind it, in eight hexadecimal digits, then the Op, then the
// fields of that Op, always all of them and always in the same order, texts quoted as by [strconv.Quote]. Each record has one
// spelling; a line that is spelled otherwise is refused. A last line that lacks its end is torn and is left out, and a Writer that
// finds one ends it and says so in its start record (torn, in bytes). Anything else that is no record is an error with the number of the line.
//
// # Instants
//
// All instants are microseconds since 1970 in UTC, rounded down, as [time.Time.UnixMicro] gives them, by one wall clock that isn't
// set while the log is written: the machine's. Two that are equal may have been in either order, and are taken in the order that is no fault.
//
// # Who is still running
//
// An attempt without an end record lasts until its incarnation died or the next one of its node started, whichever was first, but
// at least to the last instant that the incarnation itself logged; where neither is known, to that instant.
package verdict
