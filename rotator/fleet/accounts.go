package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// ReaderRole is the name of the role that a report assumes in other accounts.
const ReaderRole = "QuarterturnFleetReader"

// Accounts says where to look. Its zero value is the account and Region of the
// credentials.
type Accounts struct {
	Config  aws.Config
	IDs     []string // account ids; the caller's own needs no role
	All     bool     // those of the organization that are active, in place of IDs
	Role    string   // name of the role to assume; "": ReaderRole
	Regions []string // nil: that of Config
}

// Places gives an account and Region each, with credentials that are fetched when they are
// first used. An error names the call that was refused and what to do.
func (a Accounts) Places(ctx context.Context) ([]Place, error) {
	identity, err := sts.NewFromConfig(a.Config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, fmt.Errorf("AWS credentials: %w", err)
	}
	own := aws.ToString(identity.Account)
	partition, _, _ := strings.Cut(strings.TrimPrefix(aws.ToString(identity.Arn), "arn:"), ":")
	ids := a.IDs
	if a.All {
		if ids, err = a.organization(ctx); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		ids = []string{own}
	}
	regions := slices.Compact(slices.Sorted(slices.Values(a.Regions)))
	if len(regions) == 0 {
		if a.Config.Region == "" {
			return nil, fmt.Errorf("no Region: name it with --regions, or set AWS_REGION")
		}
		regions = []string{a.Config.Region}
	}
	role := a.Role
	if role == "" {
		role = ReaderRole
	}
	var places []Place
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if len(id) != 12 || strings.Trim(id, "0123456789") != "" {
			return nil, fmt.Errorf("account %q is not an account id of twelve digits", id)
		}
		credentials := a.Config.Credentials
		if id != own { // one session for all Regions
			arn := fmt.Sprintf("arn:%s:iam::%s:role/%s", partition, id, role)
			credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(a.Config), arn))
		}
		for _, region := range regions {
			cfg := a.Config.Copy()
			cfg.Region, cfg.Credentials = region, credentials
			places = append(places, Place{id, region, cfg})
		}
	}
	return places, nil
}

// organization lists the active accounts: only the management account and delegated
// administrators may.
func (a Accounts) organization(ctx context.Context) ([]string, error) {
	pages := organizations.NewListAccountsPaginator(organizations.NewFromConfig(a.Config),
		&organizations.ListAccountsInput{})
	var ids []string
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("organizations:ListAccounts (possible in the management account or a delegated "+
				"administrator's): %w", err)
		}
		for _, account := range out.Accounts {
			if account.Status == types.AccountStatusActive {
				ids = append(ids, aws.ToString(account.Id))
			}
		}
	}
	return ids, nil
}
