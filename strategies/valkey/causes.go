package valkey

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// Causes is what each error of a server means, by its first word, which servers do not translate,
// and where that is ERR by words of its message. The first row that fits counts.
// docs/runbook.md shows it.
func Causes() []dial.Cause {
	return []dial.Cause{
		{Codes: []string{"WRONGPASS"}, Kind: rotator.KindLoginRejected,
			Text: "the server did not accept the password. It says the same of a user that does not exist, or is off " +
				"(ACL GETUSER {user} shows which)"},
		{Codes: []string{"NOAUTH"}, Kind: rotator.KindMisconfigured,
			Text: "the server takes no login of users: it is older than Redis 6"},
		{Codes: []string{"NOPERM"}, Kind: rotator.KindPrivilege,
			Text: "{remedy}"},
		{Codes: []string{"EXECABORT"}, Says: []string{"NOPERM"}, Kind: rotator.KindPrivilege,
			Text: "{remedy}"},
		{Codes: []string{"READONLY"}, Kind: rotator.KindReadOnly,
			Text: "the server is a replica that takes no changes"},
		{Codes: []string{"LOADING"}, Kind: rotator.KindUnreachable, Retry: dial.RetryYes,
			Text: "the server loads its data set (loading_eta_seconds in INFO persistence): try again when it has"},
		{Codes: []string{"BUSY"}, Kind: rotator.KindUnreachable, Retry: dial.RetryYes,
			Text: "the server is busy with a script: try again when it has ended. If it does not end: SCRIPT " +
				"KILL, or FUNCTION KILL"},
		{Codes: []string{"MASTERDOWN"}, Kind: rotator.KindUnreachable, Retry: dial.RetryPerhaps,
			Text: "the server is a replica that has lost its primary (replica-serve-stale-data no): start the " +
				"primary, or correct masteruser and masterauth here, if the primary rejects them, or promote this " +
				"server, if the primary is lost (REPLICAOF NO ONE); then try again"},
		{Codes: []string{"CLUSTERDOWN", "TRYAGAIN"}, Kind: rotator.KindUnreachable, Retry: dial.RetryYes,
			Text: "the cluster is failing over, or has slots that no node serves: try again. If it lasts: " +
				"CLUSTER INFO"},
		{Codes: []string{"OOM"}, Kind: rotator.KindUnreachable, Retry: dial.RetryPerhaps,
			Text: "the server is out of memory: raise maxmemory, delete keys, or have it evict some " +
				"(maxmemory-policy), and try again"},
		{Codes: []string{"MISCONF"}, Kind: rotator.KindUnreachable, Retry: dial.RetryPerhaps,
			Text: "the server cannot save its data to disk, and takes no writes until it can: fix what its log says " +
				"(a full disk, a folder that it may not write), BGSAVE, and try again"},
		{Codes: []string{"NOREPLICAS"}, Kind: rotator.KindUnreachable, Retry: dial.RetryPerhaps,
			Text: "the server has fewer replicas than min-replicas-to-write: start them, or lower that, and try again"},
		{Codes: []string{"DENIED"}, Kind: rotator.KindMisconfigured,
			Text: "the server is in protected mode: give its default user a password, or bind it to addresses"},
		{Codes: []string{"ERR"}, Says: []string{"max number of clients"}, Kind: rotator.KindTooManyConnections,
			Retry: dial.RetryYes,
			Text:  "no free connection: try again. If it lasts, " + noFreeConnection},
		{Codes: []string{"ERR"}, Says: []string{"unknown command", "nknown subcommand"}, During: dial.Login,
			Kind: rotator.KindMisconfigured,
			Text: "the server does not know a command that a login needs: it is older than Redis 6, or has it " +
				"renamed. " + notRenamed},
		{Codes: []string{"ERR"}, Says: []string{"unknown command", "nknown subcommand"},
			Kind: rotator.KindMisconfigured,
			Text: "the server has a command renamed that this needs. " + notRenamed + ". To keep the command from " +
				"users, take it from their rules (-NAME)"},
		{Codes: []string{"ERR"}, During: dial.Login, Kind: rotator.KindMisconfigured,
			Text: "the server refused the login, and did not judge the password: check host and port in the secret"},
	}
}

// notRenamed gives a server back a command.
const notRenamed = "Remove its rename-command from the server's configuration file, and restart the " +
	"server, which loses by that what is not saved, data and users"
