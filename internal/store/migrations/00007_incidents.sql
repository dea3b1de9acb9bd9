-- +goose Up
-- What befell running jobs without anybody's doing. The first telling stays.
CREATE TABLE incidents (
  id           CHAR(32)     NOT NULL,
  job_uid      CHAR(26)     NOT NULL,
  generation   INT          NOT NULL,
  epoch        BIGINT       NOT NULL,
  container_id VARCHAR(128) NOT NULL,
  exit_code    INT          NOT NULL,
  reason       VARCHAR(128) NOT NULL,
  finished_at  VARCHAR(40)  NOT NULL,
  operation    VARCHAR(26)  NOT NULL,
  recorded_at  DATETIME(6)  NOT NULL,
  PRIMARY KEY (id),
  KEY incidents_job (job_uid, epoch)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE incidents;
