# One of the platform's programs (build argument COMMAND); target agent adds the primer.
FROM golang:1.26.8-bookworm AS build
ARG COMMAND
ARG VERSION=compose
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -X sluice/internal/version.Version=$VERSION" -o "/out/$COMMAND" "./cmd/$COMMAND" \
 && ln -s "/usr/bin/$COMMAND" /out/sluice-command

FROM maven:3.9.9-eclipse-temurin-17 AS primer
WORKDIR /src
COPY java/ .
RUN mvn -q -B -pl primer -am -DskipTests package

# busybox instead of nothing: compose's health checks need a wget.
FROM busybox:1.37.0-musl AS platform
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /usr/bin/
USER 65532:65532
ENTRYPOINT ["/usr/bin/sluice-command"]

FROM platform AS agent
COPY --from=primer /src/primer/target/primer.jar /opt/sluice/primer.jar

FROM platform
