// Policies prints the policies that a rotation needs, and those for the people and
// applications around it, with the real ARNs, ready to paste:
//
//	make policies ARGS="-secret ARN -key ARN -role ARN -function ARN"
//	make policies ARGS="-secret ARN -role ARN -function ARN -superuser ARN -superuser-key ARN"
//
// It asks nobody and changes nothing. What it prints comes from rotator/permissions.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

func main() {
	var r permissions.Rotation
	var reader permissions.Reader
	var labels, regions string
	vpc := flag.Bool("vpc", false, "the function is in a VPC")
	flag.StringVar(&r.Secret.ARN, "secret", "", "ARN of the secret (required)")
	flag.StringVar(&r.Secret.Key, "key", "", "ARN of its customer managed key; none: aws/secretsmanager")
	flag.StringVar(&r.Superuser.ARN, "superuser", "", "ARN of the superuser's secret, for alternating users and for single user through it")
	flag.StringVar(&r.Superuser.Key, "superuser-key", "", "ARN of its customer managed key")
	flag.StringVar(&r.Database, "database", "", "ARN of the RDS instance or cluster whose managed secret that is")
	flag.StringVar(&r.Role, "role", "", "ARN of the function's role (required)")
	flag.StringVar(&r.Function, "function", "", "ARN of the function (required)")
	flag.BoolVar(&r.OnlyConfigured, "only-configured", false, "limit the role to the secret for as long as it names the function")
	flag.StringVar(&reader.Principal, "reader", "", "ARN of the role of an application that reads the secret")
	flag.StringVar(&labels, "labels", "AWSCURRENT", "staging labels that it may read")
	flag.StringVar(&regions, "regions", "", "Regions that secrets may be replicated to; none: no replication")
	flag.Parse()
	if missing := lacking(r); len(missing) > 0 || flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "policies: want an ARN for each of -%s\n", strings.Join(missing, ", -"))
		flag.Usage()
		os.Exit(2)
	}
	reader.Secret, reader.Labels = r.Secret, strings.Split(labels, ",")
	for _, s := range sections(r, reader, *vpc, fields(regions)) {
		s.print(os.Stdout)
	}
}

// lacking names the flags without which no policy can be printed.
func lacking(r permissions.Rotation) []string {
	var names []string
	for _, f := range []struct{ name, arn string }{{"secret", r.Secret.ARN}, {"role", r.Role}, {"function", r.Function}} {
		if !strings.HasPrefix(f.arn, "arn:") {
			names = append(names, f.name)
		}
	}
	return names
}

func fields(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// section is a policy and where it goes.
type section struct {
	where  string
	policy permissions.Policy
}

func (s section) print(out io.Writer) { fmt.Fprintf(out, "# %s\n%s\n\n", s.where, s.policy) }

// sections are in the order in which somebody who sets rotation up needs them.
func sections(r permissions.Rotation, reader permissions.Reader, vpc bool, regions []string) []section {
	all := []section{
		{"the role of the function", r.RolePolicy()},
		{"the role of the function, for Lambda itself", r.RuntimePolicy(vpc)},
		{"the role of the function, optional: have the preflight explain refusals", r.ExplainPolicy()},
		{"the function (aws lambda add-permission)", r.FunctionPolicy()},
		{"the role of whoever sets rotation up", r.OperatorPolicy()},
		{"the secret, where the role is of another account", r.ResourcePolicy()},
	}
	if r.Secret.Key != "" {
		all = append(all, section{"the key, in addition, where it does not leave it to IAM or is of another account", r.KeyPolicy()})
	}
	if r.Superuser.ARN != "" {
		all = append(all, section{"the superuser's secret, where the role is of another account", r.SuperuserResourcePolicy()})
	}
	if r.Superuser.Key != "" {
		all = append(all, section{"the superuser's key, in addition, in the same cases", r.SuperuserKeyPolicy()})
	}
	if reader.Principal != "" {
		all = append(all, section{"the role of the application", reader.IdentityPolicy()},
			section{"the secret, where the application is of another account", reader.ResourcePolicy()})
		if reader.Secret.Key != "" {
			all = append(all, section{"the key, in addition, for the application", reader.KeyPolicy()})
		}
	}
	return append(all, section{"an organization or a role: where secrets may be replicated to", permissions.NoReplication(regions...)})
}
