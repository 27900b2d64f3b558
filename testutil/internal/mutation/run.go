package mutation

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fate is what became of a mutant.
type Fate struct {
	Mutant
	Killed string // by the tests of this package; "": it survived
	Reason string // why it may, by accepted.txt
	Class  string // "equivalent" or "text"; "": neither
}

// Sample draws n mutants by seed, each as likely as the others; 0: all.
func (b *Build) Sample(n int, seed uint64) []Mutant {
	all := slices.Clone(b.Mutants)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if n == 0 || n > len(all) {
		n = len(all)
	}
	return all[:n]
}

// Test is one top-level test of a package.
type Test struct {
	Package, Name string
	took          time.Duration // without any mutant
}

// Reached runs each test alone, and says which of them come to which mutant. Tests that fail without any mutant would
// kill them all, and are an error.
func (b *Build) Reached(ctx context.Context) (map[int][]Test, error) {
	reached := map[int][]Test{}
	for _, pkg := range b.Tests {
		list := exec.CommandContext(ctx, b.binary(pkg), "-test.list=.")
		list.Dir = filepath.Join(b.root, pkg)
		names, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("the tests of %s: %w", pkg, err)
		}
		for _, name := range strings.Fields(string(names)) {
			t := Test{Package: pkg, Name: name}
			marks := filepath.Join(b.dir, "reached")
			os.Remove(marks)
			begin := time.Now()
			if out, err := b.command(ctx, pkg, []Test{t},
				"QUARTERTURN_MUTANTS_REACHED="+marks).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%s of %s fails without any mutant: %w\n%s", name, pkg, err, tail(out))
			}
			t.took = time.Since(begin)
			text, err := os.ReadFile(marks)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			seen := map[int]bool{}
			for _, word := range strings.Fields(string(text)) {
				if id, err := strconv.Atoi(word); err == nil && !seen[id] {
					seen[id] = true
					reached[id] = append(reached[id], t)
				}
			}
		}
	}
	return reached, nil
}

// slow is what a test takes that is better asked when the others have noticed nothing.
const slow = 300 * time.Millisecond

// runs are the tests that come to a mutant in the order in which they are asked, those of one slice by one process: the
// quick ones before the slow ones, and first those of the mutant's own package, which know most of it.
func runs(m Mutant, tests []Test) (all [][]Test) {
	rank := func(t Test) int {
		r := 0
		if t.took > slow {
			r += 2
		}
		if t.Package != m.Package {
			r++
		}
		return r
	}
	tests = slices.SortedFunc(slices.Values(tests), func(x, y Test) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x.Package, y.Package))
	})
	for i, t := range tests {
		if i == 0 || rank(t) != rank(tests[i-1]) || t.Package != tests[i-1].Package {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], t)
	}
	return all
}

func (b *Build) command(ctx context.Context, pkg string, tests []Test, env ...string) *exec.Cmd {
	var names []string
	for _, t := range tests {
		names = append(names, t.Name)
	}
	cmd := exec.CommandContext(ctx, b.binary(pkg), "-test.short", "-test.failfast", "-test.timeout=10m",
		"-test.run=^("+strings.Join(names, "|")+")$")
	cmd.Dir = filepath.Join(b.root, pkg)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// Try turns mutants on, one at a time in each of so many processes, and runs the tests that come
// to them until one fails. A mutant that hangs is noticed, too: with it tests take longer
// than patience, and five times as long as without.
func (b *Build) Try(ctx context.Context, sample []Mutant, reached map[int][]Test, atOnce int, patience time.Duration,
	done func(Fate)) []Fate {
	fates := make([]Fate, len(sample))
	work := make(chan int)
	var workers sync.WaitGroup
	var mu sync.Mutex
	for range atOnce {
		workers.Go(func() {
			for i := range work {
				fates[i] = Fate{Mutant: sample[i]}
				for _, tests := range runs(sample[i], reached[sample[i].ID]) {
					alone := time.Duration(0)
					for _, t := range tests {
						alone += t.took
					}
					limited, cancel := context.WithTimeout(ctx, max(patience, 5*alone))
					err := b.command(limited, tests[0].Package, tests,
						"QUARTERTURN_MUTANT="+strconv.Itoa(sample[i].ID)).Run()
					cancel()
					if err != nil && ctx.Err() == nil {
						fates[i].Killed = tests[0].Package
						break
					}
				}
				mu.Lock()
				done(fates[i])
				mu.Unlock()
			}
		})
	}
	for i := range sample {
		if ctx.Err() != nil {
			break
		}
		work <- i
	}
	close(work)
	workers.Wait()
	return fates
}

func tail(out []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-20):], []byte("\n"))
}
