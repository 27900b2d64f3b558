package projecttest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// options are those of the commands of the AWS CLI (version 2) that are printed, each with "!" where the command cannot do
// without it. https://docs.aws.amazon.com/cli/latest/reference/
var options = map[string][]string{
	"elasticache modify-user":                    nil, // named alone, to say whose matter it is
	"memorydb update-user":                       nil,
	"lambda add-permission":                      nil, // named alone: the policy that it makes is printed
	"ec2 describe-vpc-endpoints":                 {"filters", "query", "output"},
	"iam get-policy":                             {"policy-arn!", "query", "output"},
	"iam get-policy-version":                     {"policy-arn!", "version-id!"},
	"organizations describe-policy":              {"policy-id!"},
	"organizations list-policies":                {"filter!", "query", "output"},
	"iam get-role":                               {"role-name!", "query", "output"},
	"iam get-role-policy":                        {"role-name!", "policy-name!"},
	"iam list-attached-role-policies":            {"role-name!"},
	"iam list-role-policies":                     {"role-name!"},
	"kms cancel-key-deletion":                    {"key-id!"},
	"kms describe-key":                           {"key-id!", "region", "query", "output"},
	"kms enable-key":                             {"key-id!"},
	"kms get-key-policy":                         {"key-id!", "policy-name", "query", "output"},
	"kms put-key-policy":                         {"key-id!", "policy-name", "policy!"},
	"lambda delete-function-concurrency":         {"function-name!"},
	"lambda get-function-concurrency":            {"function-name!"},
	"lambda get-function-configuration":          {"function-name!", "query", "output"},
	"lambda list-functions":                      {"query"},
	"lambda put-function-concurrency":            {"function-name!", "reserved-concurrent-executions!"},
	"lambda invoke":                              {"function-name!", "cli-binary-format!", "payload!", outfile},
	"logs filter-log-events":                     {"log-group-name!", "filter-pattern!", "query", "output"},
	"logs create-log-group":                      {"log-group-name!"},
	"rds describe-db-instances":                  {"db-instance-identifier", "query", "output"},
	"rds modify-db-cluster":                      {"db-cluster-identifier!", "rotate-master-user-password", "apply-immediately"},
	"rds modify-db-instance":                     {"db-instance-identifier!", "rotate-master-user-password", "apply-immediately"},
	"secretsmanager cancel-rotate-secret":        {"secret-id!"},
	"secretsmanager describe-secret":             {"secret-id!", "query", "output"},
	"secretsmanager delete-resource-policy":      {"secret-id!"},
	"secretsmanager get-resource-policy":         {"secret-id!", "query", "output"},
	"secretsmanager put-resource-policy":         {"secret-id!", "resource-policy!", "block-public-policy"},
	"secretsmanager get-secret-value":            {"secret-id!", "version-id", "version-stage", "query", "output"},
	"secretsmanager list-secret-version-ids":     {"secret-id!", "include-deprecated"},
	"secretsmanager put-secret-value":            {"secret-id!", "secret-string!"},
	"secretsmanager replicate-secret-to-regions": {"secret-id!", "add-replica-regions!", "force-overwrite-replica-secret", "region"},
	"secretsmanager restore-secret":              {"secret-id!"},
	"secretsmanager rotate-secret":               {"secret-id!", "rotation-lambda-arn", "rotation-rules", "no-rotate-immediately"},
	"secretsmanager update-secret":               {"secret-id!", "kms-key-id!"},
	"secretsmanager update-secret-version-stage": {"secret-id!", "version-stage!", "move-to-version-id", "remove-from-version-id"},
	"sts get-caller-identity":                    {},
}

// outfile is the file at the end of a command for what is answered.
const outfile = ""

// TestPrintedCommandsAreWhole: a command of the AWS CLI in a sentence of ours can be pasted: it names the secret or the key
// that it is about, has every option that it needs, and none that it does not know. Where an option is named, the words before it
// are such a command. rotator/fleet makes its commands of parts; TestEachRemedyHelps runs those. An ARN may have a "!", of
// which an interactive shell makes something else: each is put in as a ShellWord, or in quotes.
func TestPrintedCommandsAreWhole(t *testing.T) {
	command := regexp.MustCompile(`aws ([a-z0-9]+) ([a-z]+(?:-[a-z]+)+|invoke)((?: --[a-z-]+(?:[ =](?:'[^']*'|[^ ';,()-][^ ';,()]*))?)*)( [a-z.]+\.json)?`)
	option := regexp.MustCompile(` --([a-z-]+)`)
	half := regexp.MustCompile(`(\S+ )?\b[a-z-]*(?:[a-z]+-(?:secret|secrets|secret-value|version-ids|version-stage|resource|regions|key|deletion)|put-secret-value) --[a-z]`)
	found := map[string]int{}
	sources(t, func(path, text string) {
		if !strings.HasPrefix(path, "rotator/") && !strings.HasPrefix(path, "strategies/") && !strings.HasPrefix(path, "cmd/") {
			return
		}
		for _, s := range bareSecrets(t, path, text) {
			t.Errorf("%s: want ShellWord, or quotes: %s", path, s)
		}
		if strings.HasPrefix(path, "rotator/fleet/") {
			return
		}
		for _, s := range sentences(t, path, text) {
			for _, m := range command.FindAllStringSubmatch(s, -1) {
				name := m[1] + " " + m[2]
				known, ok := options[name]
				if !ok {
					t.Errorf("%s: %q is no command that this test knows", path, m[0])
					continue
				}
				if found[name]++; known == nil && m[3] == "" || strings.Contains(s, m[0]+` (\S+)`) { // a pattern, to be found
					continue
				}
				var given []string
				for _, o := range option.FindAllStringSubmatch(m[3], -1) {
					given = append(given, o[1])
					if !slices.Contains(known, o[1]) && !slices.Contains(known, o[1]+"!") {
						t.Errorf("%s: %q: no option --%s", path, m[0], o[1])
					}
				}
				for _, k := range known {
					needed, is := strings.CutSuffix(k, "!")
					if is && !slices.Contains(given, needed) && (needed != "cli-binary-format" || !strings.Contains(m[3], "fileb://")) {
						t.Errorf("%s: %q lacks --%s", path, m[0], needed)
					}
				}
				if slices.Contains(known, outfile) && m[4] == "" {
					t.Errorf("%s: %q names no file for the answer", path, m[0])
				}
			}
			for _, m := range half.FindAllStringSubmatch(s, -1) {
				if m[1] != "secretsmanager " && m[1] != "kms " && m[1] != "lambda " {
					t.Errorf("%s: %q is half a command", path, m[0])
				}
			}
		}
	})
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if found[name] == 0 {
			t.Errorf("%s is printed nowhere", name)
		}
	}
}

// bareSecrets are the places of a source file where a command gets the secret that it is about as it is.
func bareSecrets(t *testing.T, path, text string) (bare []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	const option = "--secret-id "
	quoted := func(e ast.Expr) bool {
		call, is := e.(*ast.CallExpr)
		return is && strings.HasSuffix(types.ExprString(call.Fun), "ShellWord")
	}
	verb := regexp.MustCompile(`%(?:\[(\d+)\])?([a-z%])`)
	formats, put := 0, 0
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			formats += strings.Count(n.Value, option+"%")
		case *ast.BinaryExpr:
			parts := operands(n)
			for i, part := range parts[:len(parts)-1] {
				if text, is := literal(part); is && strings.HasSuffix(text, option) && !quoted(parts[i+1]) {
					if _, is := literal(parts[i+1]); !is {
						bare = append(bare, types.ExprString(n))
					}
				}
			}
		case *ast.CallExpr:
			for i, arg := range n.Args {
				format, next := "", 1
				for _, part := range operands(arg) {
					text, _ := literal(part)
					format += text
				}
				for _, m := range verb.FindAllStringSubmatchIndex(format, -1) {
					if format[m[4]] == '%' {
						continue
					}
					if m[2] >= 0 {
						next, _ = strconv.Atoi(format[m[2]:m[3]])
					}
					if strings.HasSuffix(format[:m[0]], option) {
						put++
						own := types.ExprString(n.Fun) == "inShell" // which quotes it
						if !own && (i+next >= len(n.Args) || !quoted(n.Args[i+next])) {
							bare = append(bare, types.ExprString(n))
						}
					}
					next++
				}
			}
		}
		return true
	})
	if formats != put {
		bare = append(bare, "a format that is no argument")
	}
	return bare
}

// operands are what a "+" joins, or the expression itself.
func operands(e ast.Expr) []ast.Expr {
	if b, is := e.(*ast.BinaryExpr); is && b.Op == token.ADD {
		return append(operands(b.X), operands(b.Y)...)
	}
	return []ast.Expr{e}
}

func literal(e ast.Expr) (text string, is bool) {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		text, err := strconv.Unquote(lit.Value)
		return text, err == nil
	}
	return "", false
}

// sentences are the texts of a source file: the literals that are joined, as one, with X for what is put in between.
func sentences(t *testing.T, path, text string) (all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	var joined func(e ast.Expr) string
	joined = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(e.Value); e.Kind == token.STRING && err == nil {
				return regexp.MustCompile(`%[a-z]`).ReplaceAllString(s, "X")
			}
		case *ast.BinaryExpr:
			if e.Op == token.ADD {
				return joined(e.X) + joined(e.Y)
			}
		}
		return "X"
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op != token.ADD {
				return true
			}
			all = append(all, joined(n))
			ast.Inspect(n, func(inner ast.Node) bool { // what is called in it has sentences of its own
				if call, ok := inner.(*ast.CallExpr); ok {
					for _, a := range call.Args {
						all = append(all, joined(a))
					}
				}
				return true
			})
			return false
		case *ast.BasicLit:
			all = append(all, joined(n))
		}
		return true
	})
	return all
}
