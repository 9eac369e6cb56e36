-- Who may sign in. Names are in lower case; of a password there is only what Argon2id makes of it.
CREATE TABLE user_account (
    name          {key}   NOT NULL PRIMARY KEY,
    password_hash TEXT    NOT NULL,
    is_disabled   BOOLEAN NOT NULL DEFAULT FALSE,
    created_at    {time}  NOT NULL,
    signed_in_at  {time}
);

CREATE TABLE user_group (
    name       {key}  NOT NULL PRIMARY KEY,
    created_at {time} NOT NULL
);

CREATE TABLE member (
    user_name  {key} NOT NULL REFERENCES user_account (name),
    group_name {key} NOT NULL REFERENCES user_group (name),
    PRIMARY KEY (user_name, group_name)
);

-- What stands for a user in scripts. Of a token there is only its SHA-256; `id` is what people call it by.
CREATE TABLE token (
    id         {key}  NOT NULL PRIMARY KEY,
    user_name  {key}  NOT NULL REFERENCES user_account (name),
    digest     {key}  NOT NULL UNIQUE,
    label      TEXT   NOT NULL,
    scopes     TEXT   NOT NULL,
    created_at {time} NOT NULL,
    expires_at {time},
    revoked_at {time},
    used_at    {time}
);

CREATE INDEX token_user ON token (user_name, created_at);

-- Failed attempts to sign in, by user and by address. Milliseconds since 1970, since a statement computes with them.
CREATE TABLE guessing (
    subject      {key}  NOT NULL PRIMARY KEY,
    failures     BIGINT NOT NULL,
    failed_ms    BIGINT NOT NULL,
    barred_ms    BIGINT NOT NULL
);

-- What was done to users, tokens, groups and the visibility of tables, by whom, and who signed in.
CREATE TABLE audit (
    id        {serial},
    at        {time}  NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    address   TEXT,
    succeeded BOOLEAN NOT NULL,
    detail    TEXT
);

CREATE INDEX audit_at ON audit (at);

-- Tables that not everybody may see; those without a row are public. Names of groups are parted by spaces; from
-- `released_at` on the table is public.
CREATE TABLE table_visibility (
    schema_name {key} NOT NULL,
    table_name  {key} NOT NULL,
    group_names TEXT  NOT NULL,
    released_at {time},
    PRIMARY KEY (schema_name, table_name)
);
