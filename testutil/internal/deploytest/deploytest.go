// Package deploytest tries what is under deploy/ with the tools that people use on it: Terraform, CDK and cfn-lint.
// None of them reaches AWS, and Terraform reaches no registry: its provider is the stub in
// deploy/terraform/stubprovider.
package deploytest
