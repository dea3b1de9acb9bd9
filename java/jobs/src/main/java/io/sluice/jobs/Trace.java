package io.sluice.jobs;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.EnumSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;
import org.apache.flink.runtime.fs.hdfs.HadoopDataOutputStream;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.hadoop.hdfs.client.HdfsDataOutputStream;

/**
 * Writes {@code number,submission,millis} a line (submission: Flink job id; millis: wall clock when the record was here)
 * at least once and without waiting for a checkpoint. An exactly-once sink truncates on restore what it hadn't committed,
 * so that no pause can be read from it; this can be.
 *
 * <p>Each subtask and attempt writes files of its own, {@code submission-subtask-attempt-millis-n.trace}. Lines are
 * buffered; one thread a subtask writes them out every {@value #FLUSH_MILLIS} ms, so the stream waits for the file system
 * only at a checkpoint, when everything up to it must be readable.
 *
 * <p>Not a Sink: Sink V2's createWriter takes another class on 1.20 than on 2.x.
 */
final class Trace extends ProcessFunction<Tuple3<Long, Long, Long>, Void> implements CheckpointedFunction {
    private static final long serialVersionUID = 1;
    private static final long FLUSH_MILLIS = 200;
    private static final long CLOSE_MILLIS = 5000;
    /** Below one HDFS block: of an unfinished file only the first block can be read (see {@link #publish}). */
    private static final long FILE_BYTES = 64 << 20;

    private final String directory;

    private transient StringBuilder buffer;
    private transient String tail;
    private transient ScheduledExecutorService writer;

    private transient String prefix;

    // Only touched by the writer's thread.
    private transient int files;
    private transient FSDataOutputStream stream;
    private transient long written;
    private transient IOException failure;

    Trace(String directory) {
        this.directory = directory;
    }

    @Override
    public void open(OpenContext context) throws Exception {
        String submission = getRuntimeContext().getJobInfo().getJobId().toHexString();
        prefix = submission
                + "-" + getRuntimeContext().getTaskInfo().getIndexOfThisSubtask()
                + "-" + getRuntimeContext().getTaskInfo().getAttemptNumber()
                + "-" + System.currentTimeMillis();
        tail = "," + submission + ",";
        buffer = new StringBuilder();
        writer = Executors.newSingleThreadScheduledExecutor(task -> {
            Thread thread = new Thread(task, "trace " + prefix);
            thread.setDaemon(true);
            return thread;
        });
        writer.submit(this::next).get();
        writer.scheduleWithFixedDelay(this::writeQuietly, FLUSH_MILLIS, FLUSH_MILLIS, TimeUnit.MILLISECONDS);
    }

    @Override
    public void processElement(Tuple3<Long, Long, Long> counted, Context context, Collector<Void> out) {
        long millis = System.currentTimeMillis();
        synchronized (buffer) {
            buffer.append((long) counted.f0).append(tail).append(millis).append('\n');
        }
    }

    @Override
    public void initializeState(FunctionInitializationContext context) {}

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        writer.submit(this::write).get();
    }

    /** By the writer's thread: the task's own may be interrupted by a cancel, which would leave the file open. */
    @Override
    public void close() throws Exception {
        if (writer == null) {
            return;
        }
        Future<?> closed = writer.submit((Callable<Void>) this::finish);
        writer.shutdown();
        boolean interrupted = false;
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(CLOSE_MILLIS);
        while (true) {
            try {
                closed.get(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            } catch (ExecutionException | TimeoutException e) {
                writer.shutdownNow();
                throw e;
            } finally {
                if (interrupted) {
                    Thread.currentThread().interrupt();
                }
            }
        }
    }

    private Void next() throws IOException {
        Path file = new Path(directory, prefix + "-" + files++ + ".trace");
        stream = file.getFileSystem().create(file, FileSystem.WriteMode.NO_OVERWRITE);
        written = 0;
        return null;
    }

    /**
     * Makes what was written readable although the file is open: it stays open for an hour when a TaskManager is killed.
     * On HDFS a flush is not enough: without its recorded length a reader other than Hadoop's own sees an empty file.
     */
    private static void publish(FSDataOutputStream stream) throws IOException {
        if (stream instanceof HadoopDataOutputStream) {
            org.apache.hadoop.fs.FSDataOutputStream hadoop = ((HadoopDataOutputStream) stream).getHadoopOutputStream();
            if (hadoop instanceof HdfsDataOutputStream) {
                ((HdfsDataOutputStream) hadoop).hsync(EnumSet.of(HdfsDataOutputStream.SyncFlag.UPDATE_LENGTH));
                return;
            }
        }
        stream.flush();
    }

    /** Scheduled: an exception would silently end the schedule, so the next checkpoint tells. */
    private void writeQuietly() {
        try {
            write();
        } catch (IOException e) {
            failure = e;
        }
    }

    private Void write() throws IOException {
        if (failure != null) {
            throw failure;
        }
        byte[] lines;
        synchronized (buffer) {
            lines = buffer.toString().getBytes(StandardCharsets.US_ASCII);
            buffer.setLength(0);
        }
        if (lines.length == 0) {
            return null;
        }
        stream.write(lines);
        written += lines.length;
        if (written >= FILE_BYTES) {
            stream.close();
            next();
        } else {
            publish(stream);
        }
        return null;
    }

    private Void finish() throws IOException {
        try {
            write();
        } finally {
            stream.close();
        }
        return null;
    }
}
