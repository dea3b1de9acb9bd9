package io.sluice.jobs;

/** What a dependency of {@link Labelled} provides, found by {@link java.util.ServiceLoader}. */
public interface Label {
    /** No comma, no line break: it goes into the version column. */
    String text();
}
