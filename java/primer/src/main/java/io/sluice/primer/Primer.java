package io.sluice.primer;

import java.io.DataInputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.List;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.streaming.api.datastream.DataStreamUtils;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;

/**
 * A tiny job that ends by itself. It runs on a fresh cluster before the old job is stopped, so that the classes which a
 * submission from a savepoint needs are loaded in JobManager and TaskManagers by then: the real job's first start on
 * them takes 0.5 s instead of 3 s.
 *
 * <p>{@code --directory DIR}: where it writes; nobody needs any of it once the job ended. {@code --name NAME}: of the
 * job, default sluice-primer. {@code --records N}: per subtask and checkpoint, default 20. Parallelism must be all slots
 * of the cluster, or some TaskManager stays cold. State backend and everything else that isn't set here come from the
 * cluster: they must be those of the real job.
 *
 * <p>What it walks through, in this order: a savepoint is read and restored from (it is empty, {@link #emptySavepoint});
 * source, exchange, operator state, keyed state of all kinds, timers, windows, exactly-once files; a checkpoint; a restart
 * from it, provoked ({@link Restart}), which restores state on the TaskManagers; the checkpoint at the end. It can't end
 * without a completed checkpoint, however slow the cluster is, and needs no wall clock.
 *
 * <p>It must not need more than any real job has: one exchange (network buffers), no managed memory.
 */
public final class Primer {
    /**
     * State above this goes to files, so that TaskManagers read one each to restore; below, into the metadata. With 0 a
     * checkpoint was two dozen small files, and took 1.5 s on a busy machine.
     */
    static final String INLINE = "4 kb";

    private Primer() {}

    public static void main(String[] args) throws Exception {
        String directory = null;
        String name = "sluice-primer";
        int records = 20;
        for (int i = 0; i < args.length; i += 2) {
            if (args[i].equals("--directory") && i + 1 < args.length) {
                directory = args[i + 1];
            } else if (args[i].equals("--name") && i + 1 < args.length) {
                name = args[i + 1];
            } else if (args[i].equals("--records") && i + 1 < args.length) {
                records = Integer.parseInt(args[i + 1]);
            } else {
                throw new IllegalArgumentException("usage: --directory DIR [--name NAME] [--records N], not " + String.join(" ", args));
            }
        }
        if (directory == null || records < 1) {
            throw new IllegalArgumentException("--directory is required, --records must be at least 1");
        }
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings(directory));
        build(env, directory, records);
        env.execute(name);
    }

    private static Configuration settings(String directory) throws IOException {
        Configuration c = new Configuration();
        c.setString("execution.checkpointing.interval", "200 ms");
        c.setString("execution.checkpointing.min-pause", "0 ms");
        c.setString("execution.checkpointing.timeout", "1 min");
        c.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        c.setString("execution.checkpointing.storage", "filesystem");
        c.setString("execution.checkpointing.dir", directory + "/checkpoints");
        c.setString("execution.checkpointing.data-inline-threshold", INLINE);
        // One for Restart. Any other failure ends the job, and is seen.
        c.setString("restart-strategy.type", "fixed-delay");
        c.setString("restart-strategy.fixed-delay.attempts", "1");
        c.setString("restart-strategy.fixed-delay.delay", "0 ms");
        c.setString("execution.state-recovery.path", emptySavepoint(directory));
        return c;
    }

    private static void build(StreamExecutionEnvironment env, String directory, int records) {
        int each = Math.multiplyExact(records, env.getParallelism());
        // Half of the numbers before the first checkpoint, the rest after it (per subtask).
        DataGeneratorSource<Long> source = new DataGeneratorSource<>(
                index -> index, 2L * each, RateLimiterStrategy.perCheckpoint(each), Types.LONG);
        SingleOutputStreamOperator<Tuple2<Long, Long>> counted = env.fromSource(
                        source,
                        WatermarkStrategy.<Long>forMonotonousTimestamps().withTimestampAssigner((number, before) -> number),
                        "numbers",
                        Types.LONG)
                .uid("numbers")
                .process(new Restart())
                .returns(Types.LONG)
                .uid("restart")
                .keyBy(number -> number % 97, Types.LONG)
                .process(new Touch())
                .returns(Types.TUPLE(Types.LONG, Types.LONG))
                .uid("touch");
        counted.map(Tuple2::toString)
                .returns(Types.STRING)
                .sinkTo(FileSink.<String>forRowFormat(new Path(directory, "output"), new SimpleStringEncoder<>())
                        .withBucketAssigner(new BasePathBucketAssigner<>())
                        .withRollingPolicy(OnCheckpointRollingPolicy.build())
                        .build())
                .uid("output");
        DataStreamUtils.reinterpretAsKeyedStream(counted, tuple -> tuple.f0 % 97, Types.LONG)
                .window(TumblingEventTimeWindows.of(Duration.ofMillis(10)))
                .reduce((a, b) -> Tuple2.of(a.f0, a.f1 + b.f1))
                .uid("window")
                .sinkTo(new DiscardingSink<>())
                .uid("nowhere");
    }

    /**
     * Writes a savepoint of no operators, and reads it: to restore from it takes the JobManager through all that a real
     * one does. Written by the engine's own code, so that it is of its version.
     */
    private static String emptySavepoint(String directory) throws IOException {
        Path savepoint = new Path(directory, "savepoint");
        Path metadata = new Path(savepoint, "_metadata");
        FileSystem files = metadata.getFileSystem();
        try (FSDataOutputStream out = files.create(metadata, FileSystem.WriteMode.OVERWRITE)) {
            Checkpoints.storeCheckpointMetadata(new CheckpointMetadata(1, List.of(), List.of()), out);
        }
        try (DataInputStream in = new DataInputStream(files.open(metadata))) {
            Checkpoints.loadCheckpointMetadata(in, Primer.class.getClassLoader(), metadata.toString());
        }
        return savepoint.toString();
    }
}
