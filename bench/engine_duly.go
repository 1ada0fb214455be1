package main

// dulySpec is completed when the timer package is there.
func dulySpec() engineSpec { return engineSpec{name: engineDuly, title: "duly"} }
