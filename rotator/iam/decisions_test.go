package iam_test

import (
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

var (
	asUser    = iam.Principal{ARN: user}
	asRoot    = iam.Principal{ARN: root}
	asForeign = iam.Principal{ARN: foreign}
	asService = iam.Principal{Service: "secretsmanager.amazonaws.com"}
)

// decisions are the rules of evaluation. The first four are those that were seen in
// another simulator before this one was written.
func decisions() []row {
	all := can("*")
	everything := doc(all)
	delegates := doc(can("kms:*", to(root)))
	onlyVia := cannot("kms:*", sid("OnlyVia"), to("*"), when("StringNotEquals", "kms:ViaService", `"`+via+`"`))
	forwarded := iam.Context{"kms:ViaService": {via}, "kms:EncryptionContext:SecretARN": {secret}}
	decrypt := func(why, want string, r row) row {
		r.Why, r.Want, r.Action, r.Resource = why, want, "kms:Decrypt", key
		return r
	}
	grant := func(g iam.Grant) []iam.Grant {
		if g.Grantee == "" {
			g.Grantee = role
		}
		if g.Operations == nil {
			g.Operations = []string{"Decrypt"}
		}
		return []iam.Grant{g}
	}
	assume := func(why, want, trust, identity string) row {
		return row{Why: why, Want: want, Action: "sts:AssumeRole", Resource: "arn:aws:iam::111122223333:role/target",
			Resources: trust, Identity: identity}
	}
	canUse := doc(can("kms:Decrypt"))
	canRead := doc(can(read))
	nothing := doc(can("s3:GetObject"))

	return []row{
		// Golden.
		decrypt("a key policy that denies what does not come via the service stops a direct call", "deny key OnlyVia",
			row{Identity: canUse, Key: doc(can("kms:*", to(root)), onlyVia)}),
		decrypt("the same key policy lets the service through", "allowed",
			row{Identity: canUse, Key: doc(can("kms:*", to(root)), onlyVia), Context: forwarded}),
		decrypt("a key policy that names the role needs no identity-based policy", "allowed",
			row{Key: doc(can("kms:Decrypt", to(role)))}),
		decrypt("an identity-based policy is worth nothing if the key policy names another role", "no key",
			row{Identity: canUse, Key: doc(can("kms:Decrypt", to(role+"2")))}),
		decrypt("an identity-based policy on condition of ViaService stops a direct call", "no identity-based",
			row{Identity: doc(can("kms:Decrypt", when("StringEquals", "kms:ViaService", `"`+via+`"`))), Key: delegates}),
		decrypt("and lets the service through", "allowed",
			row{Identity: doc(can("kms:Decrypt", when("StringEquals", "kms:ViaService", `"`+via+`"`))), Key: delegates, Context: forwarded}),

		// Identity-based policies, boundary and session policy in one account.
		{Why: "nothing allows", Want: "no identity-based"},
		{Why: "an identity-based policy allows", Identity: canRead, Want: "allowed"},
		{Why: "another action is not allowed", Identity: canRead, Action: "secretsmanager:PutSecretValue", Want: "no identity-based"},
		{Why: "a deny beats an allow", Identity: doc(all, cannot(read, sid("No"))), Want: "deny identity-based No"},
		{Why: "a deny in an earlier statement does too, named by its number", Identity: doc(cannot(read), all), Want: "deny identity-based statement 1"},
		{Why: "a boundary that allows changes nothing", Identity: canRead, Boundary: everything, Want: "allowed"},
		{Why: "a boundary must allow", Identity: canRead, Boundary: nothing, Want: "no permissions boundary"},
		{Why: "a boundary alone grants nothing", Boundary: everything, Want: "no identity-based"},
		{Why: "a boundary may deny", Identity: canRead, Boundary: doc(all, cannot(read, sid("B"))), Want: "deny permissions boundary B"},
		{Why: "a session policy must allow", Identity: canRead, Session: nothing, Want: "no session"},
		{Why: "a session policy alone grants nothing", Session: everything, Want: "no identity-based"},
		{Why: "a session policy may deny", Identity: canRead, Session: doc(all, cannot(read, sid("S"))), Want: "deny session S"},
		{Why: "identity, boundary and session policy together", Identity: canRead, Boundary: everything, Session: canRead, Want: "allowed"},

		// SCPs, RCPs, endpoint.
		{Why: "each level of SCPs allows", Identity: canRead, SCPs: []string{everything, canRead}, Want: "allowed"},
		{Why: "one level of SCPs does not", Identity: canRead, SCPs: []string{everything, nothing, everything}, Want: "no service control"},
		{Why: "a level without SCPs allows nothing", Identity: canRead, SCPs: []string{everything, ""}, Want: "no service control"},
		{Why: "SCPs grant nothing", SCPs: []string{everything}, Want: "no identity-based"},
		{Why: "an SCP may deny", Identity: canRead, SCPs: []string{doc(all, cannot(read, sid("Org")))}, Want: "deny service control Org"},
		{Why: "SCPs bind the root user", Principal: asRoot, SCPs: []string{nothing}, Want: "no service control"},
		{Why: "SCPs bind whom the resource's policy names", Resources: doc(can(read, to(session))), SCPs: []string{nothing}, Want: "no service control"},
		{Why: "an RCP lets pass", Identity: canRead, RCPs: []string{doc(can("*", `"Principal":"*"`))}, Want: "allowed"},
		{Why: "an RCP may deny", Identity: canRead, RCPs: []string{doc(can("*", `"Principal":"*"`), cannot("secretsmanager:*", sid("R"), `"Principal":"*"`))}, Want: "deny resource control R"},
		{Why: "each level of RCPs must allow", Identity: canRead, RCPs: []string{doc(can("*", `"Principal":"*"`)), doc(can("kms:*", `"Principal":"*"`))}, Want: "no resource control"},
		{Why: "an RCP that denies strangers to the organization spares members", Identity: canRead, Context: iam.Context{"aws:PrincipalOrgID": {"o-1"}},
			RCPs: []string{doc(can("*", `"Principal":"*"`), cannot("*", `"Principal":"*"`,
				when("StringNotEquals", "aws:PrincipalOrgID", `"o-1"`)))}, Want: "allowed"},
		{Why: "the same RCP stops strangers", Identity: canRead, Context: iam.Context{"aws:PrincipalOrgID": {"o-2"}},
			RCPs: []string{doc(can("*", `"Principal":"*"`), cannot("*", sid("Org"), `"Principal":"*"`,
				when("StringNotEquals", "aws:PrincipalOrgID", `"o-1"`)))}, Want: "deny resource control Org"},
		{Why: "an endpoint policy must allow", Identity: canRead, Endpoint: doc(can("s3:*", `"Principal":"*"`)), Want: "no VPC endpoint"},
		{Why: "an endpoint policy lets pass", Identity: canRead, Endpoint: doc(can("secretsmanager:*", `"Principal":"*"`)), Want: "allowed"},
		{Why: "an endpoint policy may deny", Identity: canRead, Endpoint: doc(can("*", `"Principal":"*"`), cannot(read, sid("E"), `"Principal":"*"`)), Want: "deny VPC endpoint E"},
		{Why: "an endpoint policy grants nothing", Endpoint: doc(can("*", `"Principal":"*"`)), Want: "no identity-based"},
		{Why: "an endpoint policy stops whom the resource's policy names", Resources: doc(can(read, to(session))), Endpoint: doc(can("s3:*", `"Principal":"*"`)), Want: "no VPC endpoint"},

		// The resource's policy in one account.
		{Why: "a resource policy that names the session suffices", Resources: doc(can(read, to(session))), Want: "allowed"},
		{Why: "it does so past a boundary", Resources: doc(can(read, to(session))), Boundary: nothing, Want: "allowed"},
		{Why: "and past a session policy", Resources: doc(can(read, to(session))), Session: nothing, Want: "allowed"},
		{Why: "but not past a boundary that denies", Resources: doc(can(read, to(session))), Boundary: doc(cannot(read, sid("B"))), Want: "deny permissions boundary B"},
		{Why: "another session of the role is another principal", Resources: doc(can(read, to(session+"2"))), Want: "no identity-based"},
		{Why: "a resource policy that names the role suffices", Resources: doc(can(read, to(role))), Want: "allowed"},
		{Why: "a grant to the role ends at the boundary", Resources: doc(can(read, to(role))), Boundary: nothing, Want: "no permissions boundary"},
		{Why: "a grant to the role ends at the session policy", Resources: doc(can(read, to(role))), Session: nothing, Want: "no session"},
		{Why: "a grant to the role within boundary and session policy", Resources: doc(can(read, to(role))), Boundary: canRead, Session: canRead, Want: "allowed"},
		{Why: "a role with a path is named with its path", Principal: iam.Principal{ARN: session, Role: "arn:aws:iam::111122223333:role/app/rotator"}, Resources: doc(can(read, to(role))), Want: "no identity-based"},
		{Why: "and so matches", Principal: iam.Principal{ARN: session, Role: "arn:aws:iam::111122223333:role/app/rotator"}, Resources: doc(can(read, to("arn:aws:iam::111122223333:role/app/rotator"))), Want: "allowed"},
		{Why: "a grant to the user goes past the boundary", Principal: asUser, Resources: doc(can(read, to(user))), Boundary: nothing, Want: "allowed"},
		{Why: "another user is not meant", Principal: asUser, Resources: doc(can(read, to(user+"2"))), Want: "no identity-based"},
		{Why: "naming the account leaves it to the identity-based policies: none", Resources: doc(can(read, to(root))), Want: "no identity-based"},
		{Why: "naming the account leaves it to the identity-based policies: one", Resources: doc(can(read, to(root))), Identity: canRead, Want: "allowed"},
		{Why: "an account is also named by its number", Resources: doc(cannot(read, sid("N"), to("111122223333"))), Identity: canRead, Want: "deny resource-based N"},
		{Why: "naming the account leaves the boundary in force", Resources: doc(can(read, to(root))), Identity: canRead, Boundary: nothing, Want: "no permissions boundary"},
		{Why: "everybody leaves a boundary to allow", Resources: doc(can(read, `"Principal":"*"`)), Boundary: nothing, Want: "no permissions boundary"},
		{Why: "a variable without a value, negated, denies", Identity: doc(can("*"), cannot(read, sid("V"), when("StringNotEquals", "aws:SourceVpce", `"${aws:PrincipalTag/vpce}"`))), Context: iam.Context{"aws:SourceVpce": {"vpce-1"}}, Want: "deny identity-based V"},
		{Why: "everybody in the map form", Resources: doc(can(read, to("*"))), Want: "allowed"},
		{Why: "everybody, on condition of the role", Resources: doc(can(read, to("*"), when("ArnEquals", "aws:PrincipalArn", `"`+role+`"`))), Want: "allowed"},
		{Why: "everybody, on condition of another role", Resources: doc(can(read, to("*"), when("ArnEquals", "aws:PrincipalArn", `"`+role+`2"`))), Want: "no identity-based"},
		{Why: "a resource policy may deny", Identity: canRead, Resources: doc(cannot(read, sid("D"), to(role))), Want: "deny resource-based D"},
		{Why: "a resource policy that denies others does not concern us", Identity: canRead, Resources: doc(cannot(read, to(role+"2"))), Want: "allowed"},
		{Why: "denying an account denies all in it", Identity: canRead, Resources: doc(cannot(read, sid("D"), to(root))), Want: "deny resource-based D"},
		{Why: "a list of principals", Resources: doc(can(read, `"Principal":{"AWS":["`+user+`","`+session+`"]}`)), Want: "allowed"},
		{Why: "a closer name counts beside a farther one", Resources: doc(can(read, to(root)), can(read, to(role))), Want: "allowed"},
		{Why: "whichever comes first", Resources: doc(can(read, to(role)), can(read, to(root))), Want: "allowed"},
		{Why: "and so in one list", Resources: doc(can(read, `"Principal":{"AWS":["`+role+`","`+root+`"]}`)), Want: "allowed"},
		{Why: "the unique id of a deleted role is nobody", Resources: doc(can(read, to("AROAEXAMPLEEXAMPLE00"))), Want: "no identity-based"},
		{Why: "NotPrincipal spares account, role and session listed together", Identity: canRead, Resources: doc(cannot(read, `"NotPrincipal":{"AWS":["`+root+`","`+role+`","`+session+`"]}`)), Want: "allowed"},
		{Why: "NotPrincipal with account and role denies a session that is not listed", Identity: canRead, Resources: doc(cannot(read, sid("NP"), `"NotPrincipal":{"AWS":["`+root+`","`+role+`"]}`)), Want: "deny resource-based NP"},
		{Why: "NotPrincipal with account and session denies a role that is not listed", Identity: canRead, Resources: doc(cannot(read, sid("NP"), `"NotPrincipal":{"AWS":["`+root+`","`+session+`"]}`)), Want: "deny resource-based NP"},
		{Why: "NotPrincipal with Allow lets in who is not listed", Resources: doc(can(read, `"NotPrincipal":{"AWS":"`+user+`"}`)), Want: "allowed"},
		{Why: "NotPrincipal with Allow leaves a role out", Resources: doc(can(read, `"NotPrincipal":{"AWS":"`+role+`"}`)), Want: "no identity-based"},
		{Why: "NotPrincipal with Allow leaves a session out", Resources: doc(can(read, `"NotPrincipal":{"AWS":"`+session+`"}`)), Want: "no identity-based"},
		{Why: "NotPrincipal with Allow leaves an account out", Resources: doc(can(read, `"NotPrincipal":{"AWS":"111122223333"}`)), Want: "no identity-based"},
		{Why: "a Principal of nobody", Identity: canRead, Resources: doc(cannot(read, `"Principal":{"AWS":[]}`)), Want: "allowed"},
		{Why: "NotPrincipal with the role alone may deny its account", Identity: canRead, Resources: doc(cannot(read, sid("NP"), `"NotPrincipal":{"AWS":"`+role+`"}`)), Want: "deny resource-based NP"},
		{Why: "NotPrincipal with the account alone denies those in it", Identity: canRead, Resources: doc(cannot(read, sid("NP"), `"NotPrincipal":{"AWS":"`+root+`"}`)), Want: "deny resource-based NP"},
		{Why: "NotPrincipal spares a user listed with the account", Principal: asUser, Identity: canRead, Resources: doc(cannot(read, `"NotPrincipal":{"AWS":["`+root+`","`+user+`"]}`)), Want: "allowed"},
		{Why: "NotPrincipal with the user alone may deny its account", Principal: asUser, Identity: canRead, Resources: doc(cannot(read, sid("NP"), `"NotPrincipal":{"AWS":"`+user+`"}`)), Want: "deny resource-based NP"},
		{Why: "NotPrincipal with everybody denies nobody", Identity: canRead, Resources: doc(cannot(read, `"NotPrincipal":"*"`)), Want: "allowed"},
		{Why: "NotPrincipal spares nobody with a boundary", Identity: canRead, Boundary: everything, Resources: doc(cannot(read, sid("NP"), `"NotPrincipal":{"AWS":["`+root+`","`+role+`","`+session+`"]}`)), Want: "deny resource-based NP"},
		{Why: "the root user needs no policy", Principal: asRoot, Want: "allowed"},
		{Why: "the root user can be denied by the resource", Principal: asRoot, Resources: doc(cannot(read, sid("D"), to("*"))), Want: "deny resource-based D"},
		{Why: "a statement that names nobody does nothing in a resource's policy", Resources: everything, Want: "no identity-based"},
		{Why: "a statement that names somebody does nothing in an identity-based policy", Identity: doc(can(read, to(role))), Want: "no identity-based"},

		// Across accounts.
		{Why: "across accounts the identity side alone is not enough", Principal: asForeign, Identity: canRead, Want: "no resource-based"},
		{Why: "across accounts the resource side alone is not enough", Principal: asForeign, Resources: doc(can(read, to(foreign))), Want: "no identity-based"},
		{Why: "across accounts both sides", Principal: asForeign, Identity: canRead, Resources: doc(can(read, to(foreign))), Want: "allowed"},
		{Why: "across accounts the account may be named", Principal: asForeign, Identity: canRead, Resources: doc(can(read, to("444455556666"))), Want: "allowed"},
		{Why: "across accounts the boundary counts even for a session named", Principal: asForeign, Identity: canRead, Resources: doc(can(read, to(foreign))), Boundary: nothing, Want: "no permissions boundary"},
		{Why: "across accounts the session policy counts too", Principal: asForeign, Identity: canRead, Resources: doc(can(read, to(foreign))), Session: nothing, Want: "no session"},
		{Why: "naming one's own account does not let a stranger in", Principal: asForeign, Identity: canRead, Resources: doc(can(read, to(root))), Want: "no resource-based"},
		{Why: "a foreign root user needs the resource side", Principal: iam.Principal{ARN: "arn:aws:iam::444455556666:root"}, Want: "no resource-based"},
		{Why: "the account of the resource can be told apart from its ARN", Account: "444455556666", Identity: canRead, Want: "no resource-based"},
		{Why: "an action without a resource belongs to the caller's account", Action: "secretsmanager:GetRandomPassword", Resource: "*", Identity: doc(can("secretsmanager:GetRandomPassword")), Want: "allowed"},

		// Actions and resources.
		{Why: "actions ignore case", Identity: doc(can("SecretsManager:getsecretVALUE")), Want: "allowed"},
		{Why: "an action may have a star", Identity: doc(can("secretsmanager:Get*")), Want: "allowed"},
		{Why: "a star in the middle", Identity: doc(can("secretsmanager:*Value")), Want: "allowed"},
		{Why: "an action may have question marks", Identity: doc(can("secretsmanager:Get??????Value")), Want: "allowed"},
		{Why: "a question mark is not nothing", Identity: doc(can("secretsmanager:GetSecretValue?")), Want: "no identity-based"},
		{Why: "a prefix is no match", Identity: doc(can("secretsmanager:GetSecret")), Want: "no identity-based"},
		{Why: "a list of actions", Identity: doc(`{"Effect":"Allow","Action":["s3:*","secretsmanager:GetSecretValue"],"Resource":"*"}`), Want: "allowed"},
		{Why: "NotAction allows the others", Identity: doc(`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`), Want: "allowed"},
		{Why: "NotAction leaves out its own", Identity: doc(`{"Effect":"Allow","NotAction":["iam:*","secretsmanager:Get*"],"Resource":"*"}`), Want: "no identity-based"},
		{Why: "a deny of NotAction denies the others", Identity: doc(all, `{"Sid":"OnlyKMS","Effect":"Deny","NotAction":"kms:*","Resource":"*"}`), Want: "deny identity-based OnlyKMS"},
		{Why: "a full ARN", Identity: doc(canOn(read, secret)), Want: "allowed"},
		{Why: "an ARN of a secret that was made anew has another suffix", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-zzzzzz")), Want: "no identity-based"},
		{Why: "six question marks stand for the suffix", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-??????")), Want: "allowed"},
		{Why: "a secret whose name goes on does not fit six question marks", Resource: "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-old-a1b2c3", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-??????")), Want: "no identity-based"},
		{Why: "but it fits a star", Resource: "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-old-a1b2c3", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-*")), Want: "allowed"},
		{Why: "a name without a suffix is no match", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db")), Want: "no identity-based"},
		{Why: "resources mind case", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-east-1:111122223333:secret:App/db-??????")), Want: "no identity-based"},
		{Why: "a star for a whole field", Identity: doc(canOn(read, "arn:aws:secretsmanager:*:*:secret:app/*")), Want: "allowed"},
		{Why: "a star that ends a field runs on over colons", Identity: doc(canOn(read, "arn:aws:secretsmanager:*:secret:app/*")), Want: "allowed"},
		{Why: "a star that ends the ARN runs on too", Identity: doc(canOn(read, "arn:aws:secretsmanager:*")), Want: "allowed"},
		{Why: "a star inside a field stays in it", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-*3333:secret:app/*")), Want: "no identity-based"},
		{Why: "a star inside a field fits that field", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-*-1:1111*3333:secret:app/*")), Want: "allowed"},
		{Why: "a question mark is no colon", Identity: doc(canOn(read, "arn:aws:secretsmanager:us-east-1?111122223333:secret:app/*")), Want: "no identity-based"},
		{Why: "a list of resources", Identity: doc(`{"Effect":"Allow","Action":"*","Resource":["` + key + `","` + secret + `"]}`), Want: "allowed"},
		{Why: "NotResource allows the others", Identity: doc(`{"Effect":"Allow","Action":"*","NotResource":"` + key + `"}`), Want: "allowed"},
		{Why: "NotResource leaves out its own", Identity: doc(`{"Effect":"Allow","Action":"*","NotResource":["` + key + `","` + secret + `"]}`), Want: "no identity-based"},
		{Why: "an action without a resource needs the star", Action: "secretsmanager:GetRandomPassword", Resource: "*", Identity: doc(canOn("secretsmanager:*", secret)), Want: "no identity-based"},

		// Variables.
		{Why: "a tag of the principal in the resource", Principal: iam.Principal{ARN: session, Tags: map[string]string{"team": "app"}}, Identity: doc(canOn(read, "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*")), Want: "allowed"},
		{Why: "another tag does not fit", Principal: iam.Principal{ARN: session, Tags: map[string]string{"team": "web"}}, Identity: doc(canOn(read, "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*")), Want: "no identity-based"},
		{Why: "a star in a tag is no wildcard", Principal: iam.Principal{ARN: session, Tags: map[string]string{"team": "*"}}, Identity: doc(canOn(read, "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}")), Want: "no identity-based"},
		{Why: "a variable without a value matches nothing", Identity: doc(canOn(read, "arn:aws:secretsmanager:*:*:secret:*${aws:PrincipalTag/team}*")), Want: "no identity-based"},
		{Why: "a default stands in", Identity: doc(canOn(read, "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team, 'app'}/*")), Want: "allowed"},
		{Why: "a value goes before the default", Principal: iam.Principal{ARN: session, Tags: map[string]string{"team": "web"}}, Identity: doc(canOn(read, "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team, 'app'}/*")), Want: "no identity-based"},
		{Why: "a document of 2008 has no variables", Principal: iam.Principal{ARN: session, Tags: map[string]string{"team": "app"}}, Identity: `{"Version":"2008-10-17","Statement":` + canOn(read, "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*") + `}`, Want: "no identity-based"},
		{Why: "nor has one without a version", Principal: iam.Principal{ARN: session, Tags: map[string]string{"team": "app"}}, Identity: `{"Statement":` + canOn(read, "arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*") + `}`, Want: "no identity-based"},
		{Why: "a tag of the secret equal to one of the principal", Principal: iam.Principal{ARN: session, Tags: map[string]string{"team": "app"}}, Context: iam.Context{"aws:ResourceTag/team": {"app"}},
			Identity: doc(can(read, when("StringEquals", "aws:ResourceTag/team", `"${aws:PrincipalTag/team}"`))),
			Want:     "allowed"},
		{Why: "a tag of the secret unlike that of the principal", Principal: iam.Principal{ARN: session, Tags: map[string]string{"team": "web"}}, Context: iam.Context{"aws:ResourceTag/team": {"app"}},
			Identity: doc(can(read, when("StringEquals", "aws:ResourceTag/team", `"${aws:PrincipalTag/team}"`))),
			Want:     "no identity-based"},
		{Why: "the name of a user leaves out the path", Principal: asUser, Identity: doc(can(read, when("StringEquals", "aws:username", `"alice"`))), Want: "allowed"},
		{Why: "a session has no user name", Identity: doc(can(read, when("StringLike", "aws:username", `"*"`))), Want: "no identity-based"},

		// What Evaluate knows of a principal.
		{Why: "PrincipalArn is that of the role", Identity: doc(can(read, when("StringEquals", "aws:PrincipalArn", `"`+role+`"`))), Want: "allowed"},
		{Why: "PrincipalArn is not that of the session", Identity: doc(can(read, when("StringEquals", "aws:PrincipalArn", `"`+session+`"`))), Want: "no identity-based"},
		{Why: "PrincipalAccount", Identity: doc(can(read, when("StringEquals", "aws:PrincipalAccount", `"111122223333"`))), Want: "allowed"},
		{Why: "PrincipalType of a session", Identity: doc(can(read, when("StringEquals", "aws:PrincipalType", `"AssumedRole"`))), Want: "allowed"},
		{Why: "PrincipalType of a user", Principal: asUser, Identity: doc(can(read, when("StringEquals", "aws:PrincipalType", `"User"`))), Want: "allowed"},
		{Why: "PrincipalType of the root user", Principal: asRoot, Resources: doc(cannot(read, sid("NoRoot"), to("*"), when("StringEquals", "aws:PrincipalType", `"Account"`))), Want: "deny resource-based NoRoot"},
		{Why: "a role is no service", Identity: doc(can(read, when("Bool", "aws:PrincipalIsAWSService", `"false"`))), Want: "allowed"},
		{Why: "ResourceAccount", Identity: doc(can(read, when("StringEquals", "aws:ResourceAccount", `"${aws:PrincipalAccount}"`))), Want: "allowed"},
		{Why: "what the request carries goes before what was derived", Context: iam.Context{"AWS:principalaccount": {"999999999999"}}, Identity: doc(can(read, when("StringEquals", "aws:PrincipalAccount", `"111122223333"`))), Want: "no identity-based"},

		// Keys.
		decrypt("a key without a policy trusts nobody", "no key", row{Identity: everything}),
		decrypt("a key policy that names the account leaves it to the identity-based policies: none",
			"no identity-based", row{Key: delegates}),
		decrypt("a key policy that names the account leaves it to the identity-based policies: one", "allowed",
			row{Identity: canUse, Key: delegates}),
		decrypt("a key is not the account's own without that", "no key", row{Identity: everything,
			Key: doc(can("kms:*", to(user)))}),
		decrypt("the root user is no exception", "no key", row{Principal: asRoot, Key: doc(can("kms:*", to(user)))}),
		decrypt("the root user under a key policy that names the account", "allowed",
			row{Principal: asRoot, Key: delegates}),
		decrypt("naming the role in a key policy leaves the boundary in force", "no permissions boundary",
			row{Key: doc(can("kms:Decrypt", to(role))), Boundary: nothing}),
		decrypt("naming the session in a key policy does not", "allowed", row{Key: doc(can("kms:Decrypt", to(session))),
			Boundary: nothing}),
		decrypt("an identity-based deny stops whom the key policy names", "deny identity-based D",
			row{Identity: doc(cannot("kms:*", sid("D"))), Key: doc(can("kms:Decrypt", to(role)))}),
		decrypt("a key across accounts needs both sides: the key's only", "no identity-based", row{Principal: asForeign,
			Key: doc(can("kms:Decrypt", to("444455556666")))}),
		decrypt("a key across accounts needs both sides: the identity's only", "no key", row{Principal: asForeign,
			Identity: canUse, Key: delegates}),
		decrypt("a key across accounts, both", "allowed", row{Principal: asForeign, Identity: canUse,
			Key: doc(can("kms:Decrypt", to("444455556666")))}),
		decrypt("a secret's policy has no say on a key", "no key", row{Resources: doc(can("kms:*", to("*"))),
			Identity: everything, Key: doc(can("kms:*", to(user)))}),
		decrypt("the service's own key lets the account in via the service", "allowed",
			row{Key: awsManagedKey, Context: forwarded}),
		decrypt("the service's own key refuses direct use", "no key", row{Key: awsManagedKey, Identity: everything}),
		decrypt("the service's own key refuses other accounts", "no key", row{Principal: asForeign, Key: awsManagedKey,
			Identity: everything, Context: forwarded}),
		decrypt("the encryption context can be a condition", "allowed",
			row{Identity: doc(can("kms:Decrypt", when("StringEquals", "kms:EncryptionContext:SecretARN", `"`+secret+
				`"`))), Key: delegates, Context: forwarded}),
		decrypt("another secret has another encryption context", "no identity-based",
			row{Identity: doc(can("kms:Decrypt", when("StringEquals", "kms:EncryptionContext:SecretARN", `"`+secret+
				`2"`))), Key: delegates, Context: forwarded}),
		decrypt("a deny of foreign endpoints without a guard also stops the service", "deny key Vpce",
			row{Identity: canUse, Key: doc(can("kms:*", to(root)), cannot("kms:*", sid("Vpce"), to("*"), when("StringNotEquals", "aws:SourceVpce", `"vpce-1"`))), Context: forwarded}),
		decrypt("a guard on ViaAWSService spares the service", "allowed",
			row{Identity: canUse, Key: doc(can("kms:*", to(root)), cannot("kms:*", to("*"), `"Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"},"Bool":{"aws:ViaAWSService":"false"}}`)), Context: iam.Context{"aws:ViaAWSService": {"true"}}}),

		// Grants.
		decrypt("a grant to the role suffices", "allowed", row{Key: doc(can("kms:*", to(user))),
			Grants: grant(iam.Grant{})}),
		decrypt("a grant for another operation", "no key", row{Key: doc(can("kms:*", to(user))),
			Grants: grant(iam.Grant{Operations: []string{"Encrypt", "GenerateDataKey"}})}),
		decrypt("a grant to another role", "no key", row{Key: doc(can("kms:*", to(user))),
			Grants: grant(iam.Grant{Grantee: role + "2"})}),
		decrypt("a grant does not outdo a deny", "deny key OnlyVia",
			row{Key: doc(onlyVia), Grants: grant(iam.Grant{})}),
		decrypt("a grant ends at the boundary", "no permissions boundary", row{Key: doc(can("kms:*", to(user))),
			Grants: grant(iam.Grant{}), Boundary: nothing}),
		decrypt("a grant whose subset fits", "allowed", row{Key: doc(can("kms:*", to(user))),
			Grants:  grant(iam.Grant{EncryptionContextSubset: map[string]string{"SecretARN": secret}}),
			Context: iam.Context{"kms:EncryptionContext:SecretARN": {secret}, "kms:EncryptionContext:SecretVersionId": {"v"}}}),
		decrypt("a grant whose subset has another value", "no key", row{Key: doc(can("kms:*", to(user))),
			Grants:  grant(iam.Grant{EncryptionContextSubset: map[string]string{"SecretARN": secret + "2"}}),
			Context: forwarded}),
		decrypt("a grant whose subset has another case", "no key", row{Key: doc(can("kms:*", to(user))),
			Grants:  grant(iam.Grant{EncryptionContextSubset: map[string]string{"secretarn": secret}}),
			Context: forwarded}),
		decrypt("a grant whose subset has a value in another case", "no key", row{Key: doc(can("kms:*", to(user))),
			Grants:  grant(iam.Grant{EncryptionContextSubset: map[string]string{"SecretARN": strings.ToUpper(secret)}}),
			Context: forwarded}),
		decrypt("a grant whose context is equal", "allowed", row{Key: doc(can("kms:*", to(user))),
			Grants:  grant(iam.Grant{EncryptionContextEquals: map[string]string{"SecretARN": secret}}),
			Context: forwarded}),
		decrypt("a grant on an equal context refuses more", "no key", row{Key: doc(can("kms:*", to(user))),
			Grants:  grant(iam.Grant{EncryptionContextEquals: map[string]string{"SecretARN": secret}}),
			Context: iam.Context{"kms:EncryptionContext:SecretARN": {secret}, "kms:EncryptionContext:SecretVersionId": {"v"}}}),
		{Why: "constraints do not concern DescribeKey", Want: "allowed", Action: "kms:DescribeKey", Resource: key,
			Key: doc(can("kms:*", to(user))),
			Grants: grant(iam.Grant{Operations: []string{"DescribeKey"},
				EncryptionContextEquals: map[string]string{"SecretARN": secret}})},

		// Functions and services.
		{Why: "a service that the function's policy names", Principal: asService, Action: "lambda:InvokeFunction", Resource: function, Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"secretsmanager.amazonaws.com"}`)), Want: "allowed"},
		{Why: "a service that it does not name", Principal: asService, Action: "lambda:InvokeFunction", Resource: function, Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"s3.amazonaws.com"}`)), Want: "no resource-based"},
		{Why: "a service on behalf of the right account", Principal: asService, Action: "lambda:InvokeFunction", Resource: function, Context: iam.Context{"aws:SourceAccount": {"111122223333"}},
			Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"secretsmanager.amazonaws.com"}`,
				when("StringEquals", "aws:SourceAccount", `"111122223333"`))), Want: "allowed"},
		{Why: "a service on behalf of another account", Principal: asService, Action: "lambda:InvokeFunction", Resource: function, Context: iam.Context{"aws:SourceAccount": {"444455556666"}},
			Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"secretsmanager.amazonaws.com"}`,
				when("StringEquals", "aws:SourceAccount", `"111122223333"`))), Want: "no resource-based"},
		{Why: "a policy pinned to one secret refuses the next", Principal: asService, Action: "lambda:InvokeFunction", Resource: function, Context: iam.Context{"aws:SourceArn": {secret}},
			Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"secretsmanager.amazonaws.com"}`,
				when("ArnLike", "aws:SourceArn", `"arn:aws:secretsmanager:us-east-1:111122223333:secret:other-??????"`))), Want: "no resource-based"},
		{Why: "SCPs do not bind services", Principal: asService, Action: "lambda:InvokeFunction", Resource: function, SCPs: []string{nothing}, Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"secretsmanager.amazonaws.com"}`)), Want: "allowed"},
		{Why: "RCPs bind services unless they spare them", Principal: asService, Action: "lambda:InvokeFunction", Resource: function, RCPs: []string{doc(can("*", `"Principal":"*"`), cannot("*", sid("Org"), `"Principal":"*"`, when("BoolIfExists", "aws:PrincipalIsAWSService", `"true"`)))},
			Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"secretsmanager.amazonaws.com"}`)),
			Want:      "deny resource control Org"},
		{Why: "an account is no service", Action: "lambda:InvokeFunction", Resource: function, Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"secretsmanager.amazonaws.com"}`)), Want: "no identity-based"},
		{Why: "a service that NotPrincipal lists is spared", Principal: asService, Action: "lambda:InvokeFunction",
			Resource: function,
			Resources: doc(can("lambda:InvokeFunction", `"Principal":{"Service":"secretsmanager.amazonaws.com"}`),
				cannot("*", `"NotPrincipal":{"Service":"secretsmanager.amazonaws.com"}`)), Want: "allowed"},

		// Roles to assume.
		assume("a role that trusts nobody cannot be assumed", "no resource-based", "", everything),
		assume("a role that trusts the account leaves it to the identity-based policies", "no identity-based",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",`+to(root)+`}}`, ""),
		assume("a role that trusts the account, and an identity-based policy", "allowed",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",`+to(root)+`}}`,
			everything),
		assume("a role that trusts the role by name", "allowed",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",`+to(role)+`}}`, ""),
		assume("a role that trusts the other account only", "no resource-based",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",`+to("444455556666")+`}}`,
			everything),
		{Why: "GetCallerIdentity answers even whom a policy denies it", Action: "sts:GetCallerIdentity", Resource: "*", Identity: doc(cannot("*")), Want: "allowed"},

		// The anonymous caller has no account.
		{Why: "an anonymous caller stays out", Principal: iam.Principal{ARN: "anonymous"}, Resources: doc(can(read, to(root))), Want: "no resource-based"},
	}
}

// awsManagedKey is the policy of aws/secretsmanager, in short.
var awsManagedKey = doc(`{"Sid":"Via","Effect":"Allow","Principal":{"AWS":"*"},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:CreateGrant","kms:DescribeKey"],"Resource":"*",
	"Condition":{"StringEquals":{"kms:ViaService":"`+via+`","kms:CallerAccount":"111122223333"}}}`,
	`{"Sid":"Account","Effect":"Allow","Principal":{"AWS":"`+root+
		`"},"Action":["kms:Describe*","kms:Get*","kms:List*"],"Resource":"*"}`)
