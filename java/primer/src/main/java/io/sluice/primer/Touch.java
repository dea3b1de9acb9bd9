package io.sluice.primer;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Touches each kind of keyed state, and timers. */
final class Touch extends KeyedProcessFunction<Long, Long, Tuple2<Long, Long>> {
    private static final long serialVersionUID = 1;

    /** 20 of them are more than {@link Primer#INLINE}: this state goes to files, that of the other operators doesn't. */
    private static final int VALUE_BYTES = 512;

    private transient ValueState<Long> count;
    private transient ListState<Long> list;
    private transient MapState<Integer, byte[]> map;

    @Override
    public void open(OpenContext context) {
        count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
        list = getRuntimeContext().getListState(new ListStateDescriptor<>("list", Types.LONG));
        map = getRuntimeContext().getMapState(
                new MapStateDescriptor<>("map", Types.INT, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
    }

    @Override
    public void processElement(Long number, Context context, Collector<Tuple2<Long, Long>> out) throws Exception {
        Long before = count.value();
        long now = before == null ? 1 : before + 1;
        count.update(now);
        list.add(number);
        map.put((int) now, new byte[VALUE_BYTES]);
        long millis = context.timerService().currentProcessingTime();
        context.timerService().registerProcessingTimeTimer(millis + 1);
        context.timerService().registerEventTimeTimer(number + 1);
        out.collect(Tuple2.of(number, now));
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<Tuple2<Long, Long>> out) throws Exception {
        map.contains((int) time);
    }
}
