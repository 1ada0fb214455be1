package contract

var endCases, whyCases, historyCases, lookCases, brokenCases []Case
