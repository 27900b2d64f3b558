// Package rotator is the state machine of a rotation in AWS Secrets Manager: four
// quarter turns, createSecret, setSecret, testSecret and finishSecret, each of
// which may arrive twice, late, at the same time as itself, or after a person
// cancelled the rotation, and none of which may lock a client out.
//
// A Rotator joins a Store (Secrets Manager) with a Strategy (what a credential is
// and where it counts) and keeps no state between events. The labels are its
// business alone; a Strategy sees documents and databases, never a label.
//
// The rules come from the Secrets Manager user guide ("Rotation by Lambda
// function") and from the behaviour of AWS's own rotation templates, whose
// secrets work here unchanged. ARCHITECTURE.md says where each rule lives.
package rotator
