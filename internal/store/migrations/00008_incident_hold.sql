-- +goose Up
-- An incident is the loss of a submission (kind ''), or a hold of an operation
-- whose run isn't open (kind 'hold').
ALTER TABLE incidents ADD COLUMN kind VARCHAR(16) NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN held_by VARCHAR(26) NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE incidents DROP COLUMN held_by;
ALTER TABLE incidents DROP COLUMN kind;
