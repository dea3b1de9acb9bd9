import java.io.*;
import java.nio.file.*;
import java.util.*;
import org.apache.flink.runtime.checkpoint.*;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;

// Writes what Flink itself reads in each _metadata given: an operator a line. Checkpoints.loadCheckpointMetadata,
// nothing else.
//
//   javac --release 11 -cp flink-dist-1.20.5.jar Dump.java
//   java -cp .:flink-dist-<version>.jar:log4j… Dump flink-*/_metadata
public class Dump {
    static String optional(OperatorState o, String getter) throws Exception {
        try {
            return ((Optional<?>) OperatorState.class.getMethod(getter).invoke(o)).map(Object::toString).orElse("");
        } catch (NoSuchMethodException before2) {
            return "";
        }
    }
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            CheckpointMetadata m;
            try (DataInputStream in = new DataInputStream(Files.newInputStream(Paths.get(file)))) {
                m = Checkpoints.loadCheckpointMetadata(in, Dump.class.getClassLoader(), new File(file).getAbsoluteFile().getParentFile().toURI().toString());
            }
            try (PrintWriter w = new PrintWriter(new File(new File(file).getParentFile(), "flink-reads.txt"))) {
                w.printf("checkpoint %d%n", m.getCheckpointId());
                for (OperatorState o : m.getOperatorStates()) {
                    int with = 0;
                    for (OperatorSubtaskState s : o.getStates()) if (s.hasState()) with++;
                    w.printf("%s name=%s uid=%s parallelism=%d max=%d collected=%d state=%d coordinator=%b bytes=%d%n", o.getOperatorID(),
                            optional(o, "getOperatorName"), optional(o, "getOperatorUid"), o.getParallelism(), o.getMaxParallelism(),
                            o.getNumberCollectedStates(), with, o.getCoordinatorState() != null, o.getStateSize());
                }
            }
        }
    }
}
