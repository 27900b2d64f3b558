// Package rotator is the state machine of a rotation in AWS Secrets Manager: four
// quarter turns, createSecret, setSecret, testSecret and finishSecret, each of
// which may arrive twice, late, at the same time as itself, or after a person
// cancelled the rotation, and none of which may lock a client out.
//
// A [Rotator] joins a [Store] (Secrets Manager) with a [Strategy] (what a credential is
// and where it counts) and keeps no state between events. The labels are its
// business alone; a Strategy sees documents and databases, never a label.
//
// # What goes in and comes out
//
// [Rotator.HandleJSON] takes an event as Lambda delivers it, [Rotator.Handle] one of the
// four steps. [Rotator.Preflight] gives a [Report], [Rotator.Diagnose] and
// [Rotator.Recover] a [Diagnosis]; each has Text, Markdown and JSON, which begins with a
// [Verdict]. What each step did goes to Rotator.Observe as a [Record].
//
// # Errors
//
// Every error is a *[StepError] whose text is safe to log. Its [Kind] is one of a closed
// set, found with errors.Is; [Retryable] says whether it passes by itself, and
// [StepError.Hint] what to do. No error, record, report or diagnosis holds a value of a
// secret: whatever leaves is scrubbed ([secret.Scrubber]).
//
// # Sources
//
// The rules come from the Secrets Manager user guide ("Rotation by Lambda
// function") and from the behaviour of AWS's own rotation templates, whose
// secrets work here unchanged. ARCHITECTURE.md says where each rule lives, and
// docs/aws-facts.md what of AWS is recorded, documented or believed.
package rotator
