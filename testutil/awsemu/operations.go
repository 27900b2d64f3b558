package awsemu

// prepared is an operation whose input was read and found well formed.
type prepared func(*Emulator, *request) (any, error)

// operation reads the input of an operation.
type operation func(body []byte) (prepared, error)

const secretsManagerName = "secretsmanager"

var secretsManager = service{name: secretsManagerName, target: secretsManagerName + ".", operations: operations}

// operations is everything that Secrets Manager offers.
var operations = map[string]operation{
	"BatchGetSecretValue":          op((*Emulator).batchGetSecretValue),
	"CancelRotateSecret":           op((*Emulator).cancelRotateSecret),
	"CreateSecret":                 op((*Emulator).createSecret),
	"DeleteResourcePolicy":         op((*Emulator).deleteResourcePolicy),
	"DeleteSecret":                 op((*Emulator).deleteSecret),
	"DescribeSecret":               op((*Emulator).describeSecret),
	"GetRandomPassword":            op((*Emulator).getRandomPassword),
	"GetResourcePolicy":            op((*Emulator).getResourcePolicy),
	"GetSecretValue":               op((*Emulator).getSecretValue),
	"ListSecrets":                  op((*Emulator).listSecrets),
	"ListSecretVersionIds":         op((*Emulator).listSecretVersionIds),
	"PutResourcePolicy":            op((*Emulator).putResourcePolicy),
	"PutSecretValue":               op((*Emulator).putSecretValue),
	"RemoveRegionsFromReplication": op((*Emulator).removeRegionsFromReplication),
	"ReplicateSecretToRegions":     op((*Emulator).replicateSecretToRegions),
	"RestoreSecret":                op((*Emulator).restoreSecret),
	"RotateSecret":                 op((*Emulator).rotateSecret),
	"StopReplicationToReplica":     op((*Emulator).stopReplicationToReplica),
	"TagResource":                  op((*Emulator).tagResource),
	"UntagResource":                op((*Emulator).untagResource),
	"UpdateSecret":                 op((*Emulator).updateSecret),
	"UpdateSecretVersionStage":     op((*Emulator).updateSecretVersionStage),
	"ValidateResourcePolicy":       op((*Emulator).validateResourcePolicy),
}

func op[In any](run func(*Emulator, *request, *In) (any, error)) operation {
	return func(body []byte) (prepared, error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		return func(e *Emulator, r *request) (any, error) { return run(e, r, in) }, nil
	}
}

// identityOutput is how most operations answer.
type identityOutput struct {
	ARN       string
	Name      string
	VersionId string `json:",omitempty"`
}

func identity(s *Secret) identityOutput { return identityOutput{ARN: s.ARN, Name: s.Name} }
