-- +goose Up
-- Which container of a name in its pod ended: a later one's end proves an
-- earlier one's. 0: written by a release that didn't say.
ALTER TABLE container_ends
  ADD COLUMN container VARCHAR(63) NOT NULL DEFAULT '' AFTER namespace,
  ADD COLUMN attempt   INT         NOT NULL DEFAULT 0  AFTER container;

-- +goose Down
ALTER TABLE container_ends DROP COLUMN attempt, DROP COLUMN container;
