package io.sluice.jobs;

import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/**
 * The counter, with a version column that a dependency decides: label-v1.jar or label-v2.jar. The label is looked up in
 * main and again where lines are written, each time from the class loader of this jar: a dependency that isn't in the very
 * same loader doesn't find {@link Label} or isn't found.
 */
public final class Labelled {
    private Labelled() {}

    public static void main(String[] args) throws Exception {
        Counter.run(args, label(), new FromDependency());
    }

    private static String label() {
        List<String> found = ServiceLoader.load(Label.class, Label.class.getClassLoader()).stream()
                .map(provider -> provider.get().text())
                .collect(Collectors.toList());
        if (found.size() != 1) {
            throw new IllegalStateException("one Label is needed among the dependencies, found " + found);
        }
        return found.get(0);
    }

    private static final class FromDependency implements Counter.Version {
        private static final long serialVersionUID = 1;

        private transient String text;

        @Override
        public String get() {
            if (text == null) {
                text = label();
            }
            return text;
        }
    }
}
