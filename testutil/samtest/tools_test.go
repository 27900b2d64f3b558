package samtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstallWithoutPython: who has no Python, or Debian's without venv, is told so,
// and what is half there does not count.
func TestInstallWithoutPython(t *testing.T) {
	for name, script := range map[string]string{
		"none":         "",
		"without venv": "#!/bin/sh\necho 'The virtual environment was not created successfully because ensurepip is not available.'; exit 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if script != "" {
				if err := os.WriteFile(filepath.Join(path, "python3"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", path)
			tools := Tools{Dir: filepath.Join(t.TempDir(), "tools")}
			var out strings.Builder
			if err := tools.Install(t.Context(), root, &out); !errors.Is(err, ErrNoPython) {
				t.Errorf("%v", err)
			}
			if tools.Installed() {
				t.Error("it counts as installed")
			}
		})
	}
}

// TestToolsAreNamedByWhatIsInThem: another list of versions is another folder.
func TestToolsAreNamedByWhatIsInThem(t *testing.T) {
	folders := map[string]bool{}
	for _, list := range []string{"aws-sam-cli==1.170.0\n", "aws-sam-cli==1.171.0\n"} {
		project := t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(project, "sam"), 0o755), os.WriteFile(filepath.Join(project, "sam", "requirements.txt"), []byte(list), 0o644)); err != nil {
			t.Fatal(err)
		}
		tools, err := ToolsIn(project)
		if err != nil {
			t.Fatal(err)
		}
		folders[filepath.Base(tools.Dir)] = true
	}
	if len(folders) != 2 {
		t.Errorf("%v", folders)
	}
}
