package iam_test

import "github.com/quarterturn-dev/quarterturn/rotator/iam"

// conditionRow is a Condition element and whether it holds.
type conditionRow struct {
	Why       string
	Condition string
	Context   iam.Context
	Holds     bool
}

func (c conditionRow) row() row {
	r := row{Why: c.Why, Context: c.Context, Identity: doc(can(read, `"Condition":`+c.Condition)),
		Want: "no identity-based"}
	if c.Holds {
		r.Want = "allowed"
	}
	return r
}

// conditions are the operators of the IAM User Guide, "Condition operators" and
// "Set operators for multivalued context keys".
func conditions() []conditionRow {
	stage := func(values ...string) iam.Context { return iam.Context{"secretsmanager:VersionStage": values} }
	vpce := func(values ...string) iam.Context { return iam.Context{"aws:SourceVpce": values} }
	arn := func(v string) iam.Context { return iam.Context{"aws:SourceArn": {v}} }
	age := func(v string) iam.Context { return iam.Context{"aws:MultiFactorAuthAge": {v}} }
	now := func(v string) iam.Context { return iam.Context{"aws:CurrentTime": {v}} }
	from := func(v string) iam.Context { return iam.Context{"aws:SourceIp": {v}} }
	called := func(v ...string) iam.Context { return iam.Context{"aws:CalledVia": v} }
	var none iam.Context

	return []conditionRow{
		// Strings.
		{"StringEquals, equal", `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, stage("AWSCURRENT"), true},
		{"StringEquals, unlike", `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, stage("AWSPENDING"), false},
		{"StringEquals minds case", `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, stage("awscurrent"), false},
		{"StringEquals, one of several", `{"StringEquals":{"secretsmanager:VersionStage":["AWSCURRENT","AWSPENDING"]}}`, stage("AWSPENDING"), true},
		{"StringEquals, absent", `{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, none, false},
		{"StringEquals knows no wildcards", `{"StringEquals":{"secretsmanager:VersionStage":"AWS*"}}`, stage("AWSCURRENT"), false},
		{"StringEquals takes a star for itself", `{"StringEquals":{"aws:SourceVpce":"vpce-*"}}`, vpce("vpce-*"), true},
		{"keys ignore case", `{"StringEquals":{"SECRETSMANAGER:versionstage":"AWSCURRENT"}}`, stage("AWSCURRENT"), true},
		{"a key with no values is absent", `{"Null":{"secretsmanager:VersionStage":"true"}}`, stage(), true},
		{"StringEqualsIfExists, absent", `{"StringEqualsIfExists":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, none, true},
		{"StringEqualsIfExists, unlike", `{"StringEqualsIfExists":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, stage("AWSPENDING"), false},
		{"StringNotEquals, equal", `{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`, vpce("vpce-1"), false},
		{"StringNotEquals, unlike", `{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`, vpce("vpce-2"), true},
		{"StringNotEquals, one of several", `{"StringNotEquals":{"aws:SourceVpce":["vpce-1","vpce-2"]}}`, vpce("vpce-2"), false},
		{"StringNotEquals, absent", `{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`, none, true},
		{"StringNotEqualsIfExists, absent", `{"StringNotEqualsIfExists":{"aws:SourceVpce":"vpce-1"}}`, none, true},
		{"StringEqualsIgnoreCase", `{"StringEqualsIgnoreCase":{"aws:SourceVpce":"VPCE-1"}}`, vpce("vpce-1"), true},
		{"StringEqualsIgnoreCase, unlike", `{"StringEqualsIgnoreCase":{"aws:SourceVpce":"VPCE-1"}}`, vpce("vpce-2"), false},
		{"StringEqualsIgnoreCase, absent", `{"StringEqualsIgnoreCase":{"aws:SourceVpce":"VPCE-1"}}`, none, false},
		{"StringNotEqualsIgnoreCase", `{"StringNotEqualsIgnoreCase":{"aws:SourceVpce":"VPCE-1"}}`, vpce("vpce-1"), false},
		{"StringNotEqualsIgnoreCase, unlike", `{"StringNotEqualsIgnoreCase":{"aws:SourceVpce":"VPCE-1"}}`, vpce("vpce-2"), true},
		{"StringNotEqualsIgnoreCase, absent", `{"StringNotEqualsIgnoreCase":{"aws:SourceVpce":"VPCE-1"}}`, none, true},
		{"StringLike, star", `{"StringLike":{"aws:SourceVpce":"vpce-*"}}`, vpce("vpce-1"), true},
		{"StringLike, question mark", `{"StringLike":{"aws:SourceVpce":"vpce-?"}}`, vpce("vpce-12"), false},
		{"StringLike runs over colons", `{"StringLike":{"aws:SourceArn":"arn:*:secret:app/*"}}`, arn(secret), true},
		{"StringLike minds case", `{"StringLike":{"aws:SourceVpce":"VPCE-*"}}`, vpce("vpce-1"), false},
		{"StringLike, absent", `{"StringLike":{"aws:SourceVpce":"*"}}`, none, false},
		{"StringNotLike, like", `{"StringNotLike":{"aws:SourceVpce":"vpce-*"}}`, vpce("vpce-1"), false},
		{"StringNotLike, unlike", `{"StringNotLike":{"aws:SourceVpce":"vpce-2*"}}`, vpce("vpce-1"), true},
		{"StringNotLike, absent", `{"StringNotLike":{"aws:SourceVpce":"vpce-*"}}`, none, true},
		{"a literal star", `{"StringLike":{"aws:SourceVpce":"vpce-${*}"}}`, vpce("vpce-1"), false},
		{"a literal star met", `{"StringLike":{"aws:SourceVpce":"vpce-${*}"}}`, vpce("vpce-*"), true},
		{"a literal question mark", `{"StringLike":{"aws:SourceVpce":"vpce-${?}"}}`, vpce("vpce-1"), false},
		{"a literal dollar", `{"StringEquals":{"aws:SourceVpce":"${$}{x}"}}`, vpce("${x}"), true},
		{"a variable without a value matches nothing, and a negation of it allows nothing", `{"StringNotEquals":{"aws:SourceVpce":"${aws:PrincipalTag/vpce}"}}`, vpce("vpce-1"), false},

		// ARNs.
		{"ArnEquals, equal", `{"ArnEquals":{"aws:SourceArn":"` + secret + `"}}`, arn(secret), true},
		{"ArnEquals knows wildcards", `{"ArnEquals":{"aws:SourceArn":"arn:aws:secretsmanager:*:111122223333:secret:app/*"}}`, arn(secret), true},
		{"ArnLike, another account", `{"ArnLike":{"aws:SourceArn":"arn:aws:secretsmanager:*:444455556666:secret:*"}}`, arn(secret), false},
		{"ArnLike compares field by field", `{"ArnLike":{"aws:SourceArn":"arn:aws:secretsmanager:*:secret:app/*"}}`, arn(secret), false},
		{"ArnLike runs over colons in the last field", `{"ArnLike":{"aws:SourceArn":"arn:aws:lambda:*:*:function*live"}}`, arn(function + ":live"), true},
		{"ArnLike, no ARN", `{"ArnLike":{"aws:SourceArn":"arn:*:*:*:*:*"}}`, arn("vpce-1"), false},
		{"ArnLike, six fields but no ARN", `{"ArnLike":{"aws:SourceArn":"*:*:*:*:*:*"}}`, arn("a:b:c:d:e:f"), false},
		{"ArnLike, absent", `{"ArnLike":{"aws:SourceArn":"arn:*:*:*:*:*"}}`, none, false},
		{"ArnLikeIfExists, absent", `{"ArnLikeIfExists":{"aws:SourceArn":"` + secret + `"}}`, none, true},
		{"ArnNotEquals, equal", `{"ArnNotEquals":{"aws:SourceArn":"` + secret + `"}}`, arn(secret), false},
		{"ArnNotEquals, unlike", `{"ArnNotEquals":{"aws:SourceArn":"` + secret + `"}}`, arn(key), true},
		{"ArnNotLike, like", `{"ArnNotLike":{"aws:SourceArn":"arn:aws:secretsmanager:*:*:*"}}`, arn(secret), false},
		{"ArnNotLike, unlike", `{"ArnNotLike":{"aws:SourceArn":"arn:aws:secretsmanager:*:*:*"}}`, arn(key), true},
		{"ArnNotLike, absent", `{"ArnNotLike":{"aws:SourceArn":"arn:aws:secretsmanager:*:*:*"}}`, none, true},

		// Bool and Null.
		{"Bool, true", `{"Bool":{"aws:SecureTransport":"true"}}`, iam.Context{"aws:SecureTransport": {"true"}}, true},
		{"Bool, unlike", `{"Bool":{"aws:SecureTransport":"true"}}`, iam.Context{"aws:SecureTransport": {"false"}}, false},
		{"Bool without quotes", `{"Bool":{"aws:SecureTransport":true}}`, iam.Context{"aws:SecureTransport": {"true"}}, true},
		{"Bool, absent", `{"Bool":{"aws:SecureTransport":"false"}}`, none, false},
		{"BoolIfExists, absent", `{"BoolIfExists":{"aws:SecureTransport":"true"}}`, none, true},
		{"Null true, absent", `{"Null":{"aws:SourceVpce":"true"}}`, none, true},
		{"Null true, there", `{"Null":{"aws:SourceVpce":true}}`, vpce("vpce-1"), false},
		{"Null false, absent", `{"Null":{"aws:SourceVpce":"false"}}`, none, false},
		{"Null false, there", `{"Null":{"aws:SourceVpce":"false"}}`, vpce("vpce-1"), true},

		// Numbers.
		{"NumericEquals", `{"NumericEquals":{"aws:MultiFactorAuthAge":"300"}}`, age("300.0"), true},
		{"NumericEquals, unlike", `{"NumericEquals":{"aws:MultiFactorAuthAge":"300"}}`, age("301"), false},
		{"NumericNotEquals", `{"NumericNotEquals":{"aws:MultiFactorAuthAge":300}}`, age("300"), false},
		{"NumericNotEquals, absent", `{"NumericNotEquals":{"aws:MultiFactorAuthAge":300}}`, none, true},
		{"NumericLessThan, less", `{"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}`, age("299"), true},
		{"NumericLessThan, equal", `{"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}`, age("300"), false},
		{"NumericLessThan compares numbers, not text", `{"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}`, age("1000"), false},
		{"NumericLessThanEquals, equal", `{"NumericLessThanEquals":{"aws:MultiFactorAuthAge":"300"}}`, age("300"), true},
		{"NumericLessThanEquals, more", `{"NumericLessThanEquals":{"aws:MultiFactorAuthAge":"300"}}`, age("300.5"), false},
		{"NumericGreaterThan, more", `{"NumericGreaterThan":{"aws:MultiFactorAuthAge":"300"}}`, age("301"), true},
		{"NumericGreaterThan, equal", `{"NumericGreaterThan":{"aws:MultiFactorAuthAge":"300"}}`, age("300"), false},
		{"NumericGreaterThanEquals, equal", `{"NumericGreaterThanEquals":{"aws:MultiFactorAuthAge":"300"}}`, age("300"), true},
		{"NumericGreaterThanEquals, less", `{"NumericGreaterThanEquals":{"aws:MultiFactorAuthAge":"300"}}`, age("299"), false},
		{"NumericLessThan, no number", `{"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}`, age("NaN"), false},
		{"NumericLessThan, absent", `{"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}`, none, false},

		// Dates.
		{"DateEquals over time zones", `{"DateEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2026-01-01T01:00:00+01:00"), true},
		{"DateEquals, unlike", `{"DateEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2026-01-01T00:00:01Z"), false},
		{"DateNotEquals", `{"DateNotEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2026-01-01T00:00:00Z"), false},
		{"DateNotEquals, absent", `{"DateNotEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, none, true},
		{"DateLessThan, before", `{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2025-12-31T23:59:59Z"), true},
		{"DateLessThan, the moment", `{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2026-01-01T00:00:00Z"), false},
		{"DateLessThanEquals, the moment", `{"DateLessThanEquals":{"aws:CurrentTime":"2026-01-01"}}`, now("2026-01-01T00:00:00Z"), true},
		{"DateGreaterThan, after", `{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2026-01-01T00:00:01Z"), true},
		{"DateGreaterThan, the moment", `{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2026-01-01T00:00:00Z"), false},
		{"DateGreaterThanEquals, the moment", `{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2026-01-01T00:00:00Z"), true},
		{"DateGreaterThanEquals, before", `{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, now("2025-12-31T00:00:00Z"), false},
		{"a date may be seconds since 1970", `{"DateLessThan":{"aws:EpochTime":"1767225600"}}`, iam.Context{"aws:EpochTime": {"1767225599"}}, true},
		{"DateLessThan, absent", `{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`, none, false},

		// Addresses.
		{"IpAddress inside", `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, from("203.0.113.7"), true},
		{"IpAddress outside", `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, from("203.0.114.7"), false},
		{"IpAddress, one address", `{"IpAddress":{"aws:SourceIp":["198.51.100.1","203.0.113.7"]}}`, from("203.0.113.7"), true},
		{"IpAddress, version 6", `{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`, from("2001:db8:1::1"), true},
		{"IpAddress, versions do not mix", `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, from("2001:db8::1"), false},
		{"IpAddress, absent", `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, none, false},
		{"NotIpAddress inside", `{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, from("203.0.113.7"), false},
		{"NotIpAddress outside", `{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, from("203.0.114.7"), true},
		{"NotIpAddress, absent", `{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, none, true},
		{"NotIpAddressIfExists, absent", `{"NotIpAddressIfExists":{"aws:SourceIp":"203.0.113.0/24"}}`, none, true},

		// Sets.
		{"ForAnyValue, one fits", `{"ForAnyValue:StringEquals":{"aws:CalledVia":["athena.amazonaws.com","kms.amazonaws.com"]}}`, called("cloudformation.amazonaws.com", "kms.amazonaws.com"), true},
		{"ForAnyValue, none fits", `{"ForAnyValue:StringEquals":{"aws:CalledVia":"athena.amazonaws.com"}}`, called("kms.amazonaws.com"), false},
		{"ForAnyValue, absent", `{"ForAnyValue:StringEquals":{"aws:CalledVia":"athena.amazonaws.com"}}`, none, false},
		{"ForAnyValue with wildcards", `{"ForAnyValue:StringLike":{"aws:CalledVia":"kms.*"}}`, called("s3.amazonaws.com", "kms.amazonaws.com"), true},
		{"ForAnyValue negated, one is unlike", `{"ForAnyValue:StringNotEquals":{"aws:CalledVia":"kms.amazonaws.com"}}`, called("s3.amazonaws.com", "kms.amazonaws.com"), true},
		{"ForAnyValue negated, all fit", `{"ForAnyValue:StringNotEquals":{"aws:CalledVia":"kms.amazonaws.com"}}`, called("kms.amazonaws.com"), false},
		{"ForAnyValue negated, absent", `{"ForAnyValue:StringNotEquals":{"aws:CalledVia":"kms.amazonaws.com"}}`, none, false},
		{"ForAnyValue IfExists, absent", `{"ForAnyValue:StringEqualsIfExists":{"aws:CalledVia":"kms.amazonaws.com"}}`, none, true},
		{"ForAllValues, all fit", `{"ForAllValues:StringEquals":{"aws:CalledVia":["kms.amazonaws.com","s3.amazonaws.com"]}}`, called("s3.amazonaws.com", "kms.amazonaws.com"), true},
		{"ForAllValues, one does not", `{"ForAllValues:StringEquals":{"aws:CalledVia":"s3.amazonaws.com"}}`, called("s3.amazonaws.com", "kms.amazonaws.com"), false},
		{"ForAllValues, absent", `{"ForAllValues:StringEquals":{"aws:CalledVia":"s3.amazonaws.com"}}`, none, true},
		{"ForAllValues negated, none fits", `{"ForAllValues:StringNotEquals":{"aws:CalledVia":"s3.amazonaws.com"}}`, called("kms.amazonaws.com", "ec2.amazonaws.com"), true},
		{"ForAllValues negated, one fits", `{"ForAllValues:StringNotEquals":{"aws:CalledVia":"s3.amazonaws.com"}}`, called("kms.amazonaws.com", "s3.amazonaws.com"), false},

		// As people write them, and IAM takes them.
		{"an operator in lower case", `{"stringequals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, stage("AWSCURRENT"), true},
		{"a negation in lower case", `{"stringnotequals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, stage("AWSCURRENT"), false},
		{"IfExists in lower case", `{"stringequalsifexists":{"secretsmanager:VersionStage":"AWSCURRENT"}}`, none, true},
		{"a set operator in other case", `{"forAnyValue:StringEquals":{"aws:CalledVia":"kms.amazonaws.com"}}`, called("s3.amazonaws.com", "kms.amazonaws.com"), true},
		{"all of them in other case", `{"FORALLVALUES:STRINGLIKE":{"aws:CalledVia":"s3.*"}}`, called("s3.amazonaws.com", "kms.amazonaws.com"), false},
		{"null in lower case", `{"null":{"aws:SourceVpce":true}}`, none, true},
		{"BOOL in upper case", `{"BOOL":{"aws:SecureTransport":"False"}}`, iam.Context{"aws:SecureTransport": {"false"}}, true},
		{"BinaryEquals", `{"BinaryEquals":{"aws:SourceVpce":"dnBjZS0x"}}`, vpce("dnBjZS0x"), true},
		{"no values, which nothing equals", `{"StringEquals":{"aws:SourceVpce":[]}}`, vpce("vpce-1"), false},
		{"no values, which everything differs from", `{"StringNotEquals":{"aws:SourceVpce":[]}}`, vpce("vpce-1"), true},
		{"no values, absent", `{"StringEquals":{"aws:SourceVpce":[]}}`, none, false},
		{"an operator without keys", `{"StringEquals":{}}`, none, true},
		{"a date without a zone is of UTC", `{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00"}}`, now("2026-01-01T00:00:01Z"), true},
		{"a date without seconds and zone", `{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00"}}`, now("2025-12-31T23:59:59Z"), false},
		{"a date with fractions and no zone", `{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00.500"}}`, now("2026-01-01T00:00:00Z"), true},
		{"a year", `{"DateLessThan":{"aws:CurrentTime":"2027"}}`, now("2026-06-01T00:00:00Z"), true},
		{"a month", `{"DateGreaterThan":{"aws:CurrentTime":"2026-02"}}`, now("2026-01-31T00:00:00Z"), false},

		// Several together.
		{"two operators, both hold", `{"StringEquals":{"aws:SourceVpce":"vpce-1"},"Null":{"aws:SourceArn":"true"}}`, vpce("vpce-1"), true},
		{"two operators, one fails", `{"StringEquals":{"aws:SourceVpce":"vpce-1"},"Null":{"aws:SourceArn":"false"}}`, vpce("vpce-1"), false},
		{"two keys, one fails", `{"StringEquals":{"aws:SourceVpce":"vpce-1","aws:SourceVpc":"vpc-1"}}`, vpce("vpce-1"), false},
		{"no condition at all", `{}`, none, true},
	}
}
