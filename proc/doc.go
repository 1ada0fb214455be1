// Package proc runs child processes that end: at the latest when their time is up, with all that they started. Its central
// type is [Spec], what is to be run; [Run] runs it and [Start] gives a [Process] to wait for.
//
// os/exec is the better answer for a program that is trusted to end, that is to be spoken with through pipes while it runs, or
// that needs what a Spec does not have: extra files, other users, other roots. This package is for commands that may
// hang, fork and print without end, and for whom somebody waits.
//
// # What is promised
//
// A Timeout covers the whole of it: running, and reading what was printed. When it is over, when the context ends, or at
// Stop, the process and its group are asked to end (SIGTERM), and after Grace made to (SIGKILL). Run returns when the process is
// gone and, with a group of its own, the group as well: a shell leaves no children behind. The error then says what the
// reason was; a process that ends by itself at that very moment has ended either by itself or for the reason, never both.
//
// What has left the group, by setsid or as a job of an interactive shell, is not found, and it may hold the
// pipes open. So does a child that a process leaves behind on purpose when it ends by itself, which is not harmed (but see
// Sweep). Either way, when the process has ended, its output is waited for only for PipeDelay more; then
// the pipes are closed, what was read is the output, and the error is ErrPipesHeld, if there is no other. If the Timeout, the
// context, Stop or Kill comes in that time, it is the reason for the end, though the process itself has ended well, and what is
// left of its group is ended then.
//
// A process that the kernel does not let go (uninterruptible sleep, state D) holds Run as long; Wait's own context does not
// wait for it.
//
// # Platforms
//
// On Linux the group is named by the leader's pidfd where the kernel can signal a group through it (6.9), so that a number
// that is used again hits nobody. Before that, and on the other Unix systems, the group is signalled by its number,
// which
// could be wrong only if that came into use again within 50 ms of the end of all processes in the group. On Windows there are
// neither groups nor SIGTERM: the process alone is ended, at once.
//
// Timeouts come from a duly engine; that of a testing/synctest bubble does not fit, since processes do not live in its time.
package proc
