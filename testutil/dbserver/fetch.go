package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// source is where one server comes from: npm.go and apt.go have one each.
type source interface {
	fmt.Stringer
	// find is where the server is on this machine, in the cache or outside of it.
	find(ctx context.Context) (string, error)
	// folder is the server's name in the cache: another version, or another system on the same disk, is another folder.
	folder() string
	// possible says why the server cannot be fetched on this machine.
	possible() error
	// bring makes the folder into, which does not exist yet, by way of temp, and answers how much it got.
	bring(ctx context.Context, temp, into string) (megabytes int64, err error)
	// check says what the version in dir is, if it can be used.
	check(ctx context.Context, dir string) (version string, err error)
}

// Names is all servers that Fetch can bring: "postgres-13" and so on, and MySQLs without those that others run.
func Names() []string {
	var names []string
	for _, major := range Majors() {
		names = append(names, postgresPrefix+strconv.Itoa(major))
	}
	for _, r := range mysqlReleases {
		names = append(names, r.name)
	}
	return names
}

const postgresPrefix = "postgres-"

// sourceOf knows a server by one of Names.
func sourceOf(name string) (source, error) {
	if major, err := strconv.Atoi(strings.TrimPrefix(name, postgresPrefix)); err == nil &&
		strings.HasPrefix(name, postgresPrefix) {
		if pkg, ok := packageOf(major); ok {
			return pkg, nil
		}
	}
	if r, ok := releaseOf(name); ok {
		return r, nil
	}
	for _, p := range programs {
		if p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s: no package for it; there are %s", name,
		strings.Join(append(Names(), Programs()...), ", "))
}

// Find says where the server of one of Names is. The error wraps ErrMissing and says where it was looked for.
func Find(ctx context.Context, name string) (string, error) {
	s, err := sourceOf(name)
	if err != nil {
		return "", err
	}
	return s.find(ctx)
}

// Newest is the name of the newest server of a kind ("postgres", "valkey") that Find finds. A kind of which there is
// none on this machine is an error that wraps ErrMissing, with the name of the one to fetch.
func Newest(ctx context.Context, kind string) (name string, err error) {
	servers := append(Names(), slices.Sorted(slices.Values(Valkeys()))...)
	for _, candidate := range slices.Backward(servers) {
		if !strings.HasPrefix(candidate, kind+"-") {
			continue
		}
		if name == "" {
			name = candidate
		}
		if _, missing := Find(ctx, candidate); missing == nil {
			return candidate, nil
		} else if err == nil {
			err = missing
		}
	}
	if name == "" {
		return "", fmt.Errorf("there is no kind of server %q: %s", kind, strings.Join(kinds(servers), ", "))
	}
	return name, err
}

// kinds is what servers are called before their versions.
func kinds(servers []string) (all []string) {
	for _, name := range servers {
		if kind, _, _ := strings.Cut(name, "-"); !slices.Contains(all, kind) {
			all = append(all, kind)
		}
	}
	return all
}

// Fetch brings the servers of Names that Find does not find into the cache, two at a time, and writes a line about
// each. It asks this machine's npm and apt, as they are configured, and changes nothing on the machine. Two Fetches at
// once do not collide: the second waits.
func Fetch(ctx context.Context, out io.Writer, names ...string) error {
	var wanted []source
	var errs error
	for _, name := range names {
		s, err := sourceOf(name)
		if err != nil {
			errs = errors.Join(errs, err)
		} else if where, err := s.find(ctx); err == nil {
			fmt.Fprintf(out, "%s is already there: %s\n", s, where)
		} else if err := s.possible(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", s, err))
		} else {
			wanted = append(wanted, s)
		}
	}
	if len(wanted) == 0 {
		return errs
	}
	return errors.Join(errs, fetchAll(ctx, out, wanted))
}

// fetchAll fetches under the lock of the cache.
func fetchAll(ctx context.Context, out io.Writer, wanted []source) error {
	cache, err := CacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("cache folder: %w", err)
	}
	unlock, err := lock(ctx, out, filepath.Join(cache, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	disk.Prune(cache, halfFetched, 0) // with the lock, none is of a process that still fetches
	for _, s := range wanted {
		fmt.Fprintf(out, "fetching %s into %s ...\n", s, cache)
	}

	errs := make([]error, len(wanted))
	lines := &lineWriter{out: out}
	slots := make(chan struct{}, 2)
	var all sync.WaitGroup
	for i, s := range wanted {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := fetch(ctx, lines, s, cache); err != nil {
				errs[i] = fmt.Errorf("%s: %w", s, disk.Full(err, cache, "fetching it", fetchGigabytes))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// halfFetched begins the names of folders that servers are fetched into.
const halfFetched = ".fetch-"

// fetch gets one server and moves it into its place as a whole.
func fetch(ctx context.Context, out io.Writer, s source, cache string) error {
	final := filepath.Join(cache, s.folder())
	if _, err := os.Stat(final); err == nil {
		_, err := s.check(ctx, final) // by whoever had the lock before
		return err
	}
	begin := time.Now()
	temp, err := os.MkdirTemp(cache, halfFetched)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil { // for the users that servers, and downloads by apt, run as
		return err
	}
	unpacked := filepath.Join(temp, "unpacked")
	megabytes, err := s.bring(ctx, temp, unpacked)
	if err != nil {
		return err
	}
	version, err := s.check(ctx, unpacked)
	if err != nil {
		return err
	}
	if err := os.Rename(unpacked, final); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: fetched %s, %d MB in %.1f s\n", s, version, megabytes, time.Since(begin).Seconds())
	return nil
}

// fetchGigabytes is what the largest of them takes while it is there twice: as packages and unpacked.
const fetchGigabytes = 1

// lock waits until no other process holds the lock file, and says so if it has to.
func lock(ctx context.Context, out io.Writer, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for waits := 0; ; waits++ {
		mine, err := disk.TryLock(f)
		if mine {
			return func() { f.Close() }, nil
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
		}
		if waits == 0 {
			fmt.Fprintln(out, "another run is fetching; waiting for it")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock: %w", context.Cause(ctx)), f.Close())
		case <-tick.C:
		}
	}
}

// lineWriter keeps the lines of two downloads apart.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(line)
}
