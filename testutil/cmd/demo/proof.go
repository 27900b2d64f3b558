package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/sampledb"
)

// prove shows that the rotation did what it says, by asking the server.
func prove(ctx context.Context, db *sampledb.Database, dual bool, before, after awsemu.Secret) error {
	was, is := before.Holder("AWSCURRENT"), after.Holder("AWSCURRENT")
	type credentials struct{ Username, Password string }
	var old, current credentials
	if err := json.Unmarshal(was.Value.Reveal(), &old); err != nil {
		return fmt.Errorf("the old value is not JSON any more")
	}
	if err := json.Unmarshal(is.Value.Reveal(), &current); err != nil {
		return fmt.Errorf("the new value is not JSON")
	}
	fmt.Println("proof")
	wrong := 0
	check := func(what string, ok bool, yes, no string) {
		if !ok {
			yes = no
			wrong++
		}
		fmt.Printf("  %-42s %s\n", what, yes)
	}
	accepted := func(c credentials) bool { return db.Login(ctx, c.Username, c.Password) == nil }
	switch {
	case dual:
		check("old password of "+old.Username+", until next time", accepted(old), "accepted", "REFUSED")
	case old.Username == current.Username:
		check("old password of "+old.Username, !accepted(old), "refused", "STILL ACCEPTED")
	default:
		check("password of "+old.Username+", which clients still use", accepted(old), "accepted", "REFUSED")
	}
	check("new password of "+current.Username, accepted(current), "accepted", "REFUSED")
	leaked := 0
	log := []byte(db.Log())
	for _, password := range []string{old.Password, current.Password, db.Passwords["boss"]} {
		leaked += bytes.Count(log, []byte(password))
	}
	check(fmt.Sprintf("passwords in the server's logs (%d lines)", bytes.Count(log, []byte("\n"))), leaked == 0, "none",
		fmt.Sprint(leaked))
	if wrong > 0 {
		return fmt.Errorf("%d of these are not as they must be", wrong)
	}
	fmt.Fprintln(os.Stdout)
	return nil
}
