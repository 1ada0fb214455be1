package api

// ProblemOf is how an error is answered.
var ProblemOf = problemOf
