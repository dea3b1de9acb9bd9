-- +goose Up
-- A revision that ran and was proven is one to go back to. NULL: it never was,
-- or a release committed it that didn't say.
ALTER TABLE revisions ADD COLUMN committed_at DATETIME(6) NULL;
-- Revisions up to this number were taken back: who names none means the one in force.
ALTER TABLE job_states ADD COLUMN withdrawn INT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE job_states DROP COLUMN withdrawn;
ALTER TABLE revisions DROP COLUMN committed_at;
