// Package hardship holds tests alone: what the whole daemon does when its machine fails it. They build the program, start it as a process,
// take from it what it needs (the disk, descriptors, processes, memory, the right time) and give it back. The daemon must go on with what
// it can do, say what it can't, lose nothing that it has acknowledged, and recover without being started again.
package hardship
