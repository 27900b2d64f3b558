package lambdahost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
)

// Build a handler, run it as Lambda would, and crash it.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "bootstrap")
	if err := lambdahost.Build(ctx, "./testdata/bootstrap", program); err != nil {
		fmt.Println(err)
		return
	}
	host, err := lambdahost.Start(lambdahost.Function{Bootstrap: program})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	for _, event := range []string{`{"Text":"hello"}`, `{"Do":"fail","Text":"no luck"}`, `{"Do":"exit","N":3}`, `{}`} {
		result, err := host.Invoke(ctx, []byte(event))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("cold: %v, error: %q %q\n", result.Cold, result.FunctionError, result.ErrorType)
	}
	// Output:
	// cold: true, error: "" ""
	// cold: false, error: "Unhandled" "OddError"
	// cold: false, error: "Unhandled" "Runtime.ExitError"
	// cold: true, error: "" ""
}
