package awsemu

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// record is a secret, what it was before the latest write (for stale reads), and
// its latest rotation.
type record struct {
	secret Secret
	before *Secret // nil: the latest write created it
	run    *run
}

func (rec *record) phase() string {
	if rec.run == nil || rec.run.ended() {
		return ""
	}
	return rec.run.step
}

// home is where a resource lives. A name means something in one place only.
type home struct{ account, region string }

func (c Call) home() home                   { return home{c.Account, c.Region} }
func (s *Secret) home() home                { return home{s.Account, s.Region} }
func (s *Secret) homeIn(region string) home { return home{s.Account, region} }

// find looks a secret up by name, ARN, or ARN without the six random characters.
// A complete ARN wins: a name may end in a hyphen and six characters of its own.
// An ARN may be of another account than the caller's, never of another Region.
func (e *Emulator) find(at home, id string) (*record, error) {
	if id == "" { // the request is about no secret
		return nil, errNotFound()
	}
	at.account = cmp.Or(arnAccount(id), at.account)
	if rec := e.secrets[at][nameIn(id)]; rec != nil && rec.secret.Deleted.IsZero() &&
		(rec.secret.Name == id || rec.secret.ARN == id) {
		return rec, nil // what is almost always asked for, however many secrets there are
	}
	var found *record
	for name, rec := range e.secrets[at] {
		gone := rec.secret.Deleted
		switch {
		case !gone.IsZero() && e.now().After(gone): // the recovery window has passed
			delete(e.secrets[at], name)
		case name == id, rec.secret.ARN == id:
			return rec, nil
		case partial(rec.secret.ARN, id):
			found = rec
		}
	}
	if found == nil {
		return nil, errNotFound()
	}
	return found, nil
}

// nameIn is the name in a secret's ARN; another id is a name itself.
func nameIn(id string) string {
	name, ok := strings.CutPrefix(arnPart(id, 5), "secret:")
	if cut := len(name) - len("-abcdef"); ok && cut > 0 {
		return name[:cut]
	}
	return id
}

func partial(arn, id string) bool {
	const suffix = len("-abcdef")
	return strings.HasPrefix(id, "arn:") && len(arn) > suffix && arn[:len(arn)-suffix] == id && !whole.MatchString(id)
}

// whole is an ARN that ends as a whole one does. Its end is read as the six characters even where it is part of a name.
var whole = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// read gives the state that a reading operation answers from.
func (e *Emulator) read(r *request, id string) (*Secret, error) {
	rec, err := e.find(r.call.home(), id)
	switch {
	case err != nil:
		return nil, err
	case !r.fault.Stale:
		return &rec.secret, nil
	case rec.before == nil:
		return nil, errNotFound()
	}
	return rec.before, nil
}

// readLive is read for operations that a deleted secret refuses.
func (e *Emulator) readLive(r *request, id string) (*Secret, error) {
	s, err := e.read(r, id)
	if err == nil && !s.Deleted.IsZero() {
		return nil, errMarkedDeleted()
	}
	return s, err
}

// live finds a secret that is not scheduled for deletion.
func (e *Emulator) live(r *request, id string) (*record, error) {
	rec, err := e.find(r.call.home(), id)
	if err == nil && !rec.secret.Deleted.IsZero() {
		return nil, errMarkedDeleted()
	}
	return rec, err
}

// primary is live for operations that a replica refuses.
func (e *Emulator) primary(r *request, id string) (*record, error) {
	rec, err := e.live(r, id)
	if err == nil && rec.secret.replica() {
		return nil, errReplica()
	}
	return rec, err
}

// writable is primary for operations that a service keeps to itself on the
// secrets that it owns.
func (e *Emulator) writable(r *request, id string) (*record, error) {
	rec, err := e.primary(r, id)
	if err == nil && rec.secret.OwningService != "" {
		return nil, errOwned(rec.secret.OwningService)
	}
	return rec, err
}

func (s *Secret) replica() bool { return s.PrimaryRegion != "" && s.PrimaryRegion != s.Region }

// change makes a write: all of it, or, if it fails, nothing of it.
func (e *Emulator) change(rec *record, now time.Time, write func(*Secret) error) error {
	next := rec.secret.clone()
	if err := write(&next); err != nil {
		return err
	}
	next.Changed = now
	e.listed = nil
	rec.before = new(rec.secret)
	rec.secret = next
	e.copyToReplicas(rec, now)
	return nil
}

// add puts a secret where none of its name is.
func (e *Emulator) add(s Secret) *record {
	e.listed = nil
	if e.secrets == nil {
		e.secrets = map[home]map[string]*record{}
	}
	if e.secrets[s.home()] == nil {
		e.secrets[s.home()] = map[string]*record{}
	}
	rec := &record{secret: s}
	e.secrets[s.home()][s.Name] = rec
	return rec
}

// newARN ends in six characters that differ each time a secret of that name is
// made, as the service's do, and that are the same in each run of a test.
func (e *Emulator) newARN(at home, name string) string {
	if e.births == nil {
		e.births = map[string]int{}
	}
	born := at.account + "/" + at.region + "/" + name
	e.births[born]++
	h := fnv.New64a()
	fmt.Fprint(h, at.region, "/", name, "/", e.births[born])
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	suffix := make([]byte, 6)
	for i, sum := 0, h.Sum64(); i < len(suffix); i++ {
		suffix[i] = letters[sum%uint64(len(letters))]
		sum /= uint64(len(letters))
	}
	return secretARN(at, name) + "-" + string(suffix)
}

func secretARN(at home, name string) string {
	return "arn:aws:secretsmanager:" + at.region + ":" + at.account + ":secret:" + name
}

// Seed puts a secret in the given state, whatever the API would say to it, in
// place of any secret of that name, and returns its ARN. It panics when the state
// is one that no secret can be in: no name, a label or an id twice.
func (e *Emulator) Seed(s Secret) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	s = s.clone()
	s.Region = cmp.Or(s.Region, e.region())
	s.Account = cmp.Or(s.Account, cmp.Or(arnAccount(s.ARN), e.account()))
	if s.ARN == "" {
		s.ARN = e.newARN(s.home(), s.Name)
	}
	s.Created = cmp.Or(s.Created, e.now())
	s.Changed = cmp.Or(s.Changed, s.Created)
	for i := range s.Versions {
		v := &s.Versions[i]
		v.ID, v.n = cmp.Or(v.ID, VersionID(i+1)), i+1
		v.Created = cmp.Or(v.Created, s.Created)
		slices.Sort(v.Labels)
	}
	if fault := s.impossible(); fault != "" {
		panic("awsemu: Seed: " + fault)
	}
	copies := slices.Clone(s.Replicas)
	for i := range s.Replicas {
		s.Replicas[i].Status = cmp.Or(s.Replicas[i].Status, inSync)
	}
	rec := e.add(s)
	rec.before = new(rec.secret.clone())
	for _, replica := range copies {
		if replica.Status == "" {
			s.PrimaryRegion, rec.secret.PrimaryRegion = s.Region, s.Region
			e.add(s.replicaIn(replica.Region, replica.KMSKeyID))
		}
	}
	return s.ARN
}

func (s *Secret) impossible() string {
	if s.Name == "" {
		return "a secret needs a name"
	}
	seen := map[string]bool{}
	for _, v := range s.Versions {
		for _, word := range append([]string{v.ID}, v.Labels...) {
			if seen[word] {
				return word + " is on two versions"
			}
			seen[word] = true
		}
	}
	return ""
}

// Snapshot is a copy of a secret's state, found by name or ARN; account and Region
// are the ARN's, or the Emulator's. The zero Secret if there is none.
func (e *Emulator) Snapshot(id string) Secret {
	return e.SnapshotIn(e.homeOf(id).region, id)
}

// SnapshotIn is Snapshot in another Region, for replicas by name.
func (e *Emulator) SnapshotIn(region, id string) Secret {
	e.mu.Lock()
	defer e.mu.Unlock()
	rec, err := e.find(home{e.account(), region}, id)
	if err != nil {
		return Secret{}
	}
	return rec.secret.clone()
}

// homeOf is the place that an ARN names; a name is one in the Emulator's own.
func (e *Emulator) homeOf(id string) home {
	return home{cmp.Or(arnAccount(id), e.account()), cmp.Or(arnPart(id, 3), e.region())}
}

func arnAccount(arn string) string { return arnPart(arn, 4) }

// arnPart is a part of arn:partition:service:region:account:resource, or "".
func arnPart(arn string, n int) string {
	if part := strings.SplitN(arn, ":", 6); len(part) == 6 && part[0] == "arn" {
		return part[n]
	}
	return ""
}

// inOrder is every secret of a place by name, for answers that do not change
// from run to run.
func (e *Emulator) inOrder(at home) []*record {
	names := slices.Sorted(maps.Keys(e.secrets[at]))
	list := make([]*record, 0, len(names))
	for _, name := range names {
		if rec, err := e.find(at, name); err == nil {
			list = append(list, rec)
		}
	}
	return list
}
