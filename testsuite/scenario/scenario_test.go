//go:build scenario

package scenario_test

import (
	"fmt"
	"slices"
	"testing"

	. "sluice/testsuite/scenario"
)

// stories are all scenarios; `make scenario` lists them, with what they show.
var stories = []struct {
	name  string
	shows string
	tell  func(*testing.T)
}{
	{"start-stop-start", "a stop keeps a savepoint, the next start continues from it", startStopStart},
	{"upgrade-cold", "only the new JobManager stands before the stop", upgradeCold},
	{"upgrade-warm", "the whole new cluster stands, primed, before the stop", upgradeWarm},
	{"unchecked-when-nothing-fits", "no room even for a second JobManager: refused before the stop, or checked behind it where the request allows it, and rolled back where that says no", uncheckedWhenNothingFits},
	{"upgrade-in-the-metrics", "a waiting operation rings, a good upgrade doesn't; its downtime and steps are in Prometheus, in at most 60 API requests", upgradeInTheMetrics},
	{"upgrade-dependency", "only a dependency changes: another behaviour, the same state and image; pods that come again fetch again", upgradeDependency},
	{"bad-dependency-digest", "a dependency that isn't what its digest says is named, and never stops the running job", badDependencyDigest},
	{"kafka-exactly-once", "Kafka to Kafka through an upgrade, a rollback and a killed worker: a read-committed reader sees every number once", kafkaExactlyOnce},
	{"kafka-killed-in-a-transaction", "a TaskManager dies: its open transactions are aborted by what runs next, not by their timeout", kafkaKilled},
	{"kafka-timeout-refused", "a transaction timeout above the broker's maximum is refused in the plan; the job goes on to Flink 2.3.0 and its connector", kafkaTimeoutRefused},
	{"upgrade-engine-1.20-to-2.3", "a job goes from Flink 1.20.5 to 2.3.0 with its state, by a canonical savepoint", upgradeEngine},
	{"engine-back-refused-in-plan", "1.20.5 can't read what 2.3.0 wrote: refused before anything is touched; without the state it may", engineBack},
	{"worker-killed-between-stop-and-submit", "kill -9 of every worker: same end, one savepoint, one submission", workerKilled},
	{"agent-killed-at-submit", "the agent dies after Flink took the POST: repeated, one submission", agentKilled},
	{"fails-in-main", "a jar whose main throws never stops the running job", failsInMain},
	{"incompatible-state-refused-before-stop", "a job graph that would lose state never stops the running job", incompatibleState},
	{"bad-artifact-digest", "an artifact that isn't what its digest says never stops the running job", badArtifactDigest},
	{"busy-409", "a second operation is refused with a link to the first", busy},
	{"idempotent-repeat", "the same key and body is the same operation; another body is refused", idempotentRepeat},
	{"concurrent-50-starts", "50 starts at once, under one key and under 25 others: one operation runs, one submission", concurrentStarts},
	{"old-key-after-other-operation", "a key that is sent again after other operations gives its old answer and starts nothing", oldKey},
	{"hostile-requests", "all hostile requests around a running job: each refused by its field, nothing written anywhere", hostileRequests},
	{"generated-requests", "requests made of the OpenAPI document, valid and bent: never a server's error", generatedRequests},
	{"agent-upgrade-keeps-job", "the agent of a running job is replaced alone: the job runs through, its next operations work", agentUpgrade},
	{"in-place-up", "a running job gets more TaskManagers and parallelism without a stop", inPlaceUp},
	{"in-place-down", "and less: TaskManagers go last, those without a task first", inPlaceDown},
	{"in-place-one-to-two", "from parallelism 1 to 2 and back: vertices that the program keeps at 1 stay there, though all ran at 1", inPlaceOneToTwo},
	{"in-place-then-jobmanager-killed", "its JobManager dies in the rescale and after it: the job comes back at the new size", inPlaceKilled},
	{"start-without-snapshot-refused", "a job that had state never starts empty unless told so", startWithoutSnapshot},
	{"snapshot-file-gone-refused", "a file of the newest savepoint is gone: the start is refused by its name, and nothing older is taken", snapshotFileGone},
	{"start-from-an-older-snapshot", "a person goes back to an older savepoint: just what the plan states is published again, and the branch left is never taken by itself", startFromOlder},
	{"canceled-first-start", "a first start that was canceled left no state, whatever a primer left: the next one starts", canceledFirstStart},
	{"finished-then-jobmanager-lost", "a bounded job that ended unseen isn't started again from an old snapshot", finishedThenLost},
	{"rollback-before-first-checkpoint", "the new revision published nothing: the old one goes on from the savepoint, exactly", rollbackExact},
	{"rollback-after-first-checkpoint", "it published: the old revision goes on from the new one's newest snapshot", rollbackAfterCheckpoint},
	{"rollback-impossible-waits-for-decision", "the way back fails too: the operation waits, open, for a word", rollbackWaits},
	{"supersede", "a start takes the place of an operation that waits for a decision", superseded},
	{"savepoint-fails-job-keeps-running", "no savepoint can be written: the job runs on, nothing is submitted", savepointFails},
	{"upgrade-without-savepoint", "the same, where the request allows it: on from the newest checkpoint", withoutSavepoint},
	{"asks-and-retries", "a submission that fails after the stop waits with its evidence; retry goes on", asksAndRetries},
	{"story-in-the-ui", "Temporal's UI says in every step what it is, where it stands and what it waits for", storyInTheUI},
	{"restart", "the same revision on a new cluster, with its state", restart},
	{"rollback-to-revision", "back to an older revision, with its state; a stop and a start stay there until a newer one is named", rollbackToRevision},
	{"foreign-savepoint", "a new job starts from a copy of a savepoint that another left outside the platform", foreignSavepoint},
	{"cold-when-unschedulable", "no room for a second cluster: refused before the stop, or cold where the request allows it", coldWhenUnschedulable},
	{"plan-then-upgrade", "a plan has no effects, an operation does just what was planned or nothing; its events are complete", planThenUpgrade},
	{"upgrade-config", "only options, arguments and profile change: the plan shows them, the state goes on", upgradeConfig},
	{"bad-image", "an engine image that the node can't have never stops the running job, and it is said soon", badImage},
	{"fails-after-start", "the new revision comes up and fails before its first checkpoint: rolled back, exactly", failsAfterStart},
	{"rollback-cold", "the new TaskManagers took the old ones' place: the old ones come back", rollbackCold},
	{"upgrade-restarting-job", "a job that crash-loops gets its fix, from its newest checkpoint: accepting the plan allows it", upgradeRestarting},
	{"stop-a-crash-looping-job", "no savepoint of it succeeds: it is stopped with its newest checkpoint, and the fixed revision starts from that", stopCrashLooping},
	{"savepoint-complete-but-job-failed", "it fails behind its savepoint: on from it, by the stop table", failedBehindSavepoint},
	{"stop-answer-lost-for-ten-minutes", "the JobManager is gone with the stop's answer: the savepoint is found on HDFS", stopAnswerLost},
	{"main-overrides-checkpoint-directory-fails-gate", "main() keeps the checkpoints elsewhere: the gate sees it, and what was published isn't repeated", mainOverrides},
	{"rollback-with-replay", "1.20.5 can't read what 2.3.0 left: it asks, and repeats just the range that it stated", rollbackWithReplay},
	{"pod-without-key-gets-nothing", "REST, RPC, blobs and the agent's port refuse whoever has no key of this generation", withoutKey},
	{"look-through-the-agent", "Flink's UI and REST come through cli, api and agent, read-only and by role; what acts or may hold secrets is refused, the job runs on", lookThroughTheAgent},
	{"secret-never-in-history", "a job uses a Secret: its value is in no history, event, log, ConfigMap, pod or table", secretStaysSecret},
	{"rollback-then-fails-again", "the rolled-back job fails later: it goes on from its own snapshots, not from the branch that was left", rollbackThenFails},
	{"incident-recorded", "the JobManager of a job dies while no operation is open: it is in get job, and in no operation's way", incidentRecorded},
	{"incident-while-preparing", "it dies while an upgrade prepares: the new generation goes, the operation says why", incidentWhilePreparing},
	{"terminated-then-upgraded", "a run is terminated in Temporal between hold and stop: it is in get job, and the next upgrade takes its hold over", terminatedThenUpgraded},
	{"terminated-in-its-stop", "it is terminated in its stop: no other upgrade begins; a start goes on from the savepoint that it left", terminatedInItsStop},
	{"pod-force-deleted", "a force-deletion proves no end: its node is looked at, its kubelet's word is waited for, then the job is brought back", podForceDeleted},
	{"cancel-before-the-stop", "a cancel while preparing removes the new generation; the job runs on", cancelBeforeStop},
}

// alone are the stories that strike at more than their own job; the others are told
// side by side (SLUICE_STORIES at once, testsuite/scenario/run).
var alone = []string{"worker-killed-between-stop-and-submit", "kafka-exactly-once", "hostile-requests"}

// large are alone too where a node hasn't much memory.
var large = []string{"cold-when-unschedulable", "unchecked-when-nothing-fits"}

func TestScenario(t *testing.T) {
	apart := alone
	if !Roomy(t) {
		apart = slices.Concat(alone, large)
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			if !slices.Contains(apart, s.name) {
				t.Parallel()
			}
			fmt.Printf("--- %s: %s\n", s.name, s.shows)
			s.tell(t)
		})
	}
}
