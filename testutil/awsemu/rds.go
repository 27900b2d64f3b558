package awsemu

import (
	"cmp"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
)

// databases is RDS, as much of it as somebody needs who looks for the place that a
// secret is for: what it says of the instances and clusters that are there.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html
var databases = service{
	name:  "rds",
	space: "http://rds.amazonaws.com/doc/2014-10-31/",
	codes: map[string]string{
		codeDenied: "AccessDenied", codeValidation: "InvalidParameterValue", codeUnrecognized: "InvalidClientTokenId",
		codeExpired: "ExpiredToken", codeThrottled: "Throttling", codeInternal: "InternalFailure", codeUnknown: "InvalidAction",
		codeNoToken: "MissingAuthenticationToken", codeBadSignature: "IncompleteSignature",
	},
	operations: map[string]operation{
		opInstances: op((*Emulator).describeDBInstances),
		opClusters:  op((*Emulator).describeDBClusters),
	},
}

const (
	opInstances = "DescribeDBInstances"
	opClusters  = "DescribeDBClusters"

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
	at := home{or(i.Account, e.account()), or(i.Region, e.region())}
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
	at := home{or(c.Account, e.account()), or(c.Region, e.region())}
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
	if c.Operation == opClusters {
		kind = kindCluster
	}
	if strings.HasPrefix(c.Target, "arn:") {
		return c.Target
	}
	return rdsARN(c.home(), kind, strings.ToLower(or(c.Target, "*")))
}

// mayDescribe comes before the question whether there is such a database.
func (e *Emulator) mayDescribe(r *request, tags map[string]string) error {
	q := query{action: databases.name + ":" + r.call.Operation, resource: databaseARN(r.call), context: iam.Context{}}
	q.account = arnAccount(q.resource)
	for key, value := range tags {
		q.context["aws:ResourceTag/"+key] = []string{value}
	}
	return e.allow(r, q)
}

// wanted says whether a database is among those that a request is about. An
// identifier is a word in any case, or an ARN of the caller's own account and Region.
func wanted(r *request, asked, kind, id string) bool {
	return asked == "" || strings.EqualFold(asked, id) || asked == rdsARN(r.call.home(), kind, id)
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
	var out dbInstances
	var tags map[string]string
	f := e.fleet(r.call.home())
	for _, i := range f.instances {
		if !wanted(r, in.DBInstanceIdentifier, kindInstance, i.ID) {
			continue
		}
		tags = i.Tags
		d := dbInstance{
			DBInstanceIdentifier: i.ID, DBInstanceArn: rdsARN(r.call.home(), kindInstance, i.ID), Engine: i.Engine,
			DBInstanceStatus: or(i.Status, "available"), DBClusterIdentifier: i.Cluster, ReadReplicaSourceDBInstanceIdentifier: i.ReplicaOf,
		}
		if i.Host != "" {
			d.Endpoint = &dbEndpoint{i.Host, i.Port}
		} else {
			d.DBInstanceStatus = or(i.Status, "creating")
		}
		for _, other := range f.instances {
			if other.ReplicaOf == i.ID {
				d.ReadReplicaDBInstanceIdentifiers = append(d.ReadReplicaDBInstanceIdentifiers, other.ID)
			}
		}
		out.DBInstances = append(out.DBInstances, d)
	}
	if in.DBInstanceIdentifier == "" {
		tags = nil
	}
	if err := e.mayDescribe(r, tags); err != nil {
		return nil, err
	}
	if in.DBInstanceIdentifier != "" && out.DBInstances == nil {
		return nil, refuse(codeNoInstance, "DBInstance %s not found.", in.DBInstanceIdentifier)
	}
	return out, nil
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
	var out dbClusters
	var tags map[string]string
	f := e.fleet(r.call.home())
	for _, c := range f.clusters {
		if !wanted(r, in.DBClusterIdentifier, kindCluster, c.ID) {
			continue
		}
		tags = c.Tags
		status := "available"
		if c.Host == "" {
			status = "creating"
		}
		d := dbCluster{
			DBClusterIdentifier: c.ID, DBClusterArn: rdsARN(r.call.home(), kindCluster, c.ID), Engine: c.Engine, Status: cmp.Or(c.Status, status),
			Endpoint: c.Host, ReaderEndpoint: c.Reader, CustomEndpoints: c.Custom, Port: c.Port,
		}
		for _, i := range f.instances {
			if i.Cluster == c.ID {
				d.DBClusterMembers = append(d.DBClusterMembers, dbClusterMember{i.ID, d.DBClusterMembers == nil})
			}
		}
		out.DBClusters = append(out.DBClusters, d)
	}
	if in.DBClusterIdentifier == "" {
		tags = nil
	}
	if err := e.mayDescribe(r, tags); err != nil {
		return nil, err
	}
	if in.DBClusterIdentifier != "" && out.DBClusters == nil {
		return nil, refuse(codeNoCluster, "DBCluster %s not found.", in.DBClusterIdentifier)
	}
	return out, nil
}
