package io.sluice.primer;

import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Holds operator state, and fails once, after the first checkpoint: the restart restores every operator from it, which
 * the savepoint of no operators can't do.
 */
final class Restart extends ProcessFunction<Long, Long> implements CheckpointedFunction, CheckpointListener {
    private static final long serialVersionUID = 1;

    private transient ListState<Long> state;
    private transient long passed;
    private transient boolean restored;

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        state = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("passed", Types.LONG));
        for (long before : state.get()) {
            passed += before;
            restored = true;
        }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        state.clear();
        state.add(passed);
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {
        // The graph is one region: the first subtask to hear of it restarts all of them, once.
        if (!restored) {
            throw new PrimerRestart();
        }
    }

    @Override
    public void processElement(Long number, Context context, Collector<Long> out) {
        passed++;
        out.collect(number);
    }

    /** Named so that a person who finds it in a log knows that nothing is wrong. */
    static final class PrimerRestart extends RuntimeException {
        private static final long serialVersionUID = 1;

        PrimerRestart() {
            super("the primer restarts itself once, to load what a restore needs", null, false, false);
        }
    }
}
