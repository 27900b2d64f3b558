package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// principals is a Principal or NotPrincipal element.
type principals struct {
	not      bool
	text     string   // as written, for explanations
	aws      []string // "*", accounts as their root ARN, and ARNs
	services []string
}

// nameMatch is how closely a resource's policy names the principal, and with it what
// else has to allow. IAM User Guide, "Policy evaluation logic", same account.
type nameMatch int

const (
	unnamed   nameMatch = iota
	byAccount           // the whole account: the decision is left to identity-based policies
	byRole              // the role, or every principal ("*"): boundary and session policy have to allow
	byItself            // the session or the user: nothing else has to allow
)

var (
	accountForm = regexp.MustCompile(`^\d{12}$`)
	// IAM shows the unique id of a principal that was deleted. It matches no principal.
	uniqueForm  = regexp.MustCompile(`^A[A-Z0-9]{15,}$`)
	arnForm     = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::\d{12}:(root|(user|role)/[^*?]+)|sts::\d{12}:(assumed-role/[^/*?]+/[^/*?]+|federated-user/[^/*?]+))$`)
	serviceForm = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`) // in some partitions not of amazonaws.com
)

func parsePrincipals(raw json.RawMessage) (*principals, error) {
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		return nil, err
	}
	p := &principals{text: text.String()}
	var all string
	if json.Unmarshal(raw, &all) == nil {
		if all != "*" {
			return nil, fmt.Errorf(`%q stands alone: only "*" may`, all)
		}
		p.aws = []string{"*"}
		return p, nil
	}
	kinds, err := members(raw)
	if err != nil {
		return nil, err
	}
	if len(kinds) == 0 {
		return nil, errors.New("empty")
	}
	for _, kind := range kinds {
		values, err := stringList(kind.value)
		if err != nil && !errors.Is(err, errEmpty) { // a list of none names none
			return nil, at(kind.name, err)
		}
		if err := p.add(kind.name, values); err != nil {
			return nil, at(kind.name, err)
		}
	}
	return p, nil
}

func (p *principals) add(kind string, values []string) error {
	for _, v := range values {
		switch {
		case kind == "AWS" && accountForm.MatchString(v):
			p.aws = append(p.aws, "arn:aws:iam::"+v+":root")
		case kind == "AWS" && (v == "*" || uniqueForm.MatchString(v) || arnForm.MatchString(v)):
			p.aws = append(p.aws, v)
		case kind == "Service" && serviceForm.MatchString(v):
			p.services = append(p.services, v)
		case kind == "Federated", kind == "CanonicalUser": // of no concern to these services
		default:
			return fmt.Errorf("%q is no principal", v)
		}
	}
	return nil
}

// reach says how the element names a principal.
//
// NotPrincipal with Deny spares a principal if its account, its user or role, and of a
// role the session too are listed, since AWS "might validate the account first"; the strict
// reading is taken. It spares no principal that has a permissions boundary. With Allow, one name
// of them is enough to be left out. From the IAM User Guide, "NotPrincipal".
func (p *principals) reach(who Principal, effect string, bounded bool) nameMatch {
	if !p.not {
		return p.named(who)
	}
	if slices.Contains(p.aws, "*") {
		return unnamed
	}
	listed := func(name string) bool { return slices.Contains(p.aws, name) || slices.Contains(p.services, name) }
	names := who.names()
	if effect == allow {
		if slices.ContainsFunc(names, listed) {
			return unnamed
		}
		return byItself
	}
	if bounded || slices.ContainsFunc(names, func(name string) bool { return !listed(name) }) {
		return byItself
	}
	return unnamed
}

func (p *principals) named(who Principal) nameMatch {
	best := unnamed
	for _, name := range p.aws {
		best = max(best, nameReach(name, who))
	}
	if who.Service != "" && slices.Contains(p.services, who.Service) {
		best = byItself
	}
	return best
}

// nameReach is how one name of a principal reaches who. It also serves grants.
func nameReach(name string, who Principal) nameMatch {
	switch {
	case name == "*" && who.ARN != "": // no page says that this is more than to name the role
		return byRole
	case name == "*", name != "" && name == who.ARN:
		return byItself
	case name != "" && name == who.role():
		return byRole
	case isRoot(name) && who.account() != "" && account(name) == who.account():
		return byAccount
	}
	return unnamed
}

// names are those that NotPrincipal has to list to spare the principal.
func (p Principal) names() []string {
	if p.Service != "" {
		return []string{p.Service}
	}
	partition, _, _ := strings.Cut(strings.TrimPrefix(p.ARN, "arn:"), ":")
	account := "arn:" + partition + ":iam::" + p.account() + ":root"
	if role := p.role(); role != "" {
		return []string{account, role, p.ARN}
	}
	return []string{account, p.ARN}
}
