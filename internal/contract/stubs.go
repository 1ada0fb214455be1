package contract

var fireCases, waitCases, leaseCases, crashCases, cancelCases, moveCases, failCases, deadCases,
	clockCases, zoneCases, loadCases, rateCases, endCases, whyCases, historyCases, lookCases, brokenCases []Case
