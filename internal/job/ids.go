package job

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Every outside effect has an id that is decided before the call (DESIGN §3).
// All of them are made here.

// FlinkJobID is the id under which epoch's submission is posted: 32 hex digits.
func FlinkJobID(uid string, epoch int64) string {
	return digest16(uid, strconv.FormatInt(epoch, 10))
}

// TriggerID is the client-chosen id of a savepoint or stop: 32 hex digits.
// Flink answers a repeated (job, trigger) with the first one's result.
func TriggerID(operation, step string, try int) string {
	return digest16(operation, step, strconv.Itoa(try))
}

// PrimerID is the Flink job id of a generation's primer job.
func PrimerID(uid string, generation, try int) string {
	return digest16(uid, strconv.Itoa(generation), "primer", strconv.Itoa(try))
}

func digest16(parts ...string) string {
	// The separator can occur in no part (ULIDs, numbers, step names).
	sum := sha256.Sum256([]byte(strings.Join(parts, "/")))
	return hex.EncodeToString(sum[:16])
}

// Paths on HDFS, all below the platform's root.
const (
	Root          = "/sluice"
	ArtifactsRoot = Root + "/artifacts"
	JobsRoot      = Root + "/jobs"
)

// ArtifactPath is where an artifact of a tenant lives. Tenants don't share
// artifacts: knowing a digest gives no access to another's jar.
func ArtifactPath(tenant, sha256hex string) string {
	return path.Join(ArtifactsRoot, tenant, sha256hex)
}

// Directory is a job's own directory. All in it may be the job's state, but for
// PrimersDirectory.
func Directory(uid string) string { return path.Join(JobsRoot, uid) }

// CheckpointDirectory is Flink's state.checkpoints.dir of the job.
func CheckpointDirectory(uid string) string { return path.Join(Directory(uid), "checkpoints") }

// SavepointsDirectory holds the directories of all tries.
func SavepointsDirectory(uid string) string { return path.Join(Directory(uid), "savepoints") }

// PrimersDirectory holds what the primers of all generations wrote, with snapshots
// of their own: never the job's state.
func PrimersDirectory(uid string) string { return path.Join(Directory(uid), "primer") }

// SavepointDirectory belongs to one try of one step of one operation, so that
// a savepoint whose answer was lost is found by looking, not by guessing.
func SavepointDirectory(uid, operation, step string, try int) string {
	return path.Join(SavepointsDirectory(uid), fmt.Sprintf("%s-%s-%d", operation, step, try))
}

// PrimerDirectory is the primer's throwaway directory.
func PrimerDirectory(uid string, generation int) string {
	return path.Join(PrimersDirectory(uid), "g"+strconv.Itoa(generation))
}

// MadeBy is the name, or its beginning, that Flink gives to the directory of a
// savepoint that a job of this id made: with the id's first digits
// (AbstractFsCheckpointStorageAccess.initializeLocationForSavepoint).
func MadeBy(flinkJobID string) string { return "savepoint-" + flinkJobID[:6] + "-" }

// ParseCheckpoint takes the address of a checkpoint, …/<Flink job id>/chk-<id>.
func ParseCheckpoint(address string) (flinkJobID string, checkpointID int64, ok bool) {
	number, ok := strings.CutPrefix(path.Base(address), "chk-")
	checkpointID, err := strconv.ParseInt(number, 10, 64)
	return path.Base(path.Dir(address)), checkpointID, ok && err == nil && checkpointID >= 0
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ParseDigest takes "sha256:<64 hex>" and returns the hex part.
func ParseDigest(digest string) (string, error) {
	hexPart, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || !sha256Hex.MatchString(hexPart) {
		return "", fmt.Errorf("is not of the form sha256:<64 lower-case hex digits>")
	}
	return hexPart, nil
}
