package timer

// Rounds is rounds for the tests outside of the package.
var Rounds = rounds
