package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

func newPolicies() *cobra.Command {
	var in permissions.Input
	cmd := &cobra.Command{
		Use:   "policies",
		Short: "Print the smallest policies that a rotation needs, ready to paste; call nothing",
		Long: `Prints the policies of one rotation with the real ARNs: for the function's role, the function, the secret and its key, across
accounts too; for the role that sets rotation up; for an application that reads the secret; and the statement that keeps secrets
from being replicated. It makes no call and changes nothing.`,
		Example: "  quarterturn policies --secret ARN --key ARN --role ARN --function ARN\n" +
			"  quarterturn policies --secret ARN --role ARN --function ARN --superuser ARN --superuser-key ARN",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := in.Policies()
			if err != nil {
				return exitError{exitUsage, err}
			}
			for _, p := range all {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), p); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Secret, "secret", "", "ARN of the secret (required)")
	f.StringVar(&in.Key, "key", "", "ARN of its customer managed key; none: aws/secretsmanager")
	f.StringVar(&in.Superuser, "superuser", "", "ARN of the superuser secret, for alternating users and for single "+
		"user through it")
	f.StringVar(&in.SuperuserKey, "superuser-key", "", "ARN of its customer managed key")
	f.StringVar(&in.Database, "database", "", "ARN of the RDS instance or cluster whose managed secret that is")
	f.StringVar(&in.Role, "role", "", "ARN of the function's role (required)")
	f.StringVar(&in.Function, "function", "", "ARN of the function (required)")
	f.StringVar(&in.Reader, "reader", "", "ARN of the role of an application that reads the secret")
	f.StringVar(&in.Labels, "labels", "", "staging labels that it may read, by comma; none: AWSCURRENT")
	f.StringVar(&in.Regions, "regions", "", "Regions that secrets may be replicated to, by comma; none: no replication")
	f.BoolVar(&in.VPC, "vpc", false, "the function is in a VPC")
	f.BoolVar(&in.OnlyConfigured, "only-configured", false, "limit the role to the secret for as long as it names "+
		"the function")
	return cmd
}
