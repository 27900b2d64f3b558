package rotator

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

const canary = "canary-hunter2-hunter2"

// TestNoFieldIsForgotten: every text in a record, whatever fields it has, and in one that
// has more fields than today, is scrubbed and escaped. A type that sanitizeFields does not
// reach into is a failure.
func TestNoFieldIsForgotten(t *testing.T) {
	v := &invocation{}
	v.scrub.Add(secret.NewPassword(canary))
	fields := slices.Clone(reflect.VisibleFields(reflect.TypeFor[Record]()))
	for name, later := range map[string]reflect.Type{
		"Text": reflect.TypeFor[string](), "Texts": reflect.TypeFor[[][]string](), "Report2": reflect.TypeFor[*Report](),
		"ByName": reflect.TypeFor[map[string]VersionStatus](),
	} {
		fields = append(fields, reflect.StructField{Name: "Later" + name, Type: later})
	}
	for _, root := range []reflect.Type{reflect.TypeFor[Record](), reflect.TypeFor[StepError](),
		reflect.StructOf(fields)} {
		full := reflect.New(root)
		texts := poison(t, full.Elem(), root.Name())
		v.sanitizeFields(full.Interface())
		found := strings.Join(textsOf(full.Elem()), "\n")
		if strings.Contains(found, canary) || strings.Contains(found, "\x1b") || strings.Count(found, `\x1b`) != texts {
			t.Errorf("of %d texts in %s some were not sanitized:\n%s", texts, root, found)
		}
	}
}

// closed are the types of strings that are our own words.
var closed = []reflect.Type{
	reflect.TypeFor[Step](), reflect.TypeFor[Outcome](), reflect.TypeFor[Kind](), reflect.TypeFor[Status](),
	reflect.TypeFor[CredentialState](), reflect.TypeFor[Action](), reflect.TypeFor[Runner](),
}

// poison fills in every text that there can be, and says how many there are.
func poison(t *testing.T, v reflect.Value, name string) (texts int) {
	t.Helper()
	switch {
	case v.Kind() == reflect.String && v.Type().PkgPath() != "":
		if !slices.Contains(closed, v.Type()) {
			t.Errorf("%s has a type of its own, %s, so that it is not sanitized: list it with those that hold our "+
				"own words, or make it a string", name, v.Type())
		}
	case v.Kind() == reflect.String:
		v.SetString("\x1b" + canary)
		return 1
	case v.Type() == reflect.TypeFor[time.Time](), v.Type() == reflect.TypeFor[error](): // no text; sanitized by itself
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				texts += poison(t, v.Field(i), name+"."+f.Name)
			} else if kind := f.Type.Kind(); kind != reflect.Bool && f.Name != "format" && f.Name != "function" {
				t.Errorf("%s.%s is not exported: what prints it whole prints it as it is", name, f.Name)
			}
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return poison(t, v.Elem(), name)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		return poison(t, v.Index(0), name) + poison(t, v.Index(1), name)
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		texts = poison(t, key, name) + poison(t, value, name)
		v.SetMapIndex(key, value)
	case v.CanInt() || v.CanFloat() || v.Kind() == reflect.Bool:
	default:
		t.Errorf("%s is a %s, which sanitizeFields does not look into", name, v.Type())
	}
	return texts
}

func textsOf(v reflect.Value) (all []string) {
	switch v.Kind() {
	case reflect.String:
		return []string{v.String()}
	case reflect.Struct:
		for i := range v.NumField() {
			all = append(all, textsOf(v.Field(i))...)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return textsOf(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, textsOf(v.Index(i))...)
		}
	case reflect.Map:
		return []string{fmt.Sprint(v.Interface())}
	}
	return all
}

// TestSanitizeChangesNothingOfOthers: the labels of a diagnosis are those that the Store
// gave, and may be in use there.
func TestSanitizeChangesNothingOfOthers(t *testing.T) {
	v := &invocation{}
	labels := []string{"AWSCURRENT", "a\nb"}
	v.sanitizeFields(&Diagnosis{Versions: []VersionStatus{{Labels: labels}}})
	if labels[1] != "a\nb" {
		t.Errorf("the Store's own labels were changed to %q", labels)
	}
}

// TestSanitizeKeepsWhatIsAbsent: a list that is not there does not become an empty one, which JSON tells apart.
func TestSanitizeKeepsWhatIsAbsent(t *testing.T) {
	var none struct {
		List []string
		Map  map[string]string
		At   *Report
	}
	new(invocation).sanitizeFields(&none)
	if none.List != nil || none.Map != nil || none.At != nil {
		t.Errorf("%#v", none)
	}
}

// TestSanitizeLeavesOurOwnWords, which a password may be equal to.
func TestSanitizeLeavesOurOwnWords(t *testing.T) {
	v := &invocation{}
	v.scrub.Add(secret.NewPassword(string(ActionFinish)))
	d := &Diagnosis{Action: ActionFinish, Reason: string(ActionFinish)}
	if v.sanitizeFields(d); d.Action != ActionFinish || d.Reason != secret.Redacted {
		t.Errorf("%q because %q", d.Action, d.Reason)
	}
}
