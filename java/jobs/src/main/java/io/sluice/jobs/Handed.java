package io.sluice.jobs;

import java.io.IOException;
import java.io.Serializable;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * What a process of the job must have been handed: a file and an environment variable whose contents have a digest. It
 * never prints them.
 */
final class Handed implements Serializable {
    private static final long serialVersionUID = 1;

    private final String file;
    private final String variable;
    private final String digest;

    Handed(Arguments a) {
        file = a.text("reads-file", "");
        variable = a.text("reads-variable", "");
        digest = a.text("reads-sha256", "");
    }

    /** Fails where this process can't see it. */
    void check() {
        if (digest.isEmpty()) {
            return;
        }
        try {
            check("the file " + file, Files.readAllBytes(Path.of(file)));
        } catch (IOException e) {
            throw new IllegalStateException("the file " + file + " can't be read", e);
        }
        String value = System.getenv(variable);
        check("the variable " + variable, (value == null ? "" : value).getBytes(StandardCharsets.UTF_8));
    }

    private void check(String what, byte[] content) {
        try {
            String found = String.format("%064x", new BigInteger(1, MessageDigest.getInstance("SHA-256").digest(content)));
            if (!found.equals(digest)) {
                throw new IllegalStateException(what + " has the digest " + found + ", not " + digest);
            }
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
