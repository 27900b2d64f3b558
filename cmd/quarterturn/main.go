// Quarterturn is the program for people: it says whether a secret can be rotated, which
// stored version of it works, and what to do about a rotation that is stuck; and it
// prints the policies that a rotation needs.
//
//	quarterturn preflight prod/orders/app
//	quarterturn status prod/orders/app
//	quarterturn recover prod/orders/app finish
//	quarterturn policies --secret ARN --role ARN --function ARN
//
// preflight, status and recover ask the rotation function of the secret, which reaches
// the database. With --here they run on this machine, with this machine's AWS
// credentials: for the night on which the function itself is broken.
//
// Exit codes: 0 all is well, 1 there is something to do, 2 wrong use, 3 it could not be
// found out.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, realSurroundings(), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
