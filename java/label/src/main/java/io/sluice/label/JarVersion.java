package io.sluice.label;

import io.sluice.jobs.Label;

/** Says from which of label-v1.jar and label-v2.jar it came. */
public final class JarVersion implements Label {
    @Override
    public String text() {
        return JarVersion.class.getPackage().getImplementationVersion();
    }
}
