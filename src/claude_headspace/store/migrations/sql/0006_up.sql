CREATE TABLE tool_calls (
    session_uuid UUID NOT NULL,
    tool_use_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    subagent TEXT,
    input TEXT NOT NULL,
    input_bytes INTEGER NOT NULL,
    input_whole BOOLEAN NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    copy_of UUID,
    source_id INTEGER NOT NULL,
    generation INTEGER DEFAULT '1' NOT NULL,
    call_offset BIGINT NOT NULL,
    call_length INTEGER NOT NULL,
    ended_at TIMESTAMPTZ,
    outcome TEXT,
    result_bytes INTEGER,
    result_source_id INTEGER,
    result_generation INTEGER,
    result_offset BIGINT,
    result_length INTEGER,
    CONSTRAINT pk_tool_calls PRIMARY KEY (session_uuid, tool_use_id),
    CONSTRAINT ck_tool_calls_outcome CHECK (outcome IN ('ok', 'error', 'denied', 'interrupted'))
);

CREATE TABLE model_calls (
    message_id TEXT NOT NULL,
    session_uuid UUID NOT NULL,
    subagent TEXT,
    model TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cache_write_1h_tokens BIGINT NOT NULL,
    service_tier TEXT,
    stop_reason TEXT,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_model_calls PRIMARY KEY (message_id)
);
CREATE INDEX ix_model_calls_session_uuid ON model_calls (session_uuid);
