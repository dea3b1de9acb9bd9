package checker

import (
	"io"
	"io/fs"
	"time"
)

// Files is what the checker needs of a file system. HDFS and Local make one.
type Files interface {
	// ReadDir lists one directory in any order; fs.ErrNotExist when there is none.
	ReadDir(directory string) ([]fs.FileInfo, error)
	Open(file string) (io.ReadCloser, error)
}

// Options says where to look and what the job was told. Only Output is required.
type Options struct {
	// Output is the directory of `number,key,count,version` lines; read with everything below it.
	Output string
	// Trace is the directory of `number,submission,millis` lines. Empty: pauses are not measured.
	Trace string
	// Keys is the job's --keys; 0 means 100, its default.
	Keys int64
	// MinRecords is how many records there must be at least; 0 means 1: no records prove nothing.
	MinRecords int64
	// Records is how many there must be exactly (a job with --count); 0 means that any number will do.
	Records int64
	// RepeatedBy is the version whose numbers must be there twice, all of them and nothing else: a rollback was told
	// to publish again what it had published. Empty: none.
	RepeatedBy string
	// AllowUnfinished accepts unfinished output files, which a killed job leaves behind for ever. Their numbers must
	// be in finished files all the same. They are counted in the report.
	AllowUnfinished bool
	// AllowUnpublished accepts numbers that are in the trace and not in the output. There are none once a job was
	// stopped with a savepoint or ended; after a kill or a cancel, or while it runs, there may be.
	AllowUnpublished bool
	// MaxPause makes a longer pause in the trace a problem; 0 means that pauses are only reported.
	MaxPause time.Duration
	// MaxOverlap is for how long the trace may show two submissions at the same time; above it is a problem: two
	// copies wrote. 0 is right where all TaskManagers share a clock.
	MaxOverlap time.Duration
	// Windows are times of the wall clock in ms: of each the report gives the longest pause that overlaps it.
	Windows []Range
}

func (o Options) withDefaults() Options {
	if o.Keys == 0 {
		o.Keys = 100
	}
	if o.MinRecords == 0 {
		o.MinRecords = 1
	}
	return o
}
