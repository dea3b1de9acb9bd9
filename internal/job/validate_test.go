package job

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

func goodSpec() Spec {
	return Spec{
		Engine: Engine{"flink", "1.20.5"}, Artifact: "sha256:" + strings.Repeat("0a", 32), EntryClass: "com.example.orders.Main$Inner",
		Arguments: []string{"--topic", "orders", "--rate=100"}, Options: map[string]string{"state.backend.type": "rocksdb", "execution.checkpointing.interval": "10 s"},
	}
}

func names(fields []failure.Field) []string {
	found := []string{}
	for _, f := range fields {
		found = append(found, f.Name)
	}
	return found
}

func TestSpecValidate(t *testing.T) {
	engines := []Engine{{"flink", "1.20.5"}, {"flink", "2.3.0"}}
	require.Empty(t, goodSpec().Validate("/spec", engines))
	for name, c := range map[string]struct {
		change func(*Spec)
		want   []string
	}{
		"another engine":         {func(s *Spec) { s.Engine.Version = "1.19.0" }, []string{"/spec/engine"}},
		"no engine":              {func(s *Spec) { s.Engine = Engine{} }, []string{"/spec/engine/name", "/spec/engine/version"}},
		"digest in capitals":     {func(s *Spec) { s.Artifact = strings.ToUpper(s.Artifact) }, []string{"/spec/artifact"}},
		"a path as artifact":     {func(s *Spec) { s.Artifact = "../x.jar" }, []string{"/spec/artifact"}},
		"a dependency's path":    {func(s *Spec) { s.Dependencies = []string{digestNo(1), "./kafka.jar"} }, []string{"/spec/dependencies/1"}},
		"a dependency twice":     {func(s *Spec) { s.Dependencies = []string{digestNo(1), digestNo(2), digestNo(1)} }, []string{"/spec/dependencies/2"}},
		"depends on itself":      {func(s *Spec) { s.Dependencies = []string{s.Artifact} }, []string{"/spec/dependencies/0"}},
		"many dependencies":      {func(s *Spec) { s.Dependencies = make([]string, MaxDependencies+1) }, []string{"/spec/dependencies"}},
		"no class":               {func(s *Spec) { s.EntryClass = "" }, []string{"/spec/entryClass"}},
		"class with a dash":      {func(s *Spec) { s.EntryClass = "com.ex-ample.Main" }, []string{"/spec/entryClass"}},
		"class ends with a dot":  {func(s *Spec) { s.EntryClass = "com.example." }, []string{"/spec/entryClass"}},
		"control character":      {func(s *Spec) { s.Arguments = []string{"ok", "a\x00b"} }, []string{"/spec/arguments/1"}},
		"long argument":          {func(s *Spec) { s.Arguments = []string{strings.Repeat("x", MaxArgumentLength+1)} }, []string{"/spec/arguments/0"}},
		"not UTF-8":              {func(s *Spec) { s.Arguments = []string{"\xff"} }, []string{"/spec/arguments/0"}},
		"many arguments":         {func(s *Spec) { s.Arguments = make([]string, MaxArguments+1) }, []string{"/spec/arguments"}},
		"secret assigned":        {func(s *Spec) { s.Arguments = []string{"--db-password=x"} }, []string{"/spec/arguments/0"}},
		"secret flag, own value": {func(s *Spec) { s.Arguments = []string{"--token", "abc"} }, []string{"/spec/arguments/0", "/spec/arguments/1"}},
		"owned option":           {func(s *Spec) { s.Options = map[string]string{"rest.port": "1"} }, []string{"/spec/options/rest.port"}},
		"secret option":          {func(s *Spec) { s.Options = map[string]string{"s3.secret-key": "1"} }, []string{"/spec/options/s3.secret-key"}},
		"odd option":             {func(s *Spec) { s.Options = map[string]string{"a/b~c": "1"} }, []string{"/spec/options/a~1b~0c"}},
		"control in option":      {func(s *Spec) { s.Options = map[string]string{"a.b": "\x1b[31m"} }, []string{"/spec/options/a.b"}},
		"too big as a whole":     {func(s *Spec) { s.Arguments = manyLong(40) }, []string{"/spec"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := goodSpec()
			c.change(&s)
			require.Equal(t, c.want, names(s.Validate("/spec", engines)))
		})
	}
	s := goodSpec()
	s.Engine.Version = "9.9"
	require.Empty(t, s.Validate("/spec", nil), "the server knows the engines")
}

func digestNo(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func manyLong(n int) []string {
	arguments := make([]string, n)
	for i := range arguments {
		arguments[i] = strings.Repeat("x", MaxArgumentLength)
	}
	return arguments
}

func TestRequestValidate(t *testing.T) {
	soak := 5
	for name, c := range map[string]struct {
		request Request
		want    []string
	}{
		"start":                   {Request{Kind: Start, Revision: 2, Profile: "big", Stateless: true, SoakSeconds: &soak}, []string{}},
		"upgrade":                 {Request{Kind: Upgrade, Strategy: Cold, Reason: "because"}, []string{}},
		"stop":                    {Request{Kind: Stop}, []string{}},
		"savepoint":               {Request{Kind: Savepoint}, []string{}},
		"nothing":                 {Request{}, []string{"/kind"}},
		"savepoint of a revision": {Request{Kind: Savepoint, Revision: 1, Profile: "big", Strategy: Warm, Stateless: true, SoakSeconds: &soak}, []string{"/revision", "/profile", "/strategy", "/stateless", "/soakSeconds"}},
		"cold start":              {Request{Kind: Start, Strategy: Cold}, []string{"/strategy"}},
		"odd values":              {Request{Kind: Upgrade, Revision: -1, Profile: "Big", Strategy: "hot"}, []string{"/revision", "/profile", "/strategy"}},
		"state may go":            {Request{Kind: Upgrade, AllowStateLoss: true}, []string{}},
		"stop, state may go":      {Request{Kind: Stop, AllowStateLoss: true}, []string{"/allowStateLoss"}},
		"stop as it is":           {Request{Kind: Stop, WithoutSavepoint: true}, []string{}},
		"stop, and nothing kept":  {Request{Kind: Stop, Stateless: true}, []string{}},
		"stop, kept or not":       {Request{Kind: Stop, Stateless: true, WithoutSavepoint: true}, []string{"/withoutSavepoint"}},
		"supersede by a plan":     {Request{Kind: Start, Supersede: "01ARZ3NDEKTSV4RRFFQ69G5FAV", PlanDigest: "sha256:" + strings.Repeat("0", 64)}, []string{"/planDigest"}},
		"stateless, state may go": {Request{Kind: Start, Stateless: true, AllowStateLoss: true}, []string{"/allowStateLoss"}},
		"warm, or cold":           {Request{Kind: Upgrade, AllowCold: true}, []string{}},
		"cold, or cold":           {Request{Kind: Upgrade, Strategy: Cold, AllowCold: true}, []string{"/allowCold"}},
		"warm, cold or unchecked": {Request{Kind: Upgrade, AllowCold: true, AllowUnchecked: true}, []string{}},
		"cold, or unchecked":      {Request{Kind: Restart, Strategy: Cold, AllowUnchecked: true}, []string{}},
		"warm, or unchecked":      {Request{Kind: Upgrade, AllowUnchecked: true}, []string{"/allowUnchecked"}},
		"a restart in place":      {Request{Kind: Restart, Strategy: InPlace}, []string{"/strategy"}},
		"in place, or unchecked":  {Request{Kind: Rescale, Profile: "p", Strategy: InPlace, AllowUnchecked: true}, []string{"/allowUnchecked"}},
		"stop, or unchecked":      {Request{Kind: Stop, AllowUnchecked: true}, []string{"/allowUnchecked"}},
		"start, or cold":          {Request{Kind: Start, AllowCold: true}, []string{"/allowCold"}},
		"restart":                 {Request{Kind: Restart, Strategy: Cold, SoakSeconds: &soak, WithoutSavepoint: true, Replay: ReplayDeny}, []string{}},
		"restart of a revision":   {Request{Kind: Restart, Revision: 1, Profile: "big", AllowStateLoss: true}, []string{"/revision", "/profile", "/allowStateLoss"}},
		"rollback":                {Request{Kind: Rollback, Revision: 1, Profile: "big", Strategy: Cold, AllowStateLoss: true, SoakSeconds: &soak}, []string{}},
		"foreign":                 {Request{Kind: Start, FromSnapshot: "hdfs://nn:8020/a/b"}, []string{}},
		"foreign, odd address":    {Request{Kind: Start, FromSnapshot: "hdfs://nn:8020/a/../b"}, []string{"/fromSnapshot"}},
		"foreign, other scheme":   {Request{Kind: Start, FromSnapshot: "s3://a/b"}, []string{"/fromSnapshot"}},
		"foreign upgrade":         {Request{Kind: Upgrade, FromSnapshot: "/a/b"}, []string{"/fromSnapshot"}},
		"foreign, stateless":      {Request{Kind: Start, FromSnapshot: "/a/b", Stateless: true}, []string{"/fromSnapshot"}},
		"long reason":             {Request{Kind: Stop, Reason: strings.Repeat("é", MaxReason+1)}, []string{"/reason"}},
		"longest reason":          {Request{Kind: Stop, Reason: strings.Repeat("é", MaxReason)}, []string{}},
		"control in reason":       {Request{Kind: Stop, Reason: "\x1b]0;x"}, []string{"/reason"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, names(c.request.Validate()))
		})
	}
}

func TestProfileValidate(t *testing.T) {
	require.Empty(t, DefaultProfile().Validate())
	for name, c := range map[string]struct {
		change func(*Profile)
		want   []string
	}{
		"more than the slots": {func(p *Profile) { p.Parallelism = 3 }, []string{"/parallelism"}},
		"no parallelism":      {func(p *Profile) { p.Parallelism = 0 }, []string{"/parallelism"}},
		"no CPU":              {func(p *Profile) { p.JobManager.CPU = "0" }, []string{"/jobManager/cpu"}},
		"odd CPU":             {func(p *Profile) { p.TaskManager.CPU = "two" }, []string{"/taskManager/cpu"}},
		"little memory":       {func(p *Profile) { p.JobManager.MemoryMiB = 100; p.TaskManager.MemoryMiB = 100 }, []string{"/jobManager/memoryMiB", "/taskManager/memoryMiB"}},
		"no TaskManagers":     {func(p *Profile) { p.TaskManager.Replicas = 0 }, []string{"/taskManager/replicas"}},
		"bad name":            {func(p *Profile) { p.Name = "Big" }, []string{"/name"}},
		"other JVM":           {func(p *Profile) { p.JobManager.JVM, p.TaskManager.JVM = Throughput, "fast" }, []string{"/taskManager/jvm"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := DefaultProfile()
			c.change(&p)
			require.Equal(t, c.want, names(p.Validate()))
		})
	}
	for _, cpu := range []string{"1", "500m", "0.5", "2.25", "16"} {
		p := DefaultProfile()
		p.JobManager.CPU = cpu
		require.Empty(t, p.Validate(), cpu)
	}
}

func TestOptionValuesHaveTheFormThatFlinkReads(t *testing.T) {
	for value, good := range map[string]bool{
		"2 s": true, "500ms": true, "10 min": true, "1 h": true, "1000": true, "3 DAYS": true, "5 µs": true,
		"5 parsecs": false, "-1 s": false, "1.5 s": false, "": false, "s": false, "PT5S": false, "1 s 2 s": false,
	} {
		reason, next := CheckOptionValue("execution.checkpointing.interval", value)
		require.Equal(t, good, reason == "", "%q: %s", value, reason)
		require.Equal(t, good, next == "")
	}
	for value, good := range map[string]bool{"128": true, "32768": true, "-1": true, "0": false, "32769": false, "99999": false, "1e3": false} {
		reason, _ := CheckOptionValue(MaxParallelismOption, value)
		require.Equal(t, good, reason == "", "%q: %s", value, reason)
	}
	for option, value := range map[string]string{
		"pipeline.object-reuse": "yes", "state.backend.type": "rocks db", "state.backend.rocksdb.writebuffer.size": "64 megs", "execution.checkpointing.max-concurrent-checkpoints": "-1",
	} {
		reason, _ := CheckOptionValue(option, value)
		require.NotEmpty(t, reason, option)
	}
	reason, _ := CheckOptionValue("some.other.option", "anything")
	require.Empty(t, reason, "Flink knows it, we don't")
	require.Equal(t, 128, MaxParallelism(map[string]string{MaxParallelismOption: "128"}))
	require.Zero(t, MaxParallelism(nil))
}

func TestSomeJobNamesAreTaken(t *testing.T) {
	for _, name := range []string{"default", "sluice", "sluice-worker", "kube-root-ca", "Orders"} {
		require.NotEmpty(t, CheckJobName(name), name)
	}
	for _, name := range []string{"orders", "default-orders", "sluices", "kubernetes"} {
		require.Empty(t, CheckJobName(name), name)
	}
}

func TestAnOptionIsOneLine(t *testing.T) {
	for _, value := range []string{"1\nrest.port: 9999", "1\trest.port: 9999"} {
		spec := goodSpec()
		spec.Options = map[string]string{"a.b": value}
		require.Equal(t, []string{"/spec/options/a.b"}, names(spec.Validate("/spec", nil)))
	}
}
