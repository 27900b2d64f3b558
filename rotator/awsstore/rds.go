package awsstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

var _ rotator.DatabaseResolver = (*Store)(nil)

// The tags by which a secret that RDS manages names its database, in lower case:
// AWS's templates do not tell cases apart either. Only AWS can make tags that begin
// with aws:, so that they are to be trusted.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/service-linked-secrets.html
const (
	tagInstance = "aws:rds:primarydbinstancearn"
	tagCluster  = "aws:rds:primarydbclusterarn"
)

// maxARN is the longest ARN that AWS's templates take.
const maxARN = 256

// The keys by which RDS's console names the database in a secret.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
const (
	keyEngine   = "engine"
	keyHost     = "host"
	keyPort     = "port"
	keyInstance = "dbInstanceIdentifier"
	keyCluster  = "dbClusterIdentifier"
)

// Resolve implements rotator.DatabaseResolver: DescribeSecret for the tags, and one call
// to RDS. A cluster is entered where its changes are made.
func (s *Store) Resolve(ctx context.Context, id string, d secret.Document) (secret.Document, error) {
	if len(d.Keys()) != 2 || !d.Has("username") || !d.Has("password") {
		return d, nil
	}
	m, err := s.Describe(ctx, id)
	if err != nil {
		return secret.Document{}, fmt.Errorf("the tags of a secret that RDS manages, which name its database: %w", err)
	}
	tag, arn := databaseOf(m.Tags)
	switch {
	case arn == "":
		return secret.Document{}, fmt.Errorf("secret: %w: it holds username and password alone, and no tag "+
			"aws:rds:primaryDBInstanceArn or aws:rds:primaryDBClusterArn, as RDS gives to the secrets that it "+
			"manages, names a database: add engine, host and port", rotator.KindMisconfigured)
	case len(arn) > maxARN:
		return secret.Document{}, fmt.Errorf("secret: %w: its tag %s is longer than the %d characters of an ARN",
			rotator.KindMisconfigured, tag, maxARN)
	case tag == tagCluster:
		c, err := s.cluster(ctx, arn)
		if err != nil {
			return secret.Document{}, err
		}
		return completed(d, keyCluster, c.DBClusterIdentifier, c.Engine, writer(c)), nil
	}
	i, err := s.instance(ctx, arn)
	if err != nil {
		return secret.Document{}, err
	}
	return completed(d, keyInstance, i.DBInstanceIdentifier, i.Engine, endpointOf(i.Endpoint)), nil
}

// databaseOf gives the tag that names a database, and what it says.
func databaseOf(tags map[string]string) (tag, arn string) {
	for key, value := range tags {
		if key = strings.ToLower(key); key == tagInstance || key == tagCluster {
			return key, value // a secret is one database's
		}
	}
	return "", ""
}

func completed(d secret.Document, key string, id, engine *string, at endpoint) secret.Document {
	return d.Set(keyEngine, aws.ToString(engine)).Set(keyHost, at.host).Set(keyPort, strconv.Itoa(at.port)).
		Set(key, aws.ToString(id))
}

// IsEndpointOf implements rotator.DatabaseResolver. It begins at the database of d, which is to
// be trusted, and asks which endpoints that has, so that a host whose name merely
// looks like a replica's is none. One call finds the endpoints of a cluster; another
// is needed where an instance is to be found.
func (s *Store) IsEndpointOf(ctx context.Context, d secret.Document, host string, port int) error {
	is := endpoint{host, port}
	eps, instances, err := s.relatedEndpoints(ctx, d)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(eps, is.same) {
		return nil
	}
	// An identifier is the first label of the name of its endpoint.
	label, _, _ := strings.Cut(host, ".")
	if i := slices.IndexFunc(instances, func(id string) bool { return strings.EqualFold(id, label) }); i >= 0 {
		found, err := s.instance(ctx, instances[i])
		if err != nil {
			return err
		}
		if eps = append(eps, endpointOf(found.Endpoint)); is.same(endpointOf(found.Endpoint)) {
			return nil
		}
	}
	return fmt.Errorf("replica: %w: RDS lists this database at %s, instances %s (this account and Region), not %s. "+
		"Use RDS's endpoint as host, not a CNAME",
		rotator.KindConflict, joinOrNone(eps), joinOrNone(instances), is)
}

// relatedEndpoints gives the endpoints that lead to the database of d, and the identifiers of
// the instances that do or follow it.
func (s *Store) relatedEndpoints(ctx context.Context, d secret.Document) (eps []endpoint, instances []string,
	err error) {
	instance, cluster, err := databaseID(d)
	if err != nil {
		return nil, nil, err
	}
	var writers []endpoint
	if instance != "" {
		i, err := s.instance(ctx, instance)
		if err != nil {
			return nil, nil, err
		}
		writers = append(writers, endpointOf(i.Endpoint))
		instances, cluster = i.ReadReplicaDBInstanceIdentifiers, aws.ToString(i.DBClusterIdentifier)
	}
	if cluster != "" {
		c, err := s.cluster(ctx, cluster)
		if err != nil {
			return nil, nil, err
		}
		if isReader(c, instance) {
			writers = nil
		}
		writers = append(writers, writer(c))
		for _, m := range c.DBClusterMembers {
			instances = append(instances, aws.ToString(m.DBInstanceIdentifier))
		}
		instances = append(instances, c.ReadReplicaIdentifiers...)
		eps = readers(c)
	}
	at := endpoint{d.Text(keyHost), writers[0].port}
	if n, ok := d.Int(keyPort); ok {
		at.port = n
	}
	if !slices.ContainsFunc(writers, at.same) {
		return nil, nil, fmt.Errorf("superuser: %w: the RDS writer is %s, but the superuser secret names %s: "+
			"use the writer's host and port", rotator.KindConflict, joinOrNone(writers), at)
	}
	return append(writers, eps...), instances, nil
}

// databaseID gives the identifier by which RDS knows the database of d: the one that d
// holds, or the first label of its host.
func databaseID(d secret.Document) (instance, cluster string, err error) {
	host := strings.ToLower(d.Text(keyHost))
	label, domain, _ := strings.Cut(host, ".")
	switch {
	case d.Text(keyCluster) != "":
		return "", d.Text(keyCluster), nil
	case d.Text(keyInstance) != "":
		return d.Text(keyInstance), "", nil
	case !rotator.IsRDSHost(host):
		return "", "", fmt.Errorf("hosts: %w: store the same host and port in both secrets. They may differ where "+
			"RDS lists one as a replica of the other, and %s is not a name of RDS", rotator.KindConflict, host)
	case strings.HasPrefix(domain, "cluster-"):
		return "", label, nil
	}
	return label, "", nil
}

// isReader says whether an instance is a reader of a cluster.
func isReader(c rdstypes.DBCluster, instance string) bool {
	return slices.ContainsFunc(c.DBClusterMembers, func(m rdstypes.DBClusterMember) bool {
		return strings.EqualFold(aws.ToString(m.DBInstanceIdentifier), instance) && !aws.ToBool(m.IsClusterWriter)
	})
}

// readers are the names of a cluster beside the writer's.
func readers(c rdstypes.DBCluster) []endpoint {
	var all []endpoint
	for _, host := range append(slices.Clone(c.CustomEndpoints), aws.ToString(c.ReaderEndpoint)) {
		if host != "" {
			all = append(all, endpoint{host, writer(c).port})
		}
	}
	return all
}

func writer(c rdstypes.DBCluster) endpoint {
	return endpoint{aws.ToString(c.Endpoint), int(aws.ToInt32(c.Port))}
}

// endpoint is where a database listens.
type endpoint struct {
	host string
	port int
}

func endpointOf(e *rdstypes.Endpoint) endpoint {
	return endpoint{aws.ToString(e.Address), int(aws.ToInt32(e.Port))}
}

func (e endpoint) same(f endpoint) bool { return strings.EqualFold(e.host, f.host) && e.port == f.port }
func (e endpoint) String() string       { return fmt.Sprintf("%s:%d", e.host, e.port) }

// joinOrNone names things, or the lack of them.
func joinOrNone[T any](things []T) string {
	if len(things) == 0 {
		return "none"
	}
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(things)), ", "), "[]")
}

// instance asks RDS for an instance by identifier or ARN.
func (s *Store) instance(ctx context.Context, id string) (rdstypes.DBInstance, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := rds.NewFromConfig(s.cfg)
	out, err := client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &id})
	switch {
	case err != nil:
		return rdstypes.DBInstance{}, explainRDS(client, "DescribeDBInstances", "instance "+id, err)
	case len(out.DBInstances) != 1:
		return rdstypes.DBInstance{}, errNoDatabase("instance " + id)
	case out.DBInstances[0].Endpoint == nil:
		return rdstypes.DBInstance{}, errNoEndpoint("instance "+id, out.DBInstances[0].DBInstanceStatus)
	}
	return out.DBInstances[0], nil
}

// cluster asks RDS for a cluster by identifier or ARN.
func (s *Store) cluster(ctx context.Context, id string) (rdstypes.DBCluster, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := rds.NewFromConfig(s.cfg)
	out, err := client.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &id})
	switch {
	case err != nil:
		return rdstypes.DBCluster{}, explainRDS(client, "DescribeDBClusters", "cluster "+id, err)
	case len(out.DBClusters) != 1:
		return rdstypes.DBCluster{}, errNoDatabase("cluster " + id)
	case aws.ToString(out.DBClusters[0].Endpoint) == "":
		return rdstypes.DBCluster{}, errNoEndpoint("cluster "+id, out.DBClusters[0].Status)
	}
	return out.DBClusters[0], nil
}

func errNoDatabase(what string) error {
	return fmt.Errorf("RDS: %w: it has no %s in this account and Region: it was deleted or renamed, perhaps",
		rotator.KindNotFound, what)
}

func errNoEndpoint(what string, status *string) error {
	return fmt.Errorf("RDS: %w: the %s has no endpoint: its status is %q", rotator.KindUnreachable, what,
		aws.ToString(status))
}

// explainRDS is explain for RDS.
func explainRDS(client *rds.Client, operation, what string, err error) error {
	o := client.Options()
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("rds:%s: %w: %w", operation, rotator.KindUnreachable,
			noResponse{err, hostOf(o.BaseEndpoint, "rds", o.Region), "RDS", "rds"})
	}
	switch api.ErrorCode() {
	case "DBInstanceNotFound", "DBClusterNotFoundFault":
		return fmt.Errorf("%w (%w)", errNoDatabase(what), apiError{err, api})
	case "InvalidParameterValue", "InvalidParameterCombination":
		return fmt.Errorf("rds:%s: %w: %w (of the %s)", operation, rotator.KindMisconfigured, apiError{err, api}, what)
	}
	kind, advice := classify(operation, "", api.ErrorCode(), api.ErrorMessage())
	if d, ok := permissions.ParseDenial(api.ErrorMessage()); ok {
		advice.Text = d.Remedy(permissions.Place{})
	}
	return rotator.WithHint(fmt.Errorf("rds:%s: %w: %w", operation, kind, apiError{err, api}), advice.Text)
}
