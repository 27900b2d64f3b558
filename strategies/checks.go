package strategies

import "github.com/quarterturn-dev/quarterturn/rotator"

// DatabaseChecks lists the rows of a preflight that the strategies of this package add to
// [rotator.AWSChecks]: those of the value and of the database. T and P are tested for the
// user of the secret, and again for a superuser; P6 where a password is set, and P7
// where a clone is created or synced too.
func DatabaseChecks() []rotator.Check {
	rows := []rotator.Check{{ID: "S9", Proves: descKeys}}
	for _, p := range (loginResult{changeID: "P6", prefix: "superuser: "}).phases() {
		rows = append(rows, rotator.Check{ID: p.id, Proves: p.check, Needs: []string{rows[len(rows)-1].ID}})
	}
	last := rows[len(rows)-1]
	return append(rows,
		rotator.Check{ID: "P7", Proves: descClone, Needs: last.Needs},
		rotator.Check{ID: "P8", Proves: descAccount, Needs: []string{"P6"}},
		rotator.Check{ID: "P9", Proves: descPair, Needs: []string{"P7"}},
		rotator.Check{ID: "S10", Proves: descSuperuser, Needs: []string{"P3"}},
	)
}
