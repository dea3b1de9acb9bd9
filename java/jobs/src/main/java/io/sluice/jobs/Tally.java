package io.sluice.jobs;

import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;

/**
 * Counts in operator state how many numbers passed, and fails when that is not the number at hand: source state and
 * operator state then come from different snapshots, or one of them was lost.
 */
final class Tally implements MapFunction<Long, Long>, CheckpointedFunction {
    private static final long serialVersionUID = 1;

    private final boolean late;
    private final Handed handed;

    private transient ListState<Long> state;
    private transient long passed;

    /** late: added to a job that has counted for long; it begins with the first number that it sees. */
    Tally(boolean late, Handed handed) {
        this.late = late;
        this.handed = handed;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        handed.check();
        state = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("passed", Types.LONG));
        for (long restored : state.get()) {
            passed = restored;
        }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        state.clear();
        state.add(passed);
    }

    @Override
    public Long map(Long number) {
        if (late && passed == 0) {
            passed = number;
        }
        if (number != passed) {
            throw new IllegalStateException("the source is at " + number + ", operator state counted " + passed);
        }
        passed++;
        return number;
    }
}
