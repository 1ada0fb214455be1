// Package engines puts and runs durable tasks, with duly and with River, for the programs of this module that set them side by side. What is
// measured of them is the programs' own. Its central type is Task: what is put, and what a handler knows it by again.
package engines
