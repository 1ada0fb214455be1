// Package pgtest starts PostgreSQL servers for tests: one that all tests of a process share, and servers of a test's own, which it
// may stop, kill, restart and follow with a standby. It is for tests only, and it talks to nothing but the servers that it has
// started and the one that DULY_TEST_POSTGRES names.
//
// Its central type is [Server]. A test that needs a database begins so:
//
//	url := pgtest.Shared(t).Database(t) // a new, empty database, gone after the test
//
// and one that breaks its server so:
//
//	s := pgtest.Start(t, pgtest.Options{Durable: true})
//	url := s.URL("postgres")
//	...
//	if err := s.Kill(); err != nil { ... }
//	if err := s.Start(); err != nil { ... }
//
// # What is promised
//
//  1. No server outlives the process that started it, however that ends, kill -9 included, and neither does its directory. Each is
//     started by a guard, a shell that waits for the end of a pipe which only this process holds, and then ends the server.
//  2. A test that can have no server says so. It is skipped, with what to install; where the environment has CI=true it fails.
//  3. Every call ends: what takes longer than two minutes is an error. Errors show the end of the server's log, and so does a test
//     that fails, for what was logged while it ran.
//  4. Between two calls nothing runs in this process, so that tests may look for leaked goroutines while a server is up; but what
//     [Server.Keeper] starts runs until its test ends.
//  5. Root can use it. PostgreSQL refuses to run as root, so its programs run as nobody then.
//
// # What a server is
//
// A data directory made by initdb, in a temporary directory with the server's socket and its log. It listens on that socket only, and
// trusts everybody who can reach it, which the directory's mode limits to its owner. The superuser is called duly. Settings that
// are not about that are PostgreSQL's own, but for fsync: see [Options]. On Windows there are no such servers, and tests are
// skipped there also when CI=true.
//
// None of it works inside a testing/synctest bubble, whose clock no server follows.
package pgtest
