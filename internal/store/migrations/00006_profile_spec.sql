-- +goose Up
-- What runs is compared with what is asked for: can it be changed in place?
-- NULL: committed by a release that didn't record it.
ALTER TABLE job_states ADD COLUMN profile_spec JSON NULL AFTER profile_digest;

-- +goose Down
ALTER TABLE job_states DROP COLUMN profile_spec;
