package awsemu

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// databases is RDS, as much of it as is needed to find the place that a secret is for, and to
// change who manages the password of a database: what it says of the instances and clusters that
// are there, and the secrets that it manages for them.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html
var databases = service{
	name:  rdsName,
	space: "http://rds.amazonaws.com/doc/2014-10-31/",
	codes: map[string]string{
		codeDenied: "AccessDenied", codeValidation: "InvalidParameterValue", codeUnrecognized: "InvalidClientTokenId",
		codeExpired: "ExpiredToken", codeThrottled: "Throttling", codeInternal: "InternalFailure",
		codeUnknown: "InvalidAction", codeNoToken: "MissingAuthenticationToken",
		codeBadSignature: "IncompleteSignature",
	},
	operations: map[string]operation{
		opInstances: op((*Emulator).describeDBInstances),
		opClusters:  op((*Emulator).describeDBClusters),

		"ModifyDBInstance": op((*Emulator).modifyDBInstance),
		opModifyCluster:    op((*Emulator).modifyDBCluster),
	},
}

const (
	rdsName     = "rds"
	opInstances = "DescribeDBInstances"
	opClusters  = "DescribeDBClusters"

	opModifyCluster = "ModifyDBCluster"

	codeNoInstance = "DBInstanceNotFound"
	codeNoCluster  = "DBClusterNotFoundFault"
)

// Instance is a database instance of RDS. There is no database behind it: Host and
// Port are what RDS would say.
type Instance struct {
	ID        string
	Engine    string // "postgres", "aurora-mysql" and so on
	Host      string // "": as while the instance is being made
	Port      int
	ReplicaOf string // ID of the instance that it follows
	Cluster   string // ID of the cluster that it is a member of
	Status    string // "": "available", or "creating" without a Host
	Tags      map[string]string

	Region, Account string // "": the Emulator's
}

// Cluster is a cluster of Aurora, or of RDS in several Availability Zones. The
// instances that name it are its members, the first of them the writer.
type Cluster struct {
	ID     string
	Engine string
	Host   string // of the writer
	Reader string
	Custom []string // hosts
	Port   int
	Status string // "": "available", or "creating" without a Host
	Tags   map[string]string

	Region, Account string // "": the Emulator's
}

// fleet is the databases of a place.
type fleet struct {
	instances []Instance
	clusters  []Cluster
}

// SeedInstance puts an instance in place of the one with its ID, or behind the
// others, and returns its ARN.
func (e *Emulator) SeedInstance(i Instance) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := home{cmp.Or(i.Account, e.account()), cmp.Or(i.Region, e.region())}
	f := e.fleet(at)
	if n := slices.IndexFunc(f.instances, func(old Instance) bool { return old.ID == i.ID }); n >= 0 {
		f.instances[n] = i
	} else {
		f.instances = append(f.instances, i)
	}
	return rdsARN(at, kindInstance, i.ID)
}

// SeedCluster does the same for a cluster.
func (e *Emulator) SeedCluster(c Cluster) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := home{cmp.Or(c.Account, e.account()), cmp.Or(c.Region, e.region())}
	f := e.fleet(at)
	f.clusters = replace(f.clusters, c, func(old Cluster) bool { return old.ID == c.ID })
	return rdsARN(at, kindCluster, c.ID)
}

func (e *Emulator) fleet(at home) *fleet {
	if e.dbs == nil {
		e.dbs = map[home]*fleet{}
	}
	if e.dbs[at] == nil {
		e.dbs[at] = &fleet{}
	}
	return e.dbs[at]
}

const (
	kindInstance = "db"
	kindCluster  = "cluster"
)

func rdsARN(at home, kind, id string) string {
	return "arn:aws:rds:" + at.region + ":" + at.account + ":" + kind + ":" + id
}

// databaseARN is what policies are asked about: one database, or all of its kind.
func databaseARN(c Call) string {
	kind := kindInstance
	if c.Operation == opClusters || c.Operation == opModifyCluster {
		kind = kindCluster
	}
	if strings.HasPrefix(c.Target, "arn:") {
		return c.Target
	}
	return rdsARN(c.home(), kind, strings.ToLower(cmp.Or(c.Target, "*")))
}

// asked is the databases that a request is about: all, or the one of an identifier,
// which is a word in any case or an ARN of the caller's own account and Region.
// Policies come before the question whether there is such a database.
func asked[T any](e *Emulator, r *request, id, kind string, all []T,
	of func(T) (string, map[string]string)) ([]T, error) {
	q := query{action: rdsName + ":" + r.call.Operation, resource: databaseARN(r.call), context: iam.Context{}}
	q.account = arnAccount(q.resource)
	found := all
	if id != "" {
		found = nil
		for _, one := range all {
			name, tags := of(one)
			if !strings.EqualFold(id, name) && id != rdsARN(r.call.home(), kind, name) {
				continue
			}
			found = append(found, one)
			for key, value := range tags {
				q.context["aws:ResourceTag/"+key] = []string{value}
			}
		}
	}
	if err := e.allow(r, q); err != nil {
		return nil, err
	}
	if id != "" && found == nil {
		if kind == kindCluster {
			return nil, refuse(codeNoCluster, "DBCluster %s not found.", id)
		}
		return nil, refuse(codeNoInstance, "DBInstance %s not found.", id)
	}
	return found, nil
}

// status is what a database is doing.
func status(said, host string) string {
	if said == "" && host == "" {
		return "creating"
	}
	return cmp.Or(said, "available")
}

type (
	dbInstances struct {
		DBInstances []dbInstance `xml:"DBInstances>DBInstance"`
	}
	dbInstance struct {
		DBInstanceIdentifier, DBInstanceArn, DBInstanceStatus, Engine string

		Endpoint                              *dbEndpoint `xml:",omitempty"`
		DBClusterIdentifier                   string      `xml:",omitempty"`
		ReadReplicaSourceDBInstanceIdentifier string      `xml:",omitempty"`
		ReadReplicaDBInstanceIdentifiers      []string    `xml:"ReadReplicaDBInstanceIdentifiers>ReadReplicaDBInstanceIdentifier"`
	}
	dbEndpoint struct {
		Address string
		Port    int
	}
)

func (e *Emulator) describeDBInstances(r *request, in *struct{ DBInstanceIdentifier string }) (any, error) {
	all := e.fleet(r.call.home()).instances
	found, err := asked(e, r, in.DBInstanceIdentifier, kindInstance, all, func(i Instance) (string, map[string]string) {
		return i.ID, i.Tags
	})
	var out dbInstances
	for _, i := range found {
		d := dbInstance{
			DBInstanceIdentifier: i.ID, DBInstanceArn: rdsARN(r.call.home(), kindInstance, i.ID), Engine: i.Engine,
			DBInstanceStatus: status(i.Status, i.Host), DBClusterIdentifier: i.Cluster,
			ReadReplicaSourceDBInstanceIdentifier: i.ReplicaOf,
		}
		if i.Host != "" {
			d.Endpoint = &dbEndpoint{i.Host, i.Port}
		}
		for _, other := range all {
			if other.ReplicaOf == i.ID {
				d.ReadReplicaDBInstanceIdentifiers = append(d.ReadReplicaDBInstanceIdentifiers, other.ID)
			}
		}
		out.DBInstances = append(out.DBInstances, d)
	}
	return out, err
}

type (
	dbClusters struct {
		DBClusters []dbCluster `xml:"DBClusters>DBCluster"`
	}
	dbCluster struct {
		DBClusterIdentifier, DBClusterArn, Status, Engine string

		Endpoint         string            `xml:",omitempty"`
		ReaderEndpoint   string            `xml:",omitempty"`
		CustomEndpoints  []string          `xml:"CustomEndpoints>member"`
		Port             int               `xml:",omitempty"`
		DBClusterMembers []dbClusterMember `xml:"DBClusterMembers>DBClusterMember"`
	}
	dbClusterMember struct {
		DBInstanceIdentifier string
		IsClusterWriter      bool
	}
)

func (e *Emulator) describeDBClusters(r *request, in *struct{ DBClusterIdentifier string }) (any, error) {
	f := e.fleet(r.call.home())
	found, err := asked(e, r, in.DBClusterIdentifier, kindCluster, f.clusters,
		func(c Cluster) (string, map[string]string) { return c.ID, c.Tags })
	var out dbClusters
	for _, c := range found {
		d := dbCluster{
			DBClusterIdentifier: c.ID, DBClusterArn: rdsARN(r.call.home(), kindCluster, c.ID), Engine: c.Engine,
			Status: status(c.Status, c.Host), Endpoint: c.Host, ReaderEndpoint: c.Reader, CustomEndpoints: c.Custom,
			Port: c.Port,
		}
		for _, i := range f.instances {
			if i.Cluster == c.ID {
				d.DBClusterMembers = append(d.DBClusterMembers, dbClusterMember{i.ID, d.DBClusterMembers == nil})
			}
		}
		out.DBClusters = append(out.DBClusters, d)
	}
	return out, err
}

// modifyInput is what of a database can be changed here: who manages its master user's password.
// The query protocol sends everything as text.
type modifyInput struct {
	DBInstanceIdentifier     string
	DBClusterIdentifier      string
	ManageMasterUserPassword string
	RotateMasterUserPassword string
	MasterUserPassword       string
	ApplyImmediately         string
}

// modifyDBInstance ends the management of a password, or rotates it.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
func (e *Emulator) modifyDBInstance(r *request, in *modifyInput) (any, error) {
	if in.DBInstanceIdentifier == "" {
		return nil, refuse(codeInvalidParameter, "The parameter DBInstanceIdentifier must be provided and must not "+
			"be blank.")
	}
	found, err := asked(e, r, in.DBInstanceIdentifier, kindInstance, e.fleet(r.call.home()).instances,
		func(i Instance) (string, map[string]string) { return i.ID, i.Tags })
	if err != nil {
		return nil, err
	}
	if err := e.managePassword(r, "aws:rds:primaryDBInstanceArn", rdsARN(r.call.home(), kindInstance, found[0].ID),
		in); err != nil {
		return nil, err
	}
	return struct{ DBInstance dbInstance }{dbInstance{
		DBInstanceIdentifier: found[0].ID, DBInstanceArn: rdsARN(r.call.home(), kindInstance, found[0].ID),
		DBInstanceStatus: status(found[0].Status, found[0].Host), Engine: found[0].Engine,
	}}, nil
}

// modifyDBCluster does the same for a cluster.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBCluster.html
func (e *Emulator) modifyDBCluster(r *request, in *modifyInput) (any, error) {
	if in.DBClusterIdentifier == "" {
		return nil, refuse(codeInvalidParameter, "The parameter DBClusterIdentifier must be provided and must not be "+
			"blank.")
	}
	found, err := asked(e, r, in.DBClusterIdentifier, kindCluster, e.fleet(r.call.home()).clusters,
		func(c Cluster) (string, map[string]string) { return c.ID, c.Tags })
	if err != nil {
		return nil, err
	}
	if err := e.managePassword(r, "aws:rds:primaryDBClusterArn", rdsARN(r.call.home(), kindCluster, found[0].ID),
		in); err != nil {
		return nil, err
	}
	return struct{ DBCluster dbCluster }{dbCluster{
		DBClusterIdentifier: found[0].ID, DBClusterArn: rdsARN(r.call.home(), kindCluster, found[0].ID),
		Status: status(found[0].Status, found[0].Host), Engine: found[0].Engine,
	}}, nil
}

// managePassword changes the secret that RDS manages for a database, which its tag names.
func (e *Emulator) managePassword(r *request, tag, arn string, in *modifyInput) error {
	var managed *record
	for _, rec := range e.secrets[r.call.home()] {
		if rec.secret.OwningService == rdsName && rec.secret.Tags[tag] == arn {
			managed = rec
		}
	}
	const combination = "InvalidParameterCombination"
	switch {
	case in.ManageMasterUserPassword == "true":
		return refuse(codeInvalidParameter, "This emulator does not begin to manage passwords.")
	case in.ManageMasterUserPassword == "false" && managed != nil:
		if in.MasterUserPassword == "" {
			return refuse(combination, "You must specify MasterUserPassword when you disable ManageMasterUserPassword.")
		}
		e.stop(managed, cancelled)
		delete(e.secrets[managed.secret.home()], managed.secret.Name)
		e.listed = nil
	case in.RotateMasterUserPassword == "true" && managed == nil:
		return refuse(combination, "You can't rotate the master user password: it is not managed in Secrets Manager.")
	case in.RotateMasterUserPassword == "true" && in.ApplyImmediately != "true":
		return refuse(combination, "You must apply the rotation of the master user password immediately.")
	case in.RotateMasterUserPassword == "true":
		return e.change(managed, r.now, func(s *Secret) error {
			var login map[string]any
			if json.Unmarshal(s.Holder(current).Value.Reveal(), &login) != nil || login == nil {
				login = map[string]any{}
			}
			login["password"] = newUUID()
			v, err := s.newVersion(newUUID(), r.now)
			if err != nil {
				return err
			}
			text, _ := json.Marshal(login) // of JSON
			v.Value = Text(string(text))
			s.unlabel(pending)
			s.LastRotated, s.NextRotation = r.now, s.Rules.next(r.now)
			return s.move(current, s.version(v.ID))
		})
	}
	return nil
}
