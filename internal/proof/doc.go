// Package proof is for holding package duly on the embedded store to its contract: the suite of internal/contract, processes that are
// killed, machines that lose their power. It is a module of its own, because the core must not require what the store does. It holds
// tests, and what only they need; whatever a store by itself has to be shown is shown in store/pebble.
package proof
