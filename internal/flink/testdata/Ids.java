// Makes ids-flink-<version>-<program>.json: what /plan answers with and without chains, and the ids of all operators as
// Flink's job graph has them. (The files keep id, description, parallelism and inputs of each node.)
//
//   javac --release 11 -cp flink-dist-1.20.5.jar Ids.java
//   java --add-opens=java.base/java.util=ALL-UNNAMED … -cp .:flink-dist-<version>.jar:log4j… Ids flink-<version>
import java.util.*;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.OperatorIDPair;
import org.apache.flink.runtime.jobgraph.*;
import org.apache.flink.runtime.jobgraph.jsonplan.JsonPlanGenerator;
import org.apache.flink.streaming.api.datastream.*;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.runtime.rest.util.RestMapperUtils;

public class Ids {
    static SingleOutputStreamOperator<Long> uid(SingleOutputStreamOperator<Long> s, String uid, boolean set) { return set ? s.uid(uid) : s; }
    static void build(StreamExecutionEnvironment env, String kind) {
        boolean some = kind.equals("some-uids");
        SingleOutputStreamOperator<Long> source = uid(env.fromSequence(0, 10), "numbers", some);
        SingleOutputStreamOperator<Long> map = source.map(x -> x + 1).returns(Types.LONG);
        SingleOutputStreamOperator<Long> kept = map.filter(x -> x > 2);
        SingleOutputStreamOperator<Long> counted = uid(kept.keyBy(x -> x % 3, Types.LONG).reduce((a, b) -> a + b), "counted", some);
        counted.map(x -> x * 2).returns(Types.LONG).sinkTo(new DiscardingSink<>());
        SingleOutputStreamOperator<Long> other = env.fromSequence(5, 7).map(x -> x).returns(Types.LONG);
        DataStream<Long> both = counted.union(other);
        SingleOutputStreamOperator<Long> merged = both.map(x -> x).returns(Types.LONG);
        merged.rebalance().map(x -> x).returns(Types.LONG).setParallelism(3).filter(x -> true).setParallelism(3).sinkTo(new DiscardingSink<>()).setParallelism(3);
        merged.connect(other).map(new Co()).returns(Types.LONG).filter(x -> true).sinkTo(new DiscardingSink<>());
        map.filter(x -> x % 2 == 0).sinkTo(new DiscardingSink<>()).name("branch");
    }
    public static class Co implements org.apache.flink.streaming.api.functions.co.CoMapFunction<Long, Long, Long> {
        public Long map1(Long x) { return x; }
        public Long map2(Long x) { return x; }
    }
    static JobGraph graph(String kind, boolean chaining) {
        Configuration c = new Configuration();
        c.setString("pipeline.operator-chaining.enabled", String.valueOf(chaining));
        c.setString("pipeline.operator-chaining", String.valueOf(chaining));
        c.setString("parallelism.default", "2");
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(c);
        build(env, kind);
        return env.getStreamGraph().getJobGraph();
    }
    static String plan(JobGraph g) throws Exception {
        Object p = JsonPlanGenerator.class.getMethod("generatePlan", JobGraph.class).invoke(null, g);
        return p instanceof String ? (String) p : RestMapperUtils.getStrictObjectMapper().writeValueAsString(p);
    }
    public static void main(String[] a) throws Exception {
        for (String kind : new String[] {"no-uids", "some-uids"}) {
            JobGraph chained = graph(kind, true);
            Set<String> ids = new TreeSet<>();
            for (JobVertex v : chained.getVertices()) for (OperatorIDPair p : v.getOperatorIDs()) ids.add("\"" + p.getGeneratedOperatorID() + "\"");
            try (java.io.PrintWriter w = new java.io.PrintWriter(a[0] + "-" + kind + ".json")) {
                w.println("{\"chained\": " + plan(chained) + ",\n \"single\": " + plan(graph(kind, false)) + ",\n \"ids\": " + ids + "}");
            }
        }
    }
}
