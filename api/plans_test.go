package api

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

// A plan is asked for in the words of an operation: what one takes, both take.
func TestAPlanTakesWhatAnOperationTakes(t *testing.T) {
	document, err := loadDocument()
	require.NoError(t, err)
	schemas := document.Components.Schemas
	operation, plan := schemas["OperationRequest"].Value, schemas["PlanRequest"].Value
	require.Contains(t, plan.Properties, "spec")
	require.Len(t, plan.Properties, len(operation.Properties)+1)
	require.Equal(t, operation.Required, plan.Required)
	for name, property := range operation.Properties {
		require.Equal(t, property.Value, plan.Properties[name].Value, name)
	}
	var request job.Request
	fill(reflect.ValueOf(&request).Elem())
	var body gen.PlanRequest
	again(fromRequest(request), &body)
	body.Spec = &gen.Spec{}
	require.Equal(t, request, planned(body))
}

func TestAPlanIsShownWhole(t *testing.T) {
	var plan upgrade.Plan
	fill(reflect.ValueOf(&plan).Elem())
	want, err := json.Marshal(plan)
	require.NoError(t, err)
	got, err := json.Marshal(fromPlan(plan))
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
}

func TestALatePlanSaysWhatItWaitsForWithoutCauses(t *testing.T) {
	details, err := converter.GetDefaultDataConverter().ToPayloads(failure.New(failure.Unavailable, "HDFS is away"))
	require.NoError(t, err)
	pending := &workflow.PendingActivityInfo{
		ActivityType: &common.ActivityType{Name: "hdfs.FindSnapshot"},
		LastFailure: &failurepb.Failure{Message: "unavailable: HDFS is away: dial tcp 10.0.0.1", FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
			ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Details: details},
		}},
	}
	require.Equal(t, "hdfs.FindSnapshot (HDFS is away)", pendingText(pending))
	pending.LastFailure = nil
	require.Equal(t, "hdfs.FindSnapshot", pendingText(pending))
}

func TestAPlansSpecHasTheFormOfAJobs(t *testing.T) {
	w := assemble(t, nil, nil)
	const path = "/v1/tenants/shop/jobs/orders/plans"
	good := `{"kind":"upgrade","spec":{"engine":{"name":"flink","version":"1.20.5"},"artifact":"sha256:x","entryClass":"a.B"}}`
	w.do(viewerToken, "POST", path, good).problem(failure.Unavailable) // as far as the record store
	w.do(viewerToken, "POST", path, `{"kind":"stop"}`).problem(failure.Unavailable)
	for body, field := range map[string]string{
		`{"spec":{"engine":{"name":"flink","version":"1"},"artifact":"x","entryClass":"y"}}`:                           "/kind",
		`{"kind":"upgrade","spec":{"engine":{"name":"flink"},"artifact":"x","entryClass":"y"}}`:                        "/spec/engine/version",
		`{"kind":"upgrade","spec":{"engine":{"name":"flink","version":"1"},"artifact":"x","entryClass":"y","size":1}}`: "/spec",
		`{"kind":"upgrade","spec":{}}`:                   "/spec/engine",
		`{"kind":"upgrade","spec":null}`:                 "/spec",
		`{"kind":"upgrade","force":true}`:                "body",
		`{"kind":"upgrade","spec":"sha256:x","spec":{}}`: "/spec",
	} {
		p := w.do(viewerToken, "POST", path, body).problem(failure.Invalid)
		require.Contains(t, fieldNames(p), field, "%s: %v", body, p.Errors)
	}
	w.do("", "POST", path, good).problem(failure.Unauthorized)
}
