-- One row a version of a published table. The served version of a table is the one marked current.
CREATE TABLE table_version (
    schema_name  {key}    NOT NULL,
    table_name   {key}    NOT NULL,
    version      INTEGER NOT NULL CHECK (version > 0),
    root         TEXT    NOT NULL UNIQUE,
    snapshot     TEXT    NOT NULL,
    row_count    BIGINT  NOT NULL CHECK (row_count >= 0),
    description  TEXT,
    published_at {time}    NOT NULL,
    is_current   BOOLEAN NOT NULL,
    PRIMARY KEY (schema_name, table_name, version)
);

CREATE UNIQUE INDEX table_version_current ON table_version (schema_name, table_name) WHERE is_current;

-- Counts every change that a running server must see.
CREATE TABLE generation (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    number   BIGINT  NOT NULL
);

INSERT INTO generation (only_row, number) VALUES (1, 0);
