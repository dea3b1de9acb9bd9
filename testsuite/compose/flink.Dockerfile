# Flink and its HDFS client: the same content as testsuite/stack's image, on the upstream image.
ARG FLINK_VERSION

FROM maven:3.9.9-eclipse-temurin-17 AS client
RUN for part in api runtime; do mvn -q -B dependency:copy -Dartifact="org.apache.hadoop:hadoop-client-$part:3.4.1" -DoutputDirectory=/jars; done

FROM flink:${FLINK_VERSION}-scala_2.12-java17
COPY --from=client --chown=flink:flink /jars/ /opt/flink/lib/
USER 9999:9999
# Plain java is started by the pod; the upstream entry point would run Flink's scripts.
ENTRYPOINT []
