/**
 * Real jobs for tests. What a job here writes must be enough to prove, without asking Flink or Sluice, what happened to
 * it: each record exactly once, no state lost, and how long nothing ran. {@code testsuite/checker} reads it.
 *
 * <p>The jobs set neither checkpoint interval, storage, retention nor a restart strategy: the platform owns them.
 * Nothing here may need a class that is not in the engine's own {@code lib/}, or that only one of Flink 1.20 and 2.x has;
 * but {@link io.sluice.jobs.Relay}, whose connector is a dependency of its revision.
 */
package io.sluice.jobs;
