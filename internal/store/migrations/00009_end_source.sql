-- +goose Up
-- Whose word an end is: '' the kubelet's, else that of a node that is proven off
-- or of a person.
ALTER TABLE container_ends ADD COLUMN source VARCHAR(500) NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE container_ends DROP COLUMN source;
