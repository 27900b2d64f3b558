package awsemu

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// lambdaService is the part of Lambda that reports look at, and what they advise: whether a function exists, whether it
// can run, and who may invoke it. Functions are invoked elsewhere: see Emulator.Invoke.
var lambdaService = service{name: "lambda", rest: lambdaOperation, operations: map[string]operation{
	"AddPermission":             op((*Emulator).addPermission),
	"RemovePermission":          op((*Emulator).removePermission),
	"DeleteFunctionConcurrency": op((*Emulator).deleteFunctionConcurrency),
	"GetFunctionConcurrency":    op((*Emulator).getFunctionConcurrency),
	"GetFunctionConfiguration":  op((*Emulator).getFunctionConfiguration),
	"GetPolicy":                 op((*Emulator).getFunctionPolicy),
	"PutFunctionConcurrency":    op((*Emulator).putFunctionConcurrency),

	"UpdateFunctionConfiguration": op((*Emulator).updateFunctionConfiguration),
}}

// organization is the listing part of Organizations.
var organization = service{name: "organizations", target: "AWSOrganizationsV20161128.",
	operations: map[string]operation{
		"ListAccounts": op((*Emulator).listAccounts),
	}}

// lambdaPaths are where the API's operations are.
// https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
var lambdaPaths = []struct{ method, version, end, operation string }{
	{http.MethodGet, "/2019-09-30/functions/", "/concurrency", "GetFunctionConcurrency"},
	{http.MethodDelete, "/2017-10-31/functions/", "/concurrency", "DeleteFunctionConcurrency"},
	{http.MethodPut, "/2017-10-31/functions/", "/concurrency", "PutFunctionConcurrency"},
	{http.MethodPut, "/2015-03-31/functions/", "/configuration", "UpdateFunctionConfiguration"},
	{http.MethodGet, "/2015-03-31/functions/", "/configuration", "GetFunctionConfiguration"},
	{http.MethodGet, "/2015-03-31/functions/", "/policy", "GetPolicy"},
	{http.MethodPost, "/2015-03-31/functions/", "/policy", "AddPermission"},
}

// lambdaOperation reads an operation from method and path, and what the path says of its input.
func lambdaOperation(hr *http.Request) (operation string, input map[string]string) {
	for _, p := range lambdaPaths {
		name, ok := strings.CutPrefix(hr.URL.Path, p.version)
		if name, end := strings.CutSuffix(name, p.end); ok && end && hr.Method == p.method {
			return p.operation, map[string]string{"FunctionName": name}
		}
	}
	rest, ok := strings.CutPrefix(hr.URL.Path, "/2015-03-31/functions/")
	if name, sid, policy := strings.Cut(rest, "/policy/"); ok && policy && hr.Method == http.MethodDelete {
		return "RemovePermission", map[string]string{"FunctionName": name, "StatementId": sid}
	}
	return "", nil
}

type functionInput struct {
	FunctionName string `check:"required len=1-256"`
}

// function finds a function by its ARN or, in the caller's account and Region, by its name; and asks the caller's
// policies.
func (e *Emulator) function(r *request, in *functionInput) (Function, error) {
	arn := in.FunctionName
	if !strings.HasPrefix(arn, "arn:") {
		arn = "arn:aws:lambda:" + r.call.Region + ":" + r.call.Account + ":function:" + arn
	}
	if err := e.allow(r, query{action: "lambda:" + r.call.Operation, resource: arn,
		account: arnAccount(arn)}); err != nil {
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

type functionEnvironment struct{ Variables map[string]string }

func (e *Emulator) getFunctionConfiguration(r *request, in *functionInput) (any, error) {
	f, err := e.function(r, in)
	return f.configuration(), err
}

func (f Function) configuration() any {
	return struct {
		FunctionArn, FunctionName, Runtime, State, LastUpdateStatus string
		Environment                                                 functionEnvironment
	}{
		f.ARN, strings.TrimPrefix(arnPart(f.ARN, 5), "function:"), cmp.Or(f.Runtime, "provided.al2023"),
		cmp.Or(f.State, "Active"), cmp.Or(f.LastUpdate, "Successful"),
		functionEnvironment{f.Environment},
	}
}

type functionConfigurationInput struct {
	FunctionName string `check:"required len=1-256"`
	Environment  *functionEnvironment
}

// updateFunctionConfiguration replaces the environment, which is what settings are in. It takes no other member: a
// timeout that was not in force would be worse than a refusal.
func (e *Emulator) updateFunctionConfiguration(r *request, in *functionConfigurationInput) (any, error) {
	f, err := e.function(r, &functionInput{in.FunctionName})
	if err != nil {
		return nil, err
	}
	for name := range r.asked {
		if name != "FunctionName" && name != "Environment" {
			return nil, refuse(codeValidation, "This emulator changes the environment of a function alone, and not "+
				"%.80q.", name)
		}
	}
	if in.Environment == nil {
		return f.configuration(), nil
	}
	for name := range in.Environment.Variables {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, "AWS_LAMBDA_") {
			return nil, refuse(codeValidation, "Lambda was unable to configure your environment variables because the "+
				"environment variables you have provided contains reserved keys that are currently not supported for "+
				"modification. Reserved keys used in this request: %.80q", name)
		}
	}
	if f.Environment = in.Environment.Variables; e.Configure != nil {
		r.then = append(r.then, func() { e.Configure(f.ARN, f.Environment) }) // it may wait for an invocation
	}
	e.Functions = replace(e.Functions, f, func(old Function) bool { return old.ARN == f.ARN })
	return f.configuration(), nil
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

// permission is a statement of a function's policy.
type permission struct {
	Sid, Effect      string
	Principal        map[string]string
	Action, Resource string
	Condition        map[string]map[string]string `json:",omitempty"`
}

type functionPolicy struct {
	Version   string
	Statement []permission
}

// changeFunction changes a function, in a list of the emulator's own.
func (e *Emulator) changeFunction(f Function, policy functionPolicy) error {
	if f.Document = ""; len(policy.Statement) > 0 {
		text, err := json.Marshal(policy)
		if err != nil {
			return err
		}
		f.Document = string(text)
	}
	e.Functions = replace(e.Functions, f, func(old Function) bool { return old.ARN == f.ARN })
	return nil
}

// functionPolicy is the function that a request is about, and its policy.
func (e *Emulator) functionPolicy(r *request, name string) (f Function, policy functionPolicy, err error) {
	if f, err = e.function(r, &functionInput{name}); err == nil && f.Document != "" {
		err = json.Unmarshal([]byte(f.Document), &policy)
	}
	policy.Version = "2012-10-17"
	return f, policy, err
}

type addPermissionInput struct {
	FunctionName  string `check:"required len=1-256"`
	StatementId   string `check:"required len=1-100"`
	Action        string `check:"required"`
	Principal     string `check:"required"`
	SourceAccount string
	SourceArn     string
}

func (e *Emulator) addPermission(r *request, in *addPermissionInput) (any, error) {
	f, policy, err := e.functionPolicy(r, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(policy.Statement, func(s permission) bool { return s.Sid == in.StatementId }) {
		return nil, &apiError{"ResourceConflictException", "The statement id (" + in.StatementId +
			") provided already exists. Please provide a new statement id, or remove the existing statement.",
			http.StatusConflict}
	}
	added := permission{Sid: in.StatementId, Effect: "Allow", Principal: map[string]string{"Service": in.Principal},
		Action: in.Action, Resource: f.ARN}
	conditions := map[string]map[string]string{}
	if in.SourceAccount != "" {
		conditions["StringEquals"] = map[string]string{"AWS:SourceAccount": in.SourceAccount}
	}
	if in.SourceArn != "" {
		conditions["ArnLike"] = map[string]string{"AWS:SourceArn": in.SourceArn}
	}
	added.Condition = conditions
	policy.Statement = append(policy.Statement, added)
	text, err := json.Marshal(added)
	if err != nil {
		return nil, err
	}
	return struct{ Statement string }{string(text)}, e.changeFunction(f, policy)
}

type removePermissionInput struct {
	FunctionName string `check:"required len=1-256"`
	StatementId  string `check:"required len=1-100"`
}

func (e *Emulator) removePermission(r *request, in *removePermissionInput) (any, error) {
	f, policy, err := e.functionPolicy(r, in.FunctionName)
	if err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(slices.Clone(policy.Statement), func(s permission) bool {
		return s.Sid == in.StatementId
	})
	if len(left) == len(policy.Statement) {
		return nil, &apiError{codeNotFound, "Statement " + in.StatementId + " is not found in resource policy.",
			http.StatusNotFound}
	}
	policy.Statement = left
	return struct{}{}, e.changeFunction(f, policy)
}

type functionConcurrencyInput struct {
	FunctionName                 string `check:"required len=1-256"`
	ReservedConcurrentExecutions *int   `check:"required"`
}

func (e *Emulator) putFunctionConcurrency(r *request, in *functionConcurrencyInput) (any, error) {
	f, err := e.function(r, &functionInput{in.FunctionName})
	if err != nil {
		return nil, err
	}
	if *in.ReservedConcurrentExecutions < 0 {
		return nil, refuse(codeValidation, "ReservedConcurrentExecutions must not be negative.")
	}
	f.Reserved = in.ReservedConcurrentExecutions
	e.Functions = replace(e.Functions, f, func(old Function) bool { return old.ARN == f.ARN })
	return struct{ ReservedConcurrentExecutions int }{*f.Reserved}, nil
}

// Throttled says whether a function has a reserved concurrency of 0, by which it is stopped. It goes by its name, or by
// its ARN.
func (e *Emulator) Throttled(function string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.Functions, func(f Function) bool {
		return f.ARN == function || strings.HasSuffix(f.ARN, ":function:"+function)
	})
	return i >= 0 && e.Functions[i].Reserved != nil && *e.Functions[i].Reserved == 0
}

func (e *Emulator) deleteFunctionConcurrency(r *request, in *functionInput) (any, error) {
	f, err := e.function(r, in)
	if err != nil {
		return nil, err
	}
	f.Reserved = nil
	e.Functions = replace(e.Functions, f, func(old Function) bool { return old.ARN == f.ARN })
	return struct{}{}, nil
}

type listAccountsInput struct {
	NextToken  string `check:"len=0-100000"`
	MaxResults int64  `check:"min=1 max=20"`
}

// listAccounts gives the accounts of the organization, which are all that the emulator was told of.
func (e *Emulator) listAccounts(r *request, in *listAccountsInput) (any, error) {
	if err := e.allow(r, query{action: "organizations:ListAccounts", resource: "*",
		account: r.call.Account}); err != nil {
		return nil, err
	}
	type account struct{ Id, Arn, Name, Status string }
	list := []account{}
	for _, a := range e.Accounts {
		list = append(list, account{a.ID, "arn:aws:organizations::" + e.account() + ":account/o-emulator/" + a.ID,
			"account " + a.ID, cmp.Or(a.Status, "ACTIVE")})
	}
	list, next, err := page(list, in.NextToken, int(in.MaxResults), 20)
	return struct {
		Accounts  []account
		NextToken string `json:",omitempty"`
	}{list, next}, err
}
