// Package schedule says when: pure rules from an instant to the next.
package schedule
