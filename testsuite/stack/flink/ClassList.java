import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarFile;

/**
 * Adds to a list of classes for -Xshare:dump those that Flink's RPC system loads by a loader of its own, from a jar that
 * it unpacks at each start: the JVM's -XX:DumpLoadedClassList leaves them out.
 *
 * <p>{@code java ClassList.java LIST RPC.jar LOG...}: LIST is what the JVM made, LOG are its -Xlog:class+load; the whole
 * list goes to stdout. Such a class stands behind its superclass and interfaces, which it names by number; at run time the
 * JVM takes it where size and checksum of the class file are those of the dump.
 */
final class ClassList {
    private final Map<String, Integer> numbers = new LinkedHashMap<>();
    private final Map<String, Shape> shapes = new HashMap<>();
    private final StringBuilder added = new StringBuilder();
    private final String jar;

    /** What a class names as its own. */
    private record Shape(String parent, List<String> interfaces) {}

    private ClassList(String jar) {
        this.jar = jar;
    }

    public static void main(String[] args) throws IOException {
        ClassList list = new ClassList(args[1]);
        StringBuilder head = new StringBuilder();
        StringBuilder proxies = new StringBuilder();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            if (line.startsWith("@")) {
                proxies.append(line).append('\n');
            } else if (!line.startsWith("#")) {
                head.append(line).append(" id: ").append(list.number(line)).append('\n');
            }
        }
        Set<String> own = new TreeSet<>();
        for (int i = 2; i < args.length; i++) {
            own.addAll(ofRpc(Files.readAllLines(Path.of(args[i]))));
        }
        own.removeAll(list.numbers.keySet());
        list.read(own);
        for (String name : own) {
            list.add(name);
        }
        System.out.print(head);
        System.out.print(list.added);
        System.out.print(proxies);
    }

    /** [0.5s][info][class,load] scala.Function1 source: file:/tmp/flink-rpc-akka....jar */
    private static Set<String> ofRpc(List<String> log) {
        Set<String> names = new TreeSet<>();
        for (String line : log) {
            int source = line.indexOf(" source: file:");
            if (source > 0 && line.indexOf("/flink-rpc-akka", source) > 0) {
                names.add(line.substring(line.indexOf("] ", line.indexOf("class,load")) + 2, source).trim().replace('.', '/'));
            }
        }
        return names;
    }

    private int number(String name) {
        return numbers.computeIfAbsent(name, n -> numbers.size() + 1);
    }

    private void read(Set<String> names) throws IOException {
        try (JarFile file = new JarFile(jar)) {
            for (String name : names) {
                var entry = file.getEntry(name + ".class");
                if (entry != null) {
                    try (InputStream in = file.getInputStream(entry)) {
                        shapes.put(name, shape(new DataInputStream(in)));
                    }
                }
            }
        }
    }

    /** Adds a class behind what it extends; false where that isn't in the list. */
    private boolean add(String name) {
        Shape shape = shapes.get(name);
        if (numbers.containsKey(name) || shape == null) {
            return numbers.containsKey(name);
        }
        if (!add(shape.parent) || !shape.interfaces.stream().allMatch(this::add)) {
            return false;
        }
        added.append(name).append(" id: ").append(number(name)).append(" super: ").append(number(shape.parent));
        if (!shape.interfaces.isEmpty()) {
            added.append(" interfaces:");
            shape.interfaces.forEach(i -> added.append(' ').append(number(i)));
        }
        added.append(" source: ").append(jar).append('\n');
        return true;
    }

    /** Reads a class file (JVMS 4.1) as far as its interfaces. */
    private static Shape shape(DataInputStream in) throws IOException {
        in.skipNBytes(8);
        int constants = in.readUnsignedShort();
        int[] classes = new int[constants];
        String[] texts = new String[constants];
        for (int i = 1; i < constants; i++) {
            int tag = in.readUnsignedByte();
            switch (tag) {
                case 1 -> texts[i] = in.readUTF();
                case 7 -> classes[i] = in.readUnsignedShort();
                case 8, 16, 19, 20 -> in.skipNBytes(2);
                case 15 -> in.skipNBytes(3);
                case 5, 6 -> {
                    in.skipNBytes(8);
                    i++; // it takes two places
                }
                default -> in.skipNBytes(4);
            }
        }
        in.skipNBytes(4); // access, this class
        String parent = texts[classes[in.readUnsignedShort()]];
        List<String> interfaces = new ArrayList<>();
        for (int left = in.readUnsignedShort(); left > 0; left--) {
            interfaces.add(texts[classes[in.readUnsignedShort()]]);
        }
        return new Shape(parent, interfaces);
    }
}
