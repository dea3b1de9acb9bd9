package job_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
)

func TestChangesAreListedByField(t *testing.T) {
	before := job.Spec{
		Engine: job.Engine{Name: "flink", Version: "1.20.5"}, Artifact: "sha256:old", EntryClass: "a.B",
		Dependencies: []string{"sha256:1", "sha256:2"}, Arguments: []string{"--a", "1"}, Options: map[string]string{"gone": "1", "kept": "2", "turned": "3"},
	}
	after := job.Spec{
		Engine: job.Engine{Name: "flink", Version: "2.3.0"}, Artifact: "sha256:new", EntryClass: "a.B",
		Dependencies: []string{"sha256:1", "sha256:3", "sha256:4"}, Arguments: []string{"--a", "1 2"}, Options: map[string]string{"kept": "2", "turned": "4", "empty": ""},
	}
	require.Equal(t, []job.Change{
		{Field: "engine", From: "flink 1.20.5", To: "flink 2.3.0"},
		{Field: "artifact", From: "sha256:old", To: "sha256:new"},
		{Field: "dependencies.1", From: "sha256:2", To: "sha256:3"},
		{Field: "dependencies.2", To: "sha256:4"},
		{Field: "arguments", From: "--a 1", To: `--a "1 2"`},
		{Field: "options.empty", To: `""`},
		{Field: "options.gone", From: "1"},
		{Field: "options.turned", From: "3", To: "4"},
	}, job.Changes(before, after))
	require.Empty(t, job.Changes(after, after))
}

func TestSpecsThatDifferNeverLookTheSame(t *testing.T) {
	for name, pair := range map[string][2]job.Spec{
		"one argument or two":  {{Arguments: []string{"a b"}}, {Arguments: []string{"a", "b"}}},
		"quoted by the person": {{Arguments: []string{"a b"}}, {Arguments: []string{`"a`, `b"`}}},
		"an empty argument":    {{Arguments: []string{"a", ""}}, {Arguments: []string{"a"}}},
		"only an empty one":    {{Arguments: []string{""}}, {}},
		"a quoted one":         {{Arguments: []string{""}}, {Arguments: []string{`""`}}},
		"other order":          {{Dependencies: []string{"sha256:1", "sha256:2"}}, {Dependencies: []string{"sha256:2", "sha256:1"}}},
		"an empty option":      {{Options: map[string]string{"a": ""}}, {}},
	} {
		require.NotEqual(t, pair[0].Digest(), pair[1].Digest(), name)
		require.NotEmpty(t, job.Changes(pair[0], pair[1]), name)
	}
}

// A field that a spec gets one day must be shown too.
func TestEveryFieldOfASpecIsCompared(t *testing.T) {
	kind := reflect.TypeFor[job.Spec]()
	for i := range kind.NumField() {
		var spec job.Spec
		set(reflect.ValueOf(&spec).Elem().Field(i))
		require.NotEmpty(t, job.Changes(job.Spec{}, spec), kind.Field(i).Name)
	}
}

// set makes a value that isn't empty.
func set(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Struct:
		for i := range v.NumField() {
			set(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		set(key)
		set(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem())
	default:
		panic("set does not know " + v.Kind().String())
	}
}
