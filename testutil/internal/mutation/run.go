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

// Reached runs each test binary once, and says which of them comes to which mutant. Tests that
// fail without any mutant would kill them all, and are an error.
func (b *Build) Reached(ctx context.Context) (map[int][]string, error) {
	reached := map[int][]string{}
	for _, test := range b.Tests {
		marks := filepath.Join(b.dir, "reached")
		os.Remove(marks)
		cmd := b.command(ctx, test, "QUARTERTURN_MUTANTS_REACHED="+marks)
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("the tests of %s fail without any mutant: %w\n%s", test, err, tail(out))
		}
		b.took[test] = time.Since(begin)
		text, err := os.ReadFile(marks)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		seen := map[int]bool{}
		for _, word := range strings.Fields(string(text)) {
			if id, err := strconv.Atoi(word); err == nil && !seen[id] {
				seen[id] = true
				reached[id] = append(reached[id], test)
			}
		}
	}
	// The tests of a mutant's own package know most of it; of the others the fastest come first.
	for _, m := range b.Mutants {
		slices.SortFunc(reached[m.ID], func(x, y string) int {
			switch m.Package {
			case x:
				return -1
			case y:
				return 1
			}
			return cmp.Compare(b.took[x], b.took[y])
		})
	}
	return reached, nil
}

func (b *Build) command(ctx context.Context, test string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.binary(test), "-test.short", "-test.failfast", "-test.timeout=10m")
	cmd.Dir = filepath.Join(b.root, test)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// Try turns mutants on, one at a time in each of so many processes, and runs the tests that come
// to them until one fails. A mutant that hangs is noticed, too: with it the tests of a package
// take longer than patience, and five times as long as without.
func (b *Build) Try(ctx context.Context, sample []Mutant, reached map[int][]string, atOnce int, patience time.Duration, done func(Fate)) []Fate {
	fates := make([]Fate, len(sample))
	work := make(chan int)
	var workers sync.WaitGroup
	var mu sync.Mutex
	for range atOnce {
		workers.Go(func() {
			for i := range work {
				fates[i] = Fate{Mutant: sample[i]}
				for _, test := range reached[sample[i].ID] {
					limited, cancel := context.WithTimeout(ctx, max(patience, 5*b.took[test]))
					err := b.command(limited, test, "QUARTERTURN_MUTANT="+strconv.Itoa(sample[i].ID)).Run()
					cancel()
					if err != nil && ctx.Err() == nil {
						fates[i].Killed = test
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
