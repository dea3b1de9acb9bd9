package store

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The release before ours works on with the schema that ours has made: while
// workers and apis are replaced, and after a way back. So a migration only adds. What
// nobody reads or writes any more goes one release later, in a migration that says
// whose expansion it ends: "-- contracts: 00002_profile_digest.sql".
var breaking = []struct {
	what    string
	matches *regexp.Regexp
}{
	{"drops", regexp.MustCompile(`\bDROP\b`)},
	{"renames", regexp.MustCompile(`\bRENAME\b`)},
	{"changes a column", regexp.MustCompile(`\b(MODIFY|CHANGE|ALTER COLUMN)\b`)},
	{"empties a table", regexp.MustCompile(`\b(TRUNCATE|DELETE FROM)\b`)},
	{"makes values unique that may not be", regexp.MustCompile(`\bADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY|FOREIGN|CHECK)\b|\bCREATE UNIQUE\b`)},
}

var contracts = regexp.MustCompile(`(?m)^-- contracts: (\S+)$`)

// checkMigration says what is wrong with a migration; older are the names of those
// before it.
func checkMigration(text string, older []string) error {
	if named := contracts.FindStringSubmatch(text); named != nil {
		for _, name := range older {
			if name == named[1] {
				return nil
			}
		}
		return fmt.Errorf("it contracts %s, which is no migration before it", named[1])
	}
	up, _, _ := strings.Cut(text, "-- +goose Down")
	for statement := range strings.SplitSeq(withoutComments(up), ";") {
		statement = strings.ToUpper(strings.Join(strings.Fields(statement), " "))
		if strings.HasPrefix(statement, "CREATE TABLE") {
			continue // nobody has used it yet
		}
		for _, b := range breaking {
			if b.matches.MatchString(statement) {
				return fmt.Errorf("it %s: %.120s", b.what, statement)
			}
		}
		for added := range strings.SplitSeq(statement, "ADD ") {
			if strings.Contains(added, " NOT NULL") && !strings.Contains(added, " DEFAULT ") && !strings.Contains(added, " GENERATED ") {
				return fmt.Errorf("the release before can't insert: NOT NULL without DEFAULT: %.120s", added)
			}
		}
	}
	return nil
}

func withoutComments(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "--")
		kept = append(kept, line)
	}
	return strings.Join(kept, " ")
}

func TestMigrationsExpandBeforeTheyContract(t *testing.T) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	var older []string
	for _, name := range names {
		text, err := fs.ReadFile(migrations, name)
		require.NoError(t, err)
		require.NoError(t, checkMigration(string(text), older), name)
		older = append(older, strings.TrimPrefix(name, "migrations/"))
	}
}

func TestAMigrationThatTheReleaseBeforeWouldNotSurviveIsSeen(t *testing.T) {
	const up = "-- +goose Up\n"
	for text, good := range map[string]bool{
		"CREATE TABLE a (b INT NOT NULL, UNIQUE KEY x (b));":                            true,
		"ALTER TABLE a ADD COLUMN b INT NULL;":                                          true,
		"ALTER TABLE a ADD COLUMN b INT NOT NULL DEFAULT 0, ADD COLUMN c TEXT;":         true,
		"ALTER TABLE a ADD KEY x (b);":                                                  true,
		"ALTER TABLE a ADD b INT NOT NULL;":                                             false,
		"ALTER TABLE a ADD COLUMN b INT NOT NULL;":                                      false,
		"ALTER TABLE a ADD COLUMN b INT NOT NULL DEFAULT 0, ADD COLUMN c INT NOT NULL;": false,
		"alter table a drop column b;":                                                  false,
		"ALTER TABLE a RENAME COLUMN b TO c;":                                           false,
		"RENAME TABLE a TO b;":                                                          false,
		"ALTER TABLE a MODIFY b BIGINT;":                                                false,
		"ALTER TABLE a\n  CHANGE b c INT;":                                              false,
		"ALTER TABLE a ADD UNIQUE KEY x (b);":                                           false,
		"CREATE UNIQUE INDEX x ON a (b);":                                               false,
		"DELETE FROM a;":                                                                false,
		"ALTER TABLE a ADD COLUMN b INT; DROP TABLE c;":                                 false,
		"-- a comment says DROP\nALTER TABLE a ADD b INT;":                              true,
		"-- contracts: 1.sql\nDROP TABLE c;":                                            true,
		"-- contracts: 2.sql\nDROP TABLE c;":                                            false,
		"CREATE TABLE a (b INT);\n-- +goose Down\nDROP TABLE a;":                        true,
	} {
		err := checkMigration(up+text, []string{"1.sql"})
		require.Equal(t, good, err == nil, "%s: %v", text, err)
	}
}
