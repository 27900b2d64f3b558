package valkey

import (
	"context"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// SetUnsaved is SetPassword with a fault: it saves by a command of its own, or never.
func (e Engine) SetUnsaved(ctx context.Context, login strategies.Login, user string, p secret.Password,
	later bool) error {
	return e.change(ctx, login, []string{user}, p, func(s *session) error {
		for _, node := range s.all() {
			save := node.save
			node.save = nil
			if err := node.set(ctx, user, false, func(account) []string {
				return []string{"resetpass", "#" + digest(p)}
			}); err != nil {
				return err
			}
			if !later {
				continue
			}
			if _, err := node.do(ctx, operation{action: "saving"}, save); err != nil {
				return err
			}
		}
		return nil
	})
}

// HarmlessCommands are those by which TestUse finds out what a user may do.
func HarmlessCommands() [][]string {
	usual, reads, writes := harmless("quarterturn:key")
	return slices.Concat(usual, reads, writes)
}
