package lambdahost

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// AccessKey is the one with which every function here signs.
const AccessKey = "ASIALAMBDAHOSTSAMPLE"

// environment is what a process of an OS-only runtime (provided.al2023) finds,
// with fn.Env last, so that it wins. AWS_EXECUTION_ENV is absent there.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
func environment(fn Function, runtimeAPI string) []string {
	root := filepath.Dir(fn.Bootstrap)
	initialization := "on-demand"
	if fn.Provisioned {
		initialization = "provisioned-concurrency"
	}
	return append([]string{
		"_HANDLER=bootstrap",
		"AWS_LAMBDA_RUNTIME_API=" + runtimeAPI,
		"AWS_LAMBDA_FUNCTION_NAME=" + fn.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(fn.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE=" + initialization,
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + fn.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + logStream(time.Now()),
		"AWS_REGION=" + fn.Region,
		"AWS_DEFAULT_REGION=" + fn.Region,
		// Of the right form and good for nothing: the function's role, as it were.
		"AWS_ACCESS_KEY_ID=" + AccessKey,
		"AWS_SECRET_ACCESS_KEY=lambdahost-not-a-secret-key",
		"AWS_SESSION_TOKEN=lambdahost-not-a-session-token",
		"LAMBDA_TASK_ROOT=" + root,
		"LAMBDA_RUNTIME_DIR=/var/runtime",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin",
		// Not one of Lambda's. Without it SDKs and drivers look up the home folder
		// of the account, and read the developer's ~/.aws or ~/.pgpass.
		"HOME=" + root,
	}, fn.Env...)
}

// logStream names the log stream of one execution environment.
func logStream(now time.Time) string {
	return fmt.Sprintf("%s/[$LATEST]%s", now.UTC().Format("2006/01/02"), strings.ReplaceAll(newUUID(), "-", ""))
}
