-- What the served version of each table says of its columns.
CREATE TABLE table_column (
    schema_name {key}  NOT NULL,
    table_name  {key}  NOT NULL,
    column_name {key}  NOT NULL,
    position    BIGINT NOT NULL,
    type_name   TEXT   NOT NULL,
    arraysize   TEXT,
    xtype       TEXT,
    unit        TEXT,
    ucd         TEXT,
    utype       TEXT,
    description TEXT,
    PRIMARY KEY (schema_name, table_name, column_name)
);

-- What people say of schemas, tables and columns in the place of what was published. It goes for every version. The name of
-- the table is empty where the schema is meant, that of the column where the table is.
CREATE TABLE edit (
    schema_name {key}  NOT NULL,
    table_name  {key}  NOT NULL,
    column_name {key}  NOT NULL,
    field       {key}  NOT NULL,
    value       TEXT   NOT NULL,
    PRIMARY KEY (schema_name, table_name, column_name, field)
);

-- Which columns of one table name rows of another; pairs of columns are parted by spaces, `from=target`.
CREATE TABLE table_key (
    id            {key} NOT NULL PRIMARY KEY,
    from_schema   {key} NOT NULL,
    from_table    {key} NOT NULL,
    target_schema {key} NOT NULL,
    target_table  {key} NOT NULL,
    column_pairs  TEXT  NOT NULL,
    description   TEXT,
    utype         TEXT
);
