package io.sluice.jobs;

import java.nio.charset.StandardCharsets;
import java.util.Set;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Kafka to Kafka, exactly once. Each partition of the input holds 0, 1, 2, … in order, decimal; keyed state counts those of
 * a partition, and a number that isn't the count fails the job: source and state then come from different snapshots. The
 * output has {@code partition,number,count,version} in the partition of the same number, in order.
 *
 * <ul>
 *   <li>{@code --brokers HOST:PORT,…}, {@code --input TOPIC}, {@code --output TOPIC}: with as many partitions as the input.
 *   <li>{@code --transactions PREFIX}: of the sink's transactional ids. It must stay the same for the job's whole life and
 *       be no other job's: {@code ${job.uid}} in the revision's arguments.
 *   <li>{@code --transaction-timeout-ms N}: how long the broker keeps a transaction that the job, stopped, can't commit.
 *   <li>{@code --fail-after-seconds N}: as the counter's.
 * </ul>
 */
public final class Relay {
    private Relay() {}

    public static void main(String[] args) throws Exception {
        Arguments a = new Arguments(
                args, Set.of("brokers", "input", "output", "transactions", "transaction-timeout-ms", "fail-after-seconds"), Set.of());
        String version = Relay.class.getPackage().getImplementationVersion();
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.setMaxParallelism(128);
        env.fromSource(source(a), WatermarkStrategy.noWatermarks(), "numbers")
                .uid("numbers")
                .keyBy(numbered -> numbered.f0, Types.INT)
                .process(new CountNumbers(a.number("fail-after-seconds", 0, 0)))
                .returns(Types.TUPLE(Types.INT, Types.LONG, Types.LONG))
                .uid("count")
                .name("count")
                .sinkTo(sink(a, version))
                .uid("output")
                .name("output");
        env.execute("relay " + version);
    }

    private static KafkaSource<Tuple2<Integer, Long>> source(Arguments a) {
        return KafkaSource.<Tuple2<Integer, Long>>builder()
                .setBootstrapServers(a.text("brokers"))
                .setTopics(a.text("input"))
                .setGroupId(a.text("transactions"))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(new Numbers())
                .build();
    }

    private static KafkaSink<Tuple3<Integer, Long, Long>> sink(Arguments a, String version) {
        String topic = a.text("output");
        KafkaRecordSerializationSchema<Tuple3<Integer, Long, Long>> line = (counted, context, timestamp) -> new ProducerRecord<>(
                topic,
                counted.f0,
                null,
                (counted.f0 + "," + counted.f1 + "," + counted.f2 + "," + version).getBytes(StandardCharsets.US_ASCII));
        return KafkaSink.<Tuple3<Integer, Long, Long>>builder()
                .setBootstrapServers(a.text("brokers"))
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(a.text("transactions"))
                .setProperty("transaction.timeout.ms", a.text("transaction-timeout-ms"))
                .setRecordSerializer(line)
                .build();
    }

    /** (partition, number). */
    private static final class Numbers implements KafkaRecordDeserializationSchema<Tuple2<Integer, Long>> {
        private static final long serialVersionUID = 1;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple2<Integer, Long>> out) {
            out.collect(Tuple2.of(record.partition(), Long.parseLong(new String(record.value(), StandardCharsets.US_ASCII))));
        }

        @Override
        public TypeInformation<Tuple2<Integer, Long>> getProducedType() {
            return Types.TUPLE(Types.INT, Types.LONG);
        }
    }

    /** (partition, number) → (partition, number, how many of this partition so far, this one included). */
    private static final class CountNumbers extends KeyedProcessFunction<Integer, Tuple2<Integer, Long>, Tuple3<Integer, Long, Long>> {
        private static final long serialVersionUID = 1;

        private final long failAfterSeconds;

        private transient ValueState<Long> count;
        private transient long started;

        CountNumbers(long failAfterSeconds) {
            this.failAfterSeconds = failAfterSeconds;
        }

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
            started = System.nanoTime();
        }

        @Override
        public void processElement(Tuple2<Integer, Long> numbered, Context context, Collector<Tuple3<Integer, Long, Long>> out)
                throws Exception {
            if (failAfterSeconds > 0 && System.nanoTime() - started > failAfterSeconds * 1_000_000_000L) {
                throw new IllegalStateException("this operator fails, as asked by --fail-after-seconds " + failAfterSeconds);
            }
            long before = count.value() == null ? 0 : count.value();
            if (numbered.f1 != before) {
                throw new IllegalStateException("partition " + numbered.f0 + " is at " + numbered.f1 + ", its state counted " + before);
            }
            count.update(before + 1);
            out.collect(Tuple3.of(numbered.f0, numbered.f1, before + 1));
        }
    }
}
