package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOnlyAnOutOfServiceNodeOfThePodsOwnIsOff(t *testing.T) {
	made := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	ready := func(status core.ConditionStatus) []core.NodeCondition {
		return []core.NodeCondition{{Type: core.NodeReady, Status: status}}
	}
	for name, c := range map[string]struct {
		change func(*core.Pod, *core.Node)
		off    bool
		why    string
	}{
		"tainted and silent":      {func(*core.Pod, *core.Node) {}, true, ""},
		"tainted, it says no":     {func(_ *core.Pod, n *core.Node) { n.Status.Conditions = ready(core.ConditionFalse) }, true, ""},
		"silent":                  {func(_ *core.Pod, n *core.Node) { n.Spec.Taints = nil }, false, "not tainted"},
		"unreachable":             {func(_ *core.Pod, n *core.Node) { n.Spec.Taints[0].Key = core.TaintNodeUnreachable }, false, "not tainted"},
		"its kubelet answers":     {func(_ *core.Pod, n *core.Node) { n.Status.Conditions = ready(core.ConditionTrue) }, false, "answers"},
		"made anew":               {func(_ *core.Pod, n *core.Node) { n.CreationTimestamp = meta.NewTime(made.Add(time.Hour)) }, false, "made anew"},
		"as old as the binding":   {func(p *core.Pod, _ *core.Node) { p.Status.Conditions[0].LastTransitionTime = meta.NewTime(made) }, false, "made anew"},
		"nobody knows since when": {func(p *core.Pod, _ *core.Node) { p.Status.Conditions = nil }, false, "made anew"},
		"another node":            {func(p *core.Pod, _ *core.Node) { p.Spec.NodeName = "other" }, false, "made anew"},
	} {
		t.Run(name, func(t *testing.T) {
			node := &core.Node{
				ObjectMeta: meta.ObjectMeta{Name: "n", UID: "node-uid", CreationTimestamp: meta.NewTime(made)},
				Spec:       core.NodeSpec{Taints: []core.Taint{{Key: core.TaintNodeOutOfService, Effect: core.TaintEffectNoExecute}}},
				Status:     core.NodeStatus{Conditions: ready(core.ConditionUnknown)},
			}
			pod := &core.Pod{Spec: core.PodSpec{NodeName: "n"}, Status: core.PodStatus{Conditions: []core.PodCondition{
				{Type: core.PodScheduled, Status: core.ConditionTrue, LastTransitionTime: meta.NewTime(made.Add(time.Minute))},
			}}}
			c.change(pod, node)
			by, why := Off(pod, node)
			require.Equal(t, c.off, by != "", why)
			require.Contains(t, why, c.why)
			if c.off {
				require.Equal(t, "node n (uid node-uid) is out of service", by)
			}
		})
	}
}
