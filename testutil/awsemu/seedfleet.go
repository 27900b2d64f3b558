package awsemu

import (
	"fmt"
	"time"
)

// SeedFleet puts secrets there in which every condition of a fleet report (rotator/fleet) stands at least once, beside
// some that are in order, with the functions and keys that they name. It gives the name of the secret for each
// condition: "F01" and so on. F32 and F34 are of a whole account and are not among them. Set Functions and Accounts
// before.
func (e *Emulator) SeedFleet(now time.Time) map[string]string {
	const day = 24 * time.Hour
	at := func(d time.Duration) time.Time { return now.Add(-d) }
	on, off := true, false
	arn := func(name string) string {
		return "arn:aws:lambda:" + e.region() + ":" + e.account() + ":function:" + name
	}
	allow := `{"Version":"2012-10-17","Statement":[{"Sid":"SecretsManager","Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"*"%s}]}`
	narrow := fmt.Sprintf(allow, `,"Condition":{"StringEquals":{"AWS:SourceAccount":"`+e.account()+`"}}`)
	none := 0
	e.mu.Lock()
	e.Functions = append(e.Functions,
		Function{ARN: arn("quarterturn-postgres-single-user"), Document: narrow,
			Environment: map[string]string{"SECRET_TAGS": "password-length=16-64"}},
		Function{ARN: arn("quarterturn-postgres-alternating-users"), Document: narrow},
		Function{ARN: arn("quarterturn-stopped"), Document: narrow, Reserved: &none},
		Function{ARN: arn("quarterturn-uninvited")},
		Function{ARN: arn("quarterturn-open"), Document: fmt.Sprintf(allow, "")},
		Function{ARN: arn("SecretsManagerRDSPostgreSQLRotation"), Document: narrow, Runtime: "python3.9"},
		Function{ARN: arn("rotate-by-hand"), Document: narrow, Runtime: "python3.13"},
	)
	e.mu.Unlock()
	disabled := e.SeedKey(Key{State: keyDisabled})
	ending := e.SeedKey(Key{State: keyPendingDeletion, Deletion: now.Add(7 * day)})

	instance := e.SeedInstance(Instance{ID: "fleet-f24", Engine: "postgres", Host: "db.example", Port: 5432})

	value := Text(`{"engine":"postgres","host":"db.example","username":"app","password":"emulator-only"}`)
	current := func(age time.Duration) []Version {
		return []Version{{Labels: []string{current}, Value: value, Created: at(age)}}
	}
	begun := func(age, pendingAge time.Duration) []Version {
		return append(current(age), Version{Labels: []string{pending}, Value: value, Created: at(pendingAge)})
	}
	weekly := RotationRules{AutomaticallyAfterDays: 7, ScheduleExpression: "cron(0 3 ? * SUN *)", Duration: "3h"}
	// good is a secret with which all is well; the others differ from it in one thing.
	good := func(name string) Secret {
		return Secret{
			Name: name, Versions: current(3 * day), RotationEnabled: &on,
			RotationLambdaARN: arn("quarterturn-postgres-single-user"), Rules: weekly, Created: at(200 * day),
			Changed: at(3 * day), LastRotated: at(3 * day), NextRotation: now.Add(4 * day), LastAccessed: at(day / 2),
			Tags: map[string]string{"team": "orders"},
		}
	}
	var many []Version
	for i := range 25 {
		many = append(many, Version{Value: value, Created: at(time.Duration(i) * 10 * time.Minute)})
	}
	seeds := map[string]func(*Secret){
		"F01": func(s *Secret) { s.NextRotation = at(3 * day); s.LastRotated = at(10 * day) },
		"F02": func(s *Secret) { s.NextRotation = at(2 * day); s.Versions = begun(9*day, 10*time.Minute) },
		"F03": func(s *Secret) { s.Versions = begun(3*day, 6*time.Hour) },
		"F04": func(s *Secret) { s.RotationEnabled = &off; s.Versions = begun(9*day, 2*day) },
		"F05": func(s *Secret) { s.LastRotated = time.Time{} },
		"F06": func(s *Secret) {
			s.RotationEnabled, s.RotationLambdaARN, s.Rules = nil, "", RotationRules{}
			s.LastRotated, s.NextRotation = time.Time{}, time.Time{}
		},
		"F07": func(s *Secret) {
			s.RotationEnabled, s.LastRotated, s.NextRotation = &off, time.Time{}, time.Time{}
		},
		"F08": func(s *Secret) { s.LastRotated = at(120 * day); s.Changed = at(120 * day) },
		"F09": func(s *Secret) { s.Rules = RotationRules{AutomaticallyAfterDays: 180} },
		"F10": func(s *Secret) { s.Rules.ScheduleExpression = "at(2027-01-01)" },
		"F11": func(s *Secret) { s.RotationLambdaARN = arn("rotate-by-hand") },
		"F12": func(s *Secret) { s.RotationLambdaARN = arn("quarterturn-gone") },
		"F13": func(s *Secret) { s.RotationLambdaARN = arn("quarterturn-stopped") },
		"F14": func(s *Secret) { s.RotationLambdaARN = arn("SecretsManagerRDSPostgreSQLRotation") },
		"F15": func(s *Secret) { s.RotationLambdaARN = arn("quarterturn-uninvited") },
		"F16": func(s *Secret) { s.RotationLambdaARN = arn("quarterturn-open") },
		"F17": func(s *Secret) {
			s.RotationLambdaARN = "arn:aws:lambda:" + e.region() + ":210987654321:function:quarterturn-shared"
		},
		"F18": func(s *Secret) { s.KMSKeyID = disabled },
		"F19": func(s *Secret) { s.KMSKeyID = ending },
		"F20": func(*Secret) {}, // where the policy wants a key
		"F21": func(s *Secret) {
			s.Replicas = []Replica{{Region: "eu-central-1", Status: "Failed",
				StatusMessage: "A secret of that name is there already"}}
		},
		"F22": func(s *Secret) { s.PrimaryRegion = "eu-central-1" },
		"F23": func(s *Secret) {
			s.Deleted = now.Add(6 * day)
			s.LastAccessed = at(60 * day)
			s.RotationEnabled = &off
		},
		"F24": func(s *Secret) {
			s.OwningService, s.RotationLambdaARN, s.Tags["aws:rds:primaryDBInstanceArn"] = "rds", "", instance
		},
		"F25": func(s *Secret) { s.Type, s.RotationLambdaARN = "DatadogApiKey", "" },
		"F26": func(s *Secret) { s.LastAccessed = at(150 * day) },
		"F27": func(s *Secret) { s.LastAccessed = s.LastRotated },
		"F28": func(s *Secret) { s.Versions = append(s.Versions, many...) },
		"F29": func(s *Secret) {
			s.Versions = []Version{{Labels: []string{"CUSTOM"}, Value: value, Created: at(3 * day)}}
		},
		"F30": func(s *Secret) { s.Tags = nil },
		"F31": func(s *Secret) { s.Tags["quarterturn:password-length"] = "7" },
		"F33": func(s *Secret) {
			s.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
		},
		"F35": func(s *Secret) {
			s.LastAccessed = at(150 * day)
			s.Tags["quarterturn:accept"] = "F26.until-" + now.Add(60*day).Format(time.DateOnly)
		},
		"F36": func(s *Secret) { s.Rules = RotationRules{ScheduleExpression: "rate(4 hours)"} },
	}
	names := map[string]string{}
	for id, change := range seeds {
		s := good("fleet/" + id)
		change(&s)
		for i := range s.Versions {
			s.Versions[i].ID = fmt.Sprintf("%s0000-0000-4000-8000-%012d", id+"00", i+1)
		}
		e.Seed(s)
		names[id] = s.Name
	}
	for i := range 3 {
		e.Seed(good(fmt.Sprintf("fleet/in-order-%d", i+1)))
	}
	return names
}
