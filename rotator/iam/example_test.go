package iam_test

import (
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// A key policy lets the account use the key through Secrets Manager only; a direct
// call is denied, and the explanation says why.
func Example() {
	keyPolicy, err := iam.ParseResource(`{
		"Version": "2012-10-17",
		"Statement": [
			{"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:*", "Resource": "*"},
			{"Sid": "OnlyVia", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*",
			 "Condition": {"StringNotEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}}
		]}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	rolePolicy, err := iam.ParseIdentity(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	layers := iam.Layers{
		Identity: []iam.NamedPolicy{{Name: "rotation", Policy: rolePolicy}},
		Key:      &iam.KeyPolicy{Policy: iam.NamedPolicy{Name: "key/1234", Policy: keyPolicy}},
	}
	request := iam.Request{
		Principal: iam.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/rotator/fn"},
		Action:    "kms:Decrypt",
		Resource:  "arn:aws:kms:us-east-1:111122223333:key/1234",
	}
	direct := iam.Evaluate(request, layers)
	fmt.Println(direct.Message(request))

	request.Context = iam.Context{"kms:ViaService": {"secretsmanager.us-east-1.amazonaws.com"}}
	fmt.Println(iam.Evaluate(request, layers).Allowed)
	// Output:
	// User: arn:aws:sts::111122223333:assumed-role/rotator/fn is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:us-east-1:111122223333:key/1234 with an explicit deny in a resource-based policy
	// true
}
