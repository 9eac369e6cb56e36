-- One row a job, as UWS knows jobs. The owner of an anonymous job is the empty text. The indexes are partial: what is
-- waiting or running is found without meeting the millions that have ended.
CREATE TABLE job (
    id             {key}   NOT NULL PRIMARY KEY,
    owner          {key}   NOT NULL,
    address        TEXT,
    run_id         TEXT,
    class          {key}   NOT NULL,
    language       TEXT    NOT NULL,
    query          TEXT    NOT NULL,
    parameters     TEXT    NOT NULL,
    phase          {key}   NOT NULL,
    created_at     {time}  NOT NULL,
    queued_at      {time},
    started_at     {time},
    ended_at       {time},
    quote_at       {time},
    destruction_at {time},
    duration_limit BIGINT  NOT NULL,
    replica        {key},
    leased_until   {time},
    attempts       BIGINT  NOT NULL DEFAULT 0,
    cancel_asked   BOOLEAN NOT NULL DEFAULT FALSE,
    progress       TEXT,
    result         TEXT,
    error          TEXT,
    error_is_fatal BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE INDEX job_of_owner ON job (owner, created_at, id) WHERE phase <> 'ARCHIVED';
CREATE INDEX job_of_owner_in_phase ON job (owner, phase, created_at, id) WHERE phase <> 'COMPLETED';
CREATE INDEX job_queued ON job (class, queued_at, id) WHERE phase = 'QUEUED';
CREATE INDEX job_executing ON job (leased_until) WHERE phase = 'EXECUTING';
CREATE INDEX job_destroyed ON job (destruction_at) WHERE phase <> 'ARCHIVED';
CREATE INDEX job_archived ON job (ended_at) WHERE phase = 'ARCHIVED';

-- Tables that came with a job, and where the store keeps them.
CREATE TABLE upload (
    job_id     {key}  NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    name       {key}  NOT NULL,
    place      TEXT   NOT NULL,
    row_count  BIGINT NOT NULL,
    byte_count BIGINT NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (job_id, name)
);

-- What somebody may have. No row: what the configuration says.
CREATE TABLE quota (
    owner        {key}  NOT NULL PRIMARY KEY,
    queued_jobs  BIGINT,
    running_jobs BIGINT,
    stored_bytes BIGINT
);
