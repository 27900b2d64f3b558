// Policies prints the policies that a rotation needs, and those for the people and
// applications around it, with the real ARNs, ready to paste:
//
//	make policies ARGS="-secret ARN -key ARN -role ARN -function ARN"
//	make policies ARGS="-secret ARN -role ARN -function ARN -superuser ARN -superuser-key ARN"
//
// It asks nobody and changes nothing. What it checks and prints comes from
// rotator/permissions.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

func main() {
	var in permissions.Input
	flag.StringVar(&in.Secret, "secret", "", "ARN of the secret (required)")
	flag.StringVar(&in.Key, "key", "", "ARN of its customer managed key; none: aws/secretsmanager")
	flag.StringVar(&in.Superuser, "superuser", "", "ARN of the superuser secret, for alternating users and for single user through it")
	flag.StringVar(&in.SuperuserKey, "superuser-key", "", "ARN of its customer managed key")
	flag.StringVar(&in.Database, "database", "", "ARN of the RDS instance or cluster whose managed secret that is")
	flag.StringVar(&in.Role, "role", "", "ARN of the function's role (required)")
	flag.StringVar(&in.Function, "function", "", "ARN of the function (required)")
	flag.StringVar(&in.Reader, "reader", "", "ARN of the role of an application that reads the secret")
	flag.StringVar(&in.Labels, "labels", "", "staging labels that it may read, by comma; none: AWSCURRENT")
	flag.StringVar(&in.Regions, "regions", "", "Regions that secrets may be replicated to, by comma; none: no replication")
	flag.BoolVar(&in.VPC, "vpc", false, "the function is in a VPC")
	flag.BoolVar(&in.OnlyConfigured, "only-configured", false, "limit the role to the secret for as long as it names the function")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "policies: %q belongs to no flag\n", flag.Arg(0))
		os.Exit(2)
	}
	all, err := in.Policies()
	if err != nil {
		fmt.Fprintf(os.Stderr, "policies: %v\n", err)
		os.Exit(2)
	}
	for _, a := range all {
		fmt.Println(a)
	}
}
