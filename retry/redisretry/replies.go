package redisretry

import (
	"strings"

	"github.com/concordkit/concord/retry"
)

// replies are the errors by which a server refuses a command before it runs it. All others stop, and leave open whether
// something was done.
var replies = map[string]retry.Verdict{
	maxClients:    refused(retry.Retry, ""),
	"LOADING":     refused(retry.Retry, ""),
	"BUSY":        refused(retry.Retry, ""), // a script runs for too long
	"TRYAGAIN":    refused(retry.Retry, ""),
	"CLUSTERDOWN": refused(retry.Retry, ""),
	"MASTERDOWN":  refused(retry.Retry, ""),
	"READONLY":    refused(retry.Retry, ""), // a replica, for as long as a failover takes
	"NOREPLICAS":  refused(retry.Retry, ""),
	"MOVED":       refused(retry.Retry, ""),
	"ASK":         refused(retry.Retry, ""),
	"OOM":         refused(retry.Stop, ""), // passes when somebody frees memory, not in the time of a retry
	"MISCONF":     refused(retry.Stop, ""),
	"NOAUTH":      refused(retry.Stop, ""),
	"WRONGPASS":   refused(retry.Stop, ""),
	"NOPERM":      refused(retry.Stop, ""),
	"CROSSSLOT":   refused(retry.Stop, ""),
	"NOSCRIPT":    refused(retry.Stop, ""), // for Script.Run, which sends the script then
	"EXECABORT":   refused(retry.Stop, ""),
}

const maxClients = "max number of clients"

// code returns the first word of a reply. Redis before 7 puts what a script has met into a text of its own; that is ERR.
func code(text string) string {
	if strings.HasPrefix(text, "ERR max number of clients reached") {
		return maxClients
	}
	word, _, _ := strings.Cut(text, " ")
	return word
}
