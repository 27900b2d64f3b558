package awsemu

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// lambdaService is the describing part of Lambda: whether a function exists, whether it can run, and who may invoke it.
// Functions are invoked elsewhere: see Emulator.Invoke.
var lambdaService = service{name: "lambda", rest: lambdaOperation, operations: map[string]operation{
	"GetFunctionConcurrency":   op((*Emulator).getFunctionConcurrency),
	"GetFunctionConfiguration": op((*Emulator).getFunctionConfiguration),
	"GetPolicy":                op((*Emulator).getFunctionPolicy),
}}

// organization is the listing part of Organizations.
var organization = service{name: "organizations", target: "AWSOrganizationsV20161128.", operations: map[string]operation{
	"ListAccounts": op((*Emulator).listAccounts),
}}

// lambdaPaths are where the API's operations are.
// https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
var lambdaPaths = []struct{ version, end, operation string }{
	{"/2019-09-30/functions/", "/concurrency", "GetFunctionConcurrency"},
	{"/2015-03-31/functions/", "/configuration", "GetFunctionConfiguration"},
	{"/2015-03-31/functions/", "/policy", "GetPolicy"},
}

// lambdaOperation reads an operation and its input from the path.
func lambdaOperation(hr *http.Request) (operation string, input string) {
	for _, p := range lambdaPaths {
		name, ok := strings.CutPrefix(hr.URL.Path, p.version)
		if name, end := strings.CutSuffix(name, p.end); ok && end && hr.Method == http.MethodGet {
			return p.operation, name
		}
	}
	return "", ""
}

type functionInput struct {
	FunctionName string `check:"required len=1-256"`
}

// function finds a function by its ARN or, in the caller's account and Region, by its name; and asks the caller's policies.
func (e *Emulator) function(r *request, in *functionInput) (Function, error) {
	arn := in.FunctionName
	if !strings.HasPrefix(arn, "arn:") {
		arn = "arn:aws:lambda:" + r.call.Region + ":" + r.call.Account + ":function:" + arn
	}
	if err := e.allow(r, query{action: "lambda:" + r.call.Operation, resource: arn, account: arnAccount(arn)}); err != nil {
		return Function{}, err
	}
	i := slices.IndexFunc(e.Functions, func(f Function) bool { return f.ARN == arn })
	if i < 0 {
		return Function{}, &apiError{codeNotFound, "Function not found: " + arn, http.StatusNotFound}
	}
	return e.Functions[i], nil
}

func (e *Emulator) getFunctionConcurrency(r *request, in *functionInput) (any, error) {
	f, err := e.function(r, in)
	return struct {
		ReservedConcurrentExecutions *int `json:",omitempty"`
	}{f.Reserved}, err
}

func (e *Emulator) getFunctionConfiguration(r *request, in *functionInput) (any, error) {
	f, err := e.function(r, in)
	type environment struct{ Variables map[string]string }
	return struct {
		FunctionArn, FunctionName, Runtime, State, LastUpdateStatus string
		Environment                                                 environment
	}{
		f.ARN, strings.TrimPrefix(arnPart(f.ARN, 5), "function:"), cmp.Or(f.Runtime, "provided.al2023"), cmp.Or(f.State, "Active"), cmp.Or(f.LastUpdate, "Successful"),
		environment{f.Environment},
	}, err
}

func (e *Emulator) getFunctionPolicy(r *request, in *functionInput) (any, error) {
	f, err := e.function(r, in)
	if err != nil {
		return nil, err
	}
	if f.Document == "" {
		return nil, &apiError{codeNotFound, "The resource you requested does not exist.", http.StatusNotFound}
	}
	return struct{ Policy, RevisionId string }{f.Document, newUUID()}, nil
}

type listAccountsInput struct {
	NextToken  string `check:"len=0-100000"`
	MaxResults int64  `check:"min=1 max=20"`
}

// listAccounts gives the accounts of the organization, which are all that the emulator was told of.
func (e *Emulator) listAccounts(r *request, in *listAccountsInput) (any, error) {
	if err := e.allow(r, query{action: "organizations:ListAccounts", resource: "*", account: r.call.Account}); err != nil {
		return nil, err
	}
	type account struct{ Id, Arn, Name, Status string }
	list := []account{}
	for _, a := range e.Accounts {
		list = append(list, account{a.ID, "arn:aws:organizations::" + e.account() + ":account/o-emulator/" + a.ID, "account " + a.ID, cmp.Or(a.Status, "ACTIVE")})
	}
	list, next, err := page(list, in.NextToken, int(in.MaxResults), 20)
	return struct {
		Accounts  []account
		NextToken string `json:",omitempty"`
	}{list, next}, err
}
