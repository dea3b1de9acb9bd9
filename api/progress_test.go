package api

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

// fill sets every field below v to something.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	default:
		panic("fill does not know " + v.Kind().String())
	}
}

func TestProgressIsShownWhole(t *testing.T) {
	var progress upgrade.Progress
	fill(reflect.ValueOf(&progress).Elem())
	want, err := json.Marshal(progress)
	require.NoError(t, err)
	got, err := json.Marshal(fromProgress(progress))
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got), "api/openapi.yaml lacks what upgrade.Progress has")
}

func TestRequestsAreTakenWhole(t *testing.T) {
	var request job.Request
	fill(reflect.ValueOf(&request).Elem())
	require.Equal(t, request, toRequest(fromRequest(request)))
}

func TestWaitTime(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "0s": 0, "20s": 20 * time.Second, "60s": maxWait, "1m": maxWait} {
		wait, err := waitTime(text)
		require.NoError(t, err)
		require.Equal(t, want, wait)
	}
	for _, text := range []string{"61s", "-1s", "20", "long", "1h"} {
		_, err := waitTime(text)
		require.Equal(t, failure.Invalid, failure.CodeOf(err), text)
	}
}

func TestExpectedDigest(t *testing.T) {
	_, err := expected(gen.PutArtifactParams{})
	require.NoError(t, err)
	_, err = expected(gen.PutArtifactParams{Digest: "sha-256=AAAA"})
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
}
