package rotator

import (
	"fmt"
	"strconv"
	"strings"
)

// BoolSetting reads a setting that is true or false, and false where it is missing or
// empty; lookup is os.LookupEnv, as serve.Settings.Lookup has it.
func BoolSetting(lookup func(string) (string, bool), name string) (bool, error) {
	text, _ := lookup(name)
	if text == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return false, fmt.Errorf("environment: %w: %s is neither true nor false", KindMisconfigured, name)
	}
	return v, nil
}
