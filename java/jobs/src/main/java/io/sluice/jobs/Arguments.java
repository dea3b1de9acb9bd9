package io.sluice.jobs;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * {@code --name value} and {@code --name} (a flag). Unknown names are refused: a misspelt option that is silently
 * ignored would make a test prove something else. Flink's own ParameterTool moved between 1.20 and 2.x.
 */
final class Arguments {
    private final Map<String, String> values = new HashMap<>();

    Arguments(String[] args, Set<String> options, Set<String> flags) {
        for (int i = 0; i < args.length; i++) {
            String name = args[i].startsWith("--") ? args[i].substring(2) : "";
            if (flags.contains(name)) {
                values.put(name, "true");
            } else if (!options.contains(name)) {
                throw new IllegalArgumentException("unknown argument: " + args[i]);
            } else if (++i == args.length) {
                throw new IllegalArgumentException("--" + name + " needs a value");
            } else {
                values.put(name, args[i]);
            }
        }
    }

    boolean flag(String name) {
        return values.containsKey(name);
    }

    String text(String name) {
        String value = values.get(name);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is required");
        }
        return value;
    }

    String text(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    /** A whole number within [least, Long.MAX_VALUE]. */
    long number(String name, long otherwise, long least) {
        String value = values.get(name);
        long number = value == null ? otherwise : Long.parseLong(value);
        if (number < least) {
            throw new IllegalArgumentException("--" + name + " must be at least " + least + ", is " + number);
        }
        return number;
    }
}
