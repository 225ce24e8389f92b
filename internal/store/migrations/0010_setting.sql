-- +goose Up

-- What the owner has chosen for the whole platform, one row for each section of it. What
-- has no row is at its default, and so is a field that a row does not know.
CREATE TABLE setting (
  section TEXT /*C*/ NOT NULL PRIMARY KEY,
  value   TEXT NOT NULL -- JSON object
);
