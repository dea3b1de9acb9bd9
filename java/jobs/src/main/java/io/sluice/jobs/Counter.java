package io.sluice.jobs;

import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.Encoder;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.OutputFileConfig;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/**
 * Counts 0, 1, 2, … by key. Its output can be checked without knowing how it was upgraded, stopped or killed: with key =
 * number % keys, the keyed count that includes a number is number / keys + 1.
 *
 * <ul>
 *   <li>{@code --output DIR}: exactly once, {@code number,key,count,version} a line; a file is visible when the
 *       checkpoint that covers it completed.
 *   <li>{@code --trace DIR}: at least once and at once, {@code number,submission,millis} a line (see {@link Trace}).
 *   <li>{@code --rate N}: records/s, default 1000. {@code --count N}: ends after N records; without it never.
 *   <li>{@code --keys N}: default 100. Another value is another job: old state doesn't fit it.
 *   <li>{@code --max-parallelism N}: default 128. Can't be changed without losing state.
 *   <li>{@code --state-bytes N}: padding in keyed state, in all (see {@link Count}); default 0.
 *   <li>{@code --fail-in-main}, {@code --fail-after-seconds N} (an operator throws N s after this attempt started).
 *   <li>{@code --incompatible-state}: the counting operator gets another uid, so that Flink refuses an older savepoint
 *       unless allowNonRestoredState is set; then the counts are wrong, as they should be.
 *   <li>{@code --poison N}: the counting operator throws at each number from N on, in every attempt.
 *   <li>{@code --fail-in-close}: it throws when it is closed, which a stop-with-savepoint does behind the savepoint.
 *   <li>{@code --checkpoints DIR}: main() overrides the checkpoint directory, which the platform owns.
 *   <li>{@code --extra-state}: one more operator with state, so that a job without it can't restore what this one leaves.
 *   <li>{@code --reads-file FILE --reads-variable NAME --reads-sha256 HEX}: main and an operator fail unless the file
 *       and the environment variable have that content (see {@link Handed}).
 * </ul>
 *
 * The version column is the jar's {@code Implementation-Version}: counter-v1.jar and counter-v2.jar hold the same classes.
 */
public final class Counter {
    private Counter() {}

    public static void main(String[] args) throws Exception {
        String version = Counter.class.getPackage().getImplementationVersion();
        if (version == null) {
            throw new IllegalStateException("no Implementation-Version: run from counter-v1.jar or counter-v2.jar");
        }
        run(args, version, () -> version);
    }

    /** What the version column says; asked where the line is written. */
    interface Version extends Supplier<String>, Serializable {}

    static void run(String[] args, String name, Version version) throws Exception {
        Arguments a = new Arguments(
                args,
                Set.of("output", "trace", "rate", "count", "keys", "max-parallelism", "state-bytes", "fail-after-seconds", "poison", "checkpoints",
                        "reads-file", "reads-variable", "reads-sha256"),
                Set.of("fail-in-main", "incompatible-state", "fail-in-close", "extra-state"));
        if (a.flag("fail-in-main")) {
            throw new IllegalStateException("this job fails in main, as asked by --fail-in-main");
        }
        Handed handed = new Handed(a);
        handed.check();
        long keys = a.number("keys", 100, 1);

        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.setMaxParallelism((int) a.number("max-parallelism", 128, 1));
        // The trace measures pauses: with the default of 100 ms records cross the network in bursts, 100 ms apart.
        env.setBufferTimeout(5);
        if (a.flag("checkpoints")) {
            env.configure(
                    Configuration.fromMap(Map.of("execution.checkpointing.dir", a.text("checkpoints"))),
                    Counter.class.getClassLoader());
        }
        SingleOutputStreamOperator<Long> numbers = numbers(env, a, handed);
        if (a.flag("extra-state")) {
            numbers = tallied(numbers, true, "extra", handed);
        }
        SingleOutputStreamOperator<Tuple3<Long, Long, Long>> counted = numbers
                .keyBy(number -> number % keys, Types.LONG)
                .process(new Count(keys, a.number("state-bytes", 0, 0), a))
                .returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG))
                .uid(a.flag("incompatible-state") ? "count-incompatible" : "count")
                .name("count");
        counted.sinkTo(output(new Path(a.text("output")), version)).uid("output").name("output");
        counted.process(new Trace(a.text("trace"))).returns(Types.VOID).uid("trace").name("trace");
        env.execute("counter " + name);
    }

    /**
     * 0, 1, 2, … in order. One subtask for good: several would each have a range of their own, and what they had reached
     * at a stop would leave gaps that prove nothing.
     */
    private static SingleOutputStreamOperator<Long> numbers(
            StreamExecutionEnvironment env, Arguments a, Handed handed) {
        DataGeneratorSource<Long> source = new DataGeneratorSource<>(
                index -> index,
                a.number("count", Long.MAX_VALUE, 1),
                RateLimiterStrategy.perSecond(a.number("rate", 1000, 1)),
                Types.LONG);
        SingleOutputStreamOperator<Long> numbers = env.fromSource(source, WatermarkStrategy.noWatermarks(), "numbers", Types.LONG)
                .setParallelism(1)
                .setMaxParallelism(1)
                .uid("numbers");
        return tallied(numbers, false, "tally", handed);
    }

    private static SingleOutputStreamOperator<Long> tallied(
            SingleOutputStreamOperator<Long> numbers, boolean late, String uid, Handed handed) {
        return numbers.map(new Tally(late, handed))
                .returns(Types.LONG)
                .setParallelism(1)
                .setMaxParallelism(1)
                .uid(uid)
                .name(uid);
    }

    private static FileSink<Tuple3<Long, Long, Long>> output(Path directory, Version version) {
        Encoder<Tuple3<Long, Long, Long>> line = (counted, stream) ->
                stream.write((counted.f0 + "," + counted.f1 + "," + counted.f2 + "," + version.get() + "\n")
                        .getBytes(StandardCharsets.US_ASCII));
        return FileSink.forRowFormat(directory, line)
                .withBucketAssigner(new BasePathBucketAssigner<>())
                .withRollingPolicy(OnCheckpointRollingPolicy.build())
                .withOutputFileConfig(OutputFileConfig.builder().withPartSuffix(".csv").build())
                .build();
    }
}
