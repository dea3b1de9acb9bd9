-- Expand before contract: a release only adds; what the previous release still
-- reads or writes is removed one release later.
--
-- Times are UTC with microseconds. Names and ids compare byte by byte.

-- +goose Up
CREATE TABLE jobs (
  uid        CHAR(26)     NOT NULL,
  tenant     VARCHAR(30)  NOT NULL,
  name       VARCHAR(30)  NOT NULL,
  site       VARCHAR(30)  NOT NULL,
  created_at DATETIME(6)  NOT NULL,
  created_by VARCHAR(200) NOT NULL,
  deleted_at DATETIME(6)  NULL,
  -- NULL for deleted jobs, so that the unique key holds only live names.
  live_name  VARCHAR(30) GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN name END) VIRTUAL,
  PRIMARY KEY (uid),
  UNIQUE KEY jobs_live (tenant, live_name)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE job_states (
  job_uid    CHAR(26)    NOT NULL,
  revision   INT         NOT NULL,
  digest     VARCHAR(80) NOT NULL,
  profile    VARCHAR(30) NOT NULL,
  state      VARCHAR(16) NOT NULL,
  epoch      BIGINT      NOT NULL,
  generation INT         NOT NULL,
  operation  CHAR(26)    NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (job_uid)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE revisions (
  job_uid    CHAR(26)     NOT NULL,
  number     INT          NOT NULL,
  digest     VARCHAR(80)  NOT NULL,
  body       JSON         NOT NULL,
  created_by VARCHAR(200) NOT NULL,
  created_at DATETIME(6)  NOT NULL,
  PRIMARY KEY (job_uid, number)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE profiles (
  tenant     VARCHAR(30)  NOT NULL,
  name       VARCHAR(30)  NOT NULL,
  body       JSON         NOT NULL,
  updated_by VARCHAR(200) NOT NULL,
  updated_at DATETIME(6)  NOT NULL,
  PRIMARY KEY (tenant, name)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE operations (
  id              CHAR(26)     NOT NULL,
  job_uid         CHAR(26)     NOT NULL,
  tenant          VARCHAR(30)  NOT NULL,
  job             VARCHAR(30)  NOT NULL,
  kind            VARCHAR(16)  NOT NULL,
  request         JSON         NOT NULL,
  idempotency_key VARCHAR(200) NULL,
  body_digest     VARCHAR(80)  NOT NULL,
  run_id          VARCHAR(64)  NULL,
  phase           VARCHAR(16)  NOT NULL,
  result          LONGBLOB     NULL,
  created_by      VARCHAR(200) NOT NULL,
  created_at      DATETIME(6)  NOT NULL,
  ended_at        DATETIME(6)  NULL,
  PRIMARY KEY (id),
  UNIQUE KEY operations_key (tenant, idempotency_key),
  KEY operations_job (job_uid, id),
  KEY operations_tenant (tenant, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE snapshots (
  job_uid       CHAR(26)     NOT NULL,
  path          VARCHAR(500) NOT NULL,
  epoch         BIGINT       NOT NULL,
  checkpoint_id BIGINT       NOT NULL,
  kind          VARCHAR(16)  NOT NULL,
  operation     VARCHAR(26)  NOT NULL,
  revision      INT          NOT NULL,
  engine        VARCHAR(64)  NOT NULL,
  state         VARCHAR(16)  NOT NULL,
  created_at    DATETIME(6)  NOT NULL,
  PRIMARY KEY (job_uid, path),
  KEY snapshots_order (job_uid, epoch, checkpoint_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE container_ends (
  container_id VARCHAR(128) NOT NULL,
  pod_uid      VARCHAR(64)  NOT NULL,
  pod          VARCHAR(253) NOT NULL,
  namespace    VARCHAR(63)  NOT NULL,
  job_uid      CHAR(26)     NOT NULL,
  generation   INT          NOT NULL,
  role         VARCHAR(16)  NOT NULL,
  exit_code    INT          NOT NULL,
  finished_at  VARCHAR(40)  NOT NULL,
  recorded_at  DATETIME(6)  NOT NULL,
  PRIMARY KEY (container_id),
  KEY container_ends_generation (job_uid, generation)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE container_ends;
DROP TABLE snapshots;
DROP TABLE operations;
DROP TABLE profiles;
DROP TABLE revisions;
DROP TABLE job_states;
DROP TABLE jobs;
