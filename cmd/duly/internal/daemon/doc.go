// Package daemon is what `duly serve` runs: a scheduler on a store in a directory, its API on a socket and on the net, and all that has
// to do with being a process that nobody watches.
//
// It is not for what tasks run, which is package target's, nor for what a request means, which is package api's. Its central type is
// [Daemon], which [Open] makes of a [Config].
//
// # What is promised
//
//   - Open binds before it writes: a port that is taken, a directory that is in use, a certificate that does not fit its key leave nothing
//     behind. When it has returned, requests are answered as soon as Run is called.
//   - The socket's file mode is its permission: 0600 in a directory of the owner's, whatever the umask is. Over TCP every request but
//     those to /livez and /readyz needs a token.
//   - Beyond loopback there is TLS, or somebody has said that there is none; and commands can be put from there only if somebody has said
//     so.
//   - A client that is slow to send, or slow to take what it asked for, is cut off; one that waits for news is not.
//   - A first signal lets what runs finish, for DrainTimeout; a second one asks it to stop at once.
//   - A reload takes everything or nothing.
//   - No secret is in the log.
package daemon
