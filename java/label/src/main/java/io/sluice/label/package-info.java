/** A dependency of a job, in two versions: see {@link io.sluice.jobs.Labelled}. */
package io.sluice.label;
