package contract

var loadCases, rateCases, endCases, whyCases, historyCases, lookCases, brokenCases []Case
