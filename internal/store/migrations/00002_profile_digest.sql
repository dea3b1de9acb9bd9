-- +goose Up
-- What was applied, not only its name: a profile of the same name may be edited.
ALTER TABLE job_states ADD COLUMN profile_digest VARCHAR(80) NOT NULL DEFAULT '' AFTER profile;

-- +goose Down
ALTER TABLE job_states DROP COLUMN profile_digest;
