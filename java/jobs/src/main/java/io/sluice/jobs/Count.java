package io.sluice.jobs;

import java.util.SplittableRandom;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Number → (number, key, how many of this key so far, this one included).
 *
 * <p>Besides the count each key holds its share of the padding, in entries of {@value #ENTRY} bytes that can't be
 * compressed; each record adds up to {@value #ENTRIES_A_RECORD} of them until the share is full (1 GiB takes 4,096
 * records) and then reads one back, so that padding lost in a restore fails the job.
 */
final class Count extends KeyedProcessFunction<Long, Long, Tuple3<Long, Long, Long>> {
    private static final long serialVersionUID = 1;
    private static final int ENTRY = 8192;
    private static final int ENTRIES_A_RECORD = 32;

    private final long keys;
    private final long stateBytes;
    private final long failAfterSeconds;
    private final long poison;
    private final boolean failInClose;

    private transient ValueState<Long> count;
    private transient ValueState<Integer> entries;
    private transient MapState<Integer, byte[]> padding;
    private transient long started;

    Count(long keys, long stateBytes, Arguments a) {
        this.keys = keys;
        this.stateBytes = stateBytes;
        this.failAfterSeconds = a.number("fail-after-seconds", 0, 0);
        this.poison = a.number("poison", Long.MAX_VALUE, 0);
        this.failInClose = a.flag("fail-in-close");
    }

    @Override
    public void open(OpenContext context) {
        count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
        entries = getRuntimeContext().getState(new ValueStateDescriptor<>("entries", Types.INT));
        padding = getRuntimeContext().getMapState(
                new MapStateDescriptor<>("padding", Types.INT, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
        started = System.nanoTime();
    }

    @Override
    public void processElement(Long number, Context context, Collector<Tuple3<Long, Long, Long>> out) throws Exception {
        if (failAfterSeconds > 0 && System.nanoTime() - started > failAfterSeconds * 1_000_000_000L) {
            throw new IllegalStateException("this operator fails, as asked by --fail-after-seconds " + failAfterSeconds);
        }
        if (number >= poison) {
            throw new IllegalStateException("this operator can't take " + number + ", as asked by --poison " + poison);
        }
        Long before = count.value();
        long now = before == null ? 1 : before + 1;
        count.update(now);
        if (stateBytes > 0) {
            pad(context.getCurrentKey(), now);
        }
        out.collect(Tuple3.of(number, context.getCurrentKey(), now));
    }

    /** Also the end of a stop-with-savepoint, behind the savepoint: a failure that Flink must not answer with a restart. */
    @Override
    public void close() {
        if (failInClose) {
            throw new SuppressRestartsException(new IllegalStateException("this operator fails, as asked by --fail-in-close"));
        }
    }

    private void pad(long key, long now) throws Exception {
        long share = stateBytes / keys + (key < stateBytes % keys ? 1 : 0);
        int full = (int) ((share + ENTRY - 1) / ENTRY);
        Integer value = entries.value();
        int have = value == null ? 0 : value;
        if (have < full) {
            int until = Math.min(full, have + ENTRIES_A_RECORD);
            for (int i = have; i < until; i++) {
                byte[] bytes = new byte[(int) Math.min(ENTRY, share - (long) i * ENTRY)];
                new SplittableRandom(key << 32 | i).nextBytes(bytes);
                padding.put(i, bytes);
            }
            entries.update(until);
        } else if (have > 0 && padding.get((int) (now % have)) == null) {
            throw new IllegalStateException("key " + key + " lost entry " + now % have + " of " + have);
        }
    }
}
