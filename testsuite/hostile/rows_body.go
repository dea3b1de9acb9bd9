package hostile

import (
	"fmt"
	"strconv"
	"strings"

	"sluice/internal/failure"
)

// job is a valid body with more in its spec.
func job(more string) string {
	return `{"site":"dc1","spec":{"engine":{"name":"flink","version":"1.20.5"},"artifact":"{artifact}","entryClass":"io.sluice.jobs.Counter"` + more + `}}`
}

// spec is a body with other values.
func spec(engine, artifact, class string) string {
	return fmt.Sprintf(`{"site":"dc1","spec":{"engine":%s,"artifact":%s,"entryClass":%s}}`, engine, artifact, class)
}

func brokers(list string) string { return `{"brokers":[` + list + `],"transactionTimeoutMs":60000}` }

const (
	goodEngine   = `{"name":"flink","version":"1.20.5"}`
	goodArtifact = `"{artifact}"`
	goodClass    = `"io.sluice.jobs.Counter"`
)

func documents() []Request {
	huge := put("a body over 1 MiB", `{"site":"`+strings.Repeat("x", 1<<20)+`"}`, "").refused(failure.TooLarge, "1048576")
	endless := put("a body without an end", "", "").refused(failure.TooLarge, "")
	endless.Endless, endless.Header = true, []string{"Content-Type", "application/json"}
	cut := put("a body that is cut off", `{"site":`, "body")
	cut.Length, cut.CutOff = "500", true
	return []Request{
		huge, endless, cut,
		put("no body", "", "body").with("Content-Type", "application/json"),
		put("half a document", `{"site":`, "body"),
		put("a list", `[]`, "body"),
		put("null", `null`, "body"),
		put("only a number", `7`, "body"),
		put("no JSON", `site: dc1`, "body"),
		put("single quotes", `{'site':'dc1'}`, "body"),
		put("a comment", `{"site":"dc1" /* here */}`, "body"),
		put("a comma too many", `{"site":"dc1",}`, "body"),
		put("a byte order mark", "\ufeff"+job(""), "body"),
		put("no UTF-8", strings.Replace(job(""), "dc1", "dc\xff", 1), "body"),
		put("not a number", `{"site":NaN}`, "body"),
		put("something behind the document", job("")+`{}`, "body"),
		put("a key twice", strings.Replace(job(""), `"site"`, `"site":"dc2","site"`, 1), "/site"),
		put("a key twice, escaped once", strings.Replace(job(""), `"site"`, `"\u0073ite":"dc2","site"`, 1), "/site"),
		put("100,000 lists in each other", strings.Repeat("[", 100_000), "body"),
		put("9,000 objects in each other", strings.Repeat(`{"site":`, 9_000)+"1"+strings.Repeat("}", 9_000), "/site"),
		put("unknown fields", strings.Replace(job(`,"replicas":3`), `"site"`, `"force":true,"site"`, 1), "/spec"),
		put("another content type", job(""), "Content-Type").with("Content-Type", "text/plain"),
		put("a form", "site=dc1", "Content-Type").with("Content-Type", "application/x-www-form-urlencoded"),
		put("packed", "\x1f\x8b\x08\x00", "body").with("Content-Type", "application/json", "Content-Encoding", "gzip"),
		put("a zero byte", job("")+"\x00", "body"),
	}
}

func specs() []Request {
	option := func(name, option, value, field string) Request {
		return put("option: "+name, job(`,"options":{`+strconv.Quote(option)+`:`+value+`}`), "/spec/options"+field)
	}
	argument := func(name, list, field string) Request {
		return put("argument: "+name, job(`,"arguments":`+list), "/spec/arguments"+field)
	}
	depends := func(name, list, field string) Request {
		return put("dependency: "+name, job(`,"dependencies":`+list), "/spec/dependencies"+field)
	}
	writes := func(name, kafka, field string) Request {
		return put("kafka: "+name, job(`,"kafka":`+kafka), "/spec/kafka"+field)
	}
	many := strings.TrimSuffix(strings.Repeat(`"x",`, 201), ",")
	var options strings.Builder
	for i := range 201 {
		fmt.Fprintf(&options, `"a.b%d":"1",`, i)
	}
	return []Request{
		// Flink's options.
		option("an option of the platform", "rest.port", `"1"`, "/rest.port").saying("belongs to the platform"),
		option("one in capitals", "REST.Port", `"1"`, "/REST.Port"),
		option("high availability", "high-availability.type", `"zookeeper"`, "/high-availability.type"),
		option("another directory of snapshots", "state.savepoints.dir", `"hdfs://evil/"`, "/state.savepoints.dir"),
		option("an internal one", "$internal.pipeline.job-id", `"0"`, "/$internal.pipeline.job-id"),
		option("endless restarts", "restart-strategy.type", `"fixed-delay"`, "/restart-strategy.type"),
		option("flags of the JVM", "env.java.opts.all", `"-XX:OnError=sh"`, "/env.java.opts.all"),
		option("a secret by its name", "s3.secret-key", `"`+Secret+`"`, "/s3.secret-key").saying("looks like a secret"),
		option("a secret by its value", "my.connection", `"password=`+Secret+`"`, "/my.connection"),
		option("a password in an address", "my.url", `"jdbc:mysql://root:`+Secret+`@db/x"`, "/my.url"),
		option("a private key", "my.file", `"-----BEGIN PRIVATE KEY-----`+Secret+`"`, "/my.file"),
		option("a number", "a.b", `5`, "/a.b"),
		option("a list", "a.b", `["x"]`, "/a.b"),
		option("null", "a.b", `null`, "/a.b"),
		option("a unit that is none", "execution.checkpointing.interval", `"5 parsecs"`, "/execution.checkpointing.interval").saying("is not a duration"),
		option("a negative duration", "execution.checkpointing.interval", `"-5 s"`, "/execution.checkpointing.interval"),
		option("a fraction of a second", "execution.checkpointing.min-pause", `"1.5 s"`, "/execution.checkpointing.min-pause"),
		option("a size in metres", "state.backend.rocksdb.writebuffer.size", `"64 m²"`, "/state.backend.rocksdb.writebuffer.size"),
		option("perhaps", "pipeline.object-reuse", `"perhaps"`, "/pipeline.object-reuse"),
		option("a maximum parallelism over Flink's", "pipeline.max-parallelism", `"32769"`, "/pipeline.max-parallelism"),
		option("a maximum parallelism of none", "pipeline.max-parallelism", `"0"`, "/pipeline.max-parallelism"),
		option("a second option in the value", "a.b", `"1\nrest.port: 9999"`, "/a.b").saying("line end"),
		option("a second option in the name", "a.b: 1\nrest.port", `"9999"`, "/a.b: 1\ufffdrest.port"),
		option("a zero byte in a value", "a.b", `"1\u0000"`, "/a.b").saying("U+0000"),
		option("5,000 characters", "a.b", `"`+strings.Repeat("x", 5000)+`"`, "/a.b"),
		put("201 options", job(`,"options":{`+strings.TrimSuffix(options.String(), ",")+`}`), "/spec/options").saying("201"),
		// Arguments of main.
		argument("a text instead of a list", `"--rate 5"`, ""),
		argument("a number", `[5]`, "/0"),
		argument("a secret", `["--password=`+Secret+`"]`, "/0").saying("looks like a secret"),
		argument("a secret in two arguments", `["--db-password","`+Secret+`"]`, "/1"),
		argument("a zero byte", `["a\u0000b"]`, "/0").saying("U+0000"),
		argument("an escape sequence of a terminal", `["\u001b[2J"]`, "/0"),
		argument("5,000 characters", `["`+strings.Repeat("x", 5000)+`"]`, "/0"),
		argument("201 of them", `[`+many+`]`, "").saying("201"),
		put("200 KB of them", job(`,"arguments":[`+strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("x", 4000)+`",`, 50), ",")+`]`), "/spec"),
		// Files on the class path.
		depends("a text instead of a list", `"`+digest("none")+`"`, ""),
		depends("a number", `[5]`, "/0"),
		depends("a path", `["./kafka.jar"]`, "/0"),
		depends("one that leads away", `["sha256:../../../jobs/x"]`, "/0"),
		depends("a path behind the digest", `["`+digest("none")+`/../../x"]`, "/0"),
		depends("a second class path behind it", `["`+digest("none")+`;file:///etc"]`, "/0"),
		depends("an address", `["http://169.254.169.254/evil.jar"]`, "/0"),
		depends("a flag of the program that brings it", `["--help"]`, "/0"),
		depends("a digest in capitals", `["`+strings.ToUpper(digest("none"))+`"]`, "/0"),
		depends("a line end", `["`+digest("none")+`\n"]`, "/0"),
		depends("an empty one", `[""]`, "/0"),
		depends("one twice", `["`+digest("none")+`","`+digest("other")+`","`+digest("none")+`"]`, "/2").saying("repeats"),
		depends("the job's own jar", `["{artifact}"]`, "/0").saying("own jar"),
		depends("one that isn't there", `["`+digest("none")+`"]`, "/0").saying("no such artifact"),
		depends("51 of them", `[`+strings.TrimSuffix(strings.Repeat(`"`+digest("none")+`",`, 51), ",")+`]`, "").saying("51"),
		// Kafka.
		writes("a text", `"kafka:9092"`, ""),
		writes("nothing in it", `{}`, "/brokers"),
		writes("no brokers", `{"brokers":[],"transactionTimeoutMs":0}`, "/brokers"),
		writes("a list in one", brokers(`"a:9092,b:9092"`), "/brokers/0"),
		writes("an address of the web", brokers(`"http://169.254.169.254:80/"`), "/brokers/0"),
		writes("a user and a password", brokers(`"u:`+Secret+`@a:9092"`), "/brokers/0"),
		writes("no port", brokers(`"a"`), "/brokers/0"),
		writes("a port that is none", brokers(`"a:65536"`), "/brokers/0"),
		writes("a second option", brokers(`"a:9092\nacks=0"`), "/brokers/0"),
		writes("a broker twice", brokers(`"a:9092","a:9092"`), "/brokers/1").saying("repeats"),
		writes("21 brokers", brokers(strings.TrimSuffix(strings.Repeat(`"a:9092",`, 21), ",")), "/brokers").saying("21"),
		writes("no time", `{"brokers":["a:9092"],"transactionTimeoutMs":0}`, "/transactionTimeoutMs"),
		writes("less than no time", `{"brokers":["a:9092"],"transactionTimeoutMs":-1}`, "/transactionTimeoutMs"),
		writes("more than a week", `{"brokers":["a:9092"],"transactionTimeoutMs":604800001}`, "/transactionTimeoutMs"),
		writes("20 digits of it", `{"brokers":["a:9092"],"transactionTimeoutMs":99999999999999999999}`, "/transactionTimeoutMs"),
		writes("a time as text", `{"brokers":["a:9092"],"transactionTimeoutMs":"15 min"}`, "/transactionTimeoutMs"),
		argument("a prefix that nobody fills in", `["--prefix","${job.name}"]`, "/1").saying("${job.uid}"),
		argument("one in capitals", `["${JOB.UID}"]`, "/0").saying("${job.uid}"),
		argument("one that isn't closed", `["x-${job.uid"]`, "/0").saying("${job.uid}"),
		argument("brokers of no Kafka", `["${kafka.brokers}"]`, "/0").saying("no kafka"),
		// The rest of a spec.
		put("no class", spec(goodEngine, goodArtifact, `""`), "/spec/entryClass"),
		put("a path as a class", spec(goodEngine, goodArtifact, `"../../bin/sh"`), "/spec/entryClass"),
		put("a class with a flag", spec(goodEngine, goodArtifact, `"a.B -javaagent:x"`), "/spec/entryClass"),
		put("a class of 501 characters", spec(goodEngine, goodArtifact, `"`+strings.Repeat("a", 501)+`"`), "/spec/entryClass"),
		put("an engine that isn't offered", spec(`{"name":"flink","version":"9.9.9"}`, goodArtifact, goodClass), "/spec/engine").saying("not offered"),
		put("an image as an engine", spec(`{"name":"docker.io/evil","version":"latest"}`, goodArtifact, goodClass), "/spec/engine/name"),
		put("a version with a line end", spec(`{"name":"flink","version":"1.20.5\n"}`, goodArtifact, goodClass), "/spec/engine/version"),
		put("an artifact that leads away", spec(goodEngine, `"sha256:../../../jobs"`, goodClass), "/spec/artifact"),
		put("an artifact of another scheme", spec(goodEngine, `"http://169.254.169.254/latest"`, goodClass), "/spec/artifact"),
		put("a short digest", spec(goodEngine, `"sha256:abc"`, goodClass), "/spec/artifact"),
		put("a digest in capitals", spec(goodEngine, `"sha256:`+strings.Repeat("AB", 32)+`"`, goodClass), "/spec/artifact"),
		put("an artifact that isn't there", spec(goodEngine, `"sha256:`+strings.Repeat("ab", 32)+`"`, goodClass), "/spec/artifact").saying("no such artifact"),
		put("a site of dots", strings.Replace(job(""), "dc1", "../dc1", 1), "/site"),
	}
}

// profile's values are JSON as they stand.
func profile(jobCPU, jobMemory, cpu, memory, replicas, slots, parallelism string) string {
	return fmt.Sprintf(`{"jobManager":{"cpu":"%s","memoryMiB":%s},"taskManager":{"cpu":"%s","memoryMiB":%s,"replicas":%s,"slots":%s},"parallelism":%s}`,
		jobCPU, jobMemory, cpu, memory, replicas, slots, parallelism)
}

func profiles() []Request {
	row := func(name, body, field string) Request {
		return Request{Name: "profile: " + name, As: Admin, Method: "PUT", Path: newProfile, Body: body, Code: "invalid", Field: field}
	}
	return []Request{
		row("no TaskManager", profile("1", "1024", "1", "1728", "0", "2", "1"), "/taskManager/replicas"),
		row("less than none", profile("1", "1024", "1", "1728", "-1", "2", "1"), "/taskManager/replicas"),
		row("2,000,000,000 of them", profile("1", "1024", "1", "1728", "2000000000", "64", "1"), "/taskManager/replicas"),
		row("as many as overflow", profile("1", "1024", "1", "1728", "9223372036854775807", "2", "1"), "/taskManager/replicas"),
		row("20 digits", profile("1", "1024", "1", "1728", "99999999999999999999", "2", "1"), "/taskManager/replicas"),
		row("half a TaskManager", profile("1", "1024", "1", "1728", "0.5", "2", "1"), "/taskManager/replicas"),
		row("a number as text", profile("1", "1024", "1", "1728", `"2"`, "2", "1"), "/taskManager/replicas"),
		row("no slot", profile("1", "1024", "1", "1728", "1", "0", "1"), "/taskManager/slots"),
		row("no memory", profile("1", "0", "1", "1728", "1", "2", "1"), "/jobManager/memoryMiB"),
		row("less than Flink starts with", profile("1", "1024", "1", "100", "1", "2", "1"), "/taskManager/memoryMiB"),
		row("a petabyte", profile("1", "1073741824", "1", "1728", "1", "2", "1"), "/jobManager/memoryMiB"),
		row("flags for the JVM", profile("1", `1024,"jvm":"-XX:OnError=sh"`, "1", "1728", "1", "2", "1"), "/jobManager/jvm"),
		row("no CPU", profile("0", "1024", "1", "1728", "1", "2", "1"), "/jobManager/cpu"),
		row("less than no CPU", profile("-1", "1024", "1", "1728", "1", "2", "1"), "/jobManager/cpu"),
		row("all the CPU there is", profile("Inf", "1024", "1", "1728", "1", "2", "1"), "/jobManager/cpu"),
		row("CPU in a unit of memory", profile("1Gi", "1024", "1", "1728", "1", "2", "1"), "/jobManager/cpu"),
		row("CPU with an exponent", profile("1", "1024", "1e3", "1728", "1", "2", "1"), "/taskManager/cpu"),
		row("a parallelism of 0", profile("1", "1024", "1", "1728", "1", "2", "0"), "/parallelism"),
		row("more parallelism than slots", profile("1", "1024", "1", "1728", "1", "2", "3"), "/parallelism"),
		row("a part that nobody knows", strings.Replace(profile("1", "1024", "1", "1728", "1", "2", "2"), `{`, `{"gpu":1,`, 1), "body"),
	}
}

func operations() []Request {
	deep := func(name, body, field string) Request { return post("operation: "+name, body, field).deep() }
	return []Request{
		post("operation: no kind", `{}`, "/kind"),
		post("operation: a number as kind", `{"kind":7}`, "/kind"),
		post("operation: half a second of soak", `{"kind":"start","soakSeconds":0.5}`, "/soakSeconds"),
		post("operation: an exponent", `{"kind":"start","soakSeconds":1e2}`, "/soakSeconds"),
		post("operation: a revision of 20 digits", `{"kind":"upgrade","revision":99999999999999999999}`, "/revision"),
		post("operation: perhaps stateless", `{"kind":"start","stateless":"yes"}`, "/stateless"),
		post("operation: a part that nobody knows", `{"kind":"start","force":true}`, "body"),
		{Name: "decision: no option", Method: "POST", Path: operation + "/decide", Body: `{}`, Code: "invalid", Field: "/option"},
		{Name: "decision: a reason of 201 characters", Method: "POST", Path: operation + "/decide", Body: `{"option":"retry","reason":"` + strings.Repeat("x", 201) + `"}`, Code: "invalid", Field: "/reason"},
		{Name: "cancel: a reason with a control character", Method: "POST", Path: operation + "/cancel", Body: `{"reason":"\u001b[2J"}`, Code: "invalid", Field: "/reason"},
		deep("no such kind", `{"kind":"explode"}`, "/kind"),
		deep("a negative soak", `{"kind":"start","soakSeconds":-1}`, "/soakSeconds"),
		deep("a soak of a day", `{"kind":"start","soakSeconds":86400}`, "/soakSeconds"),
		deep("a negative revision", `{"kind":"upgrade","revision":-1}`, "/revision"),
		deep("a revision that isn't there", `{"kind":"upgrade","revision":999999}`, "/revision"),
		deep("a profile that isn't there", `{"kind":"upgrade","profile":"hostile"}`, "/profile"),
		deep("a profile of dots", `{"kind":"upgrade","profile":"../x"}`, "/profile"),
		deep("a strategy that is none", `{"kind":"upgrade","strategy":"hot"}`, "/strategy"),
		deep("a strategy of a stop", `{"kind":"stop","strategy":"cold"}`, "/strategy"),
		deep("what must not be cold, but unchecked", `{"kind":"upgrade","allowUnchecked":true}`, "/allowUnchecked"),
		deep("a revision of a restart", `{"kind":"restart","revision":1}`, "/revision"),
		deep("a rollback below nothing", `{"kind":"rollback","revision":-1}`, "/revision"),
		deep("a rollback without its state", `{"kind":"rollback","stateless":true}`, "/stateless").by(Admin),
		deep("a soak of a savepoint", `{"kind":"savepoint","soakSeconds":5}`, "/soakSeconds"),
		deep("a reason of 201 characters", `{"kind":"stop","reason":"`+strings.Repeat("x", 201)+`"}`, "/reason"),
		deep("a short digest of a plan", `{"kind":"stop","planDigest":"sha256:12"}`, "/planDigest"),
		deep("a savepoint without a savepoint", `{"kind":"savepoint","withoutSavepoint":true}`, "/withoutSavepoint"),
		deep("a stop that keeps nothing and a checkpoint", `{"kind":"stop","stateless":true,"withoutSavepoint":true}`, "/withoutSavepoint").by(Admin),
		post("operation: a stop without its state by an operator", `{"kind":"stop","stateless":true}`, "").refused(failure.Forbidden, "stateless"),
		deep("an operation that isn't there superseded", `{"kind":"start","supersede":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}`, "/supersede").saying("does not exist"),
		deep("no operation's id superseded", `{"kind":"start","supersede":"../x"}`, "/supersede"),
		deep("an operation superseded by a stop", `{"kind":"stop","supersede":"{operation}"}`, "/supersede"),
		deep("a plan of what supersedes", `{"kind":"start","supersede":"{operation}","planDigest":"`+digest("none")+`"}`, "/planDigest"),
		deep("more parallelism than the job's maximum", `{"kind":"upgrade","profile":"hostile-wide"}`, "/profile").saying("at most 4"),
		{Name: "operation: of a job that isn't there", Method: "POST", Path: unknown + "/operations", Body: `{"kind":"start"}`, Code: failure.NotFound, Deep: true},
	}
}
