package permissions_test

import (
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

// What the role of a rotation function needs, ready to paste.
func Example() {
	r := permissions.Rotation{Secret: permissions.Secret{
		ARN: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-a1b2c3",
	}}
	fmt.Println(r.RolePolicy())
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Sid": "Rotate",
	//       "Effect": "Allow",
	//       "Action": [
	//         "secretsmanager:DescribeSecret",
	//         "secretsmanager:GetSecretValue",
	//         "secretsmanager:PutSecretValue",
	//         "secretsmanager:UpdateSecretVersionStage"
	//       ],
	//       "Resource": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-a1b2c3"
	//     }
	//   ]
	// }
}

// What to add after a denial, in the words of AWS.
func ExampleParseDenial() {
	const text = "User: arn:aws:sts::123456789012:assumed-role/rotate/f is not authorized to perform: " +
		"secretsmanager:UpdateSecretVersionStage on resource: " +
		"arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-a1b2c3 " +
		"because no identity-based policy allows the secretsmanager:UpdateSecretVersionStage action"
	d, ok := permissions.ParseDenial(text)
	fmt.Println(ok, d.Principal)
	fmt.Println(d.Remedy(permissions.Place{Secret: permissions.StringList{"arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-a1b2c3"}}))
	// Output:
	// true arn:aws:sts::123456789012:assumed-role/rotate/f
	// add to the role of the function: {"Effect":"Allow","Action":"secretsmanager:UpdateSecretVersionStage","Resource":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-a1b2c3"}
}
