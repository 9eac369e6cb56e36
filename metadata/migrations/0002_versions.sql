-- What a person said of a version, and how long it was served: NULL while it is.
ALTER TABLE table_version ADD COLUMN note TEXT;
ALTER TABLE table_version ADD COLUMN superseded_at {time};
ALTER TABLE table_version ADD COLUMN last_generation BIGINT;

UPDATE table_version
   SET superseded_at = published_at, last_generation = (SELECT number FROM generation)
 WHERE NOT is_current;

-- One row a table of which somebody is making a version. Its holder renews it; what is not renewed is abandoned.
CREATE TABLE making (
    schema_name {key} NOT NULL,
    table_name  {key} NOT NULL,
    root        TEXT NOT NULL UNIQUE,
    holder      TEXT NOT NULL,
    began_at    {time} NOT NULL,
    seen_at     {time} NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);

-- One row a process that runs queries: the oldest generation that it still reads.
CREATE TABLE reader (
    id         TEXT   NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL,
    seen_at    {time}   NOT NULL
);

-- Tells this database from all others, so that nobody tidies a store that belongs to another one.
CREATE TABLE identity (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    id       TEXT    NOT NULL
);

INSERT INTO identity (only_row, id) VALUES (1, {random});
