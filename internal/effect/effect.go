// Package effect is the list of all effects that Sluice has on the outside and
// the one door through which they go. Each has an id that was decided and
// recorded before the call (DESIGN §3). Test builds (-tags faults) can stop,
// fail or kill at this door; nothing else differs in them.
package effect

import "context"

// Name of an effect.
type Name string

// The effects.
const (
	StoreArtifact     Name = "store-artifact"      // id: SHA-256
	ApplyGeneration   Name = "apply-generation"    // id: names with the generation
	RemoveGeneration  Name = "remove-generation"   // id: UID of the root ConfigMap
	WriteLease        Name = "write-lease"         // id: resource version (compare-and-swap)
	UploadJar         Name = "upload-jar"          // id: SHA-256, a second upload is harmless
	RunPrimer         Name = "run-primer"          // id: job.PrimerID
	SubmitJob         Name = "submit-job"          // id: job.FlinkJobID
	CancelJob         Name = "cancel-job"          // id: job.FlinkJobID, noted on the Lease first
	RescaleJob        Name = "rescale-job"         // id: job.FlinkJobID and the parallelism, noted on the Lease first
	ScaleWorkers      Name = "scale-workers"       // id: name with the generation and the number
	CloseSubmission   Name = "close-submission"    // id: job.FlinkJobID, noted on the Lease first
	StopWithSavepoint Name = "stop-with-savepoint" // id: job.TriggerID
	TriggerSavepoint  Name = "trigger-savepoint"   // id: job.TriggerID
	TriggerCheckpoint Name = "trigger-checkpoint"  // id: job.TriggerID
	CopySnapshot      Name = "copy-snapshot"       // id: the copy's directory, which has the operation's id
	WriteRecord       Name = "write-record"        // id: primary keys
	ReleaseProof      Name = "release-proof"       // id: UID of the pod whose finalizer goes
	DeclareEnded      Name = "declare-ended"       // id: UID of the pod on which a person's word is noted
	TellIncident      Name = "tell-incident"       // id: job.IncidentID
)

// Do makes the call. id is the effect's id; it is what makes a repeat harmless.
// Every call is counted by its outcome, and is a span that carries the id.
func Do[T any](ctx context.Context, name Name, id string, call func(context.Context) (T, error)) (T, error) {
	ctx, done := watch(ctx, name, id)
	result, err := do(ctx, name, id, call)
	done(err)
	return result, err
}

func do[T any](ctx context.Context, name Name, id string, call func(context.Context) (T, error)) (T, error) {
	if err := before(ctx, name, id); err != nil {
		var none T
		return none, err
	}
	result, err := call(ctx)
	if faultErr := after(ctx, name, id); faultErr != nil {
		return result, faultErr
	}
	return result, err
}
