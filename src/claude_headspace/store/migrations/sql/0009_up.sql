CREATE INDEX ix_agents_last_seen_at_id ON agents (last_seen_at, id);
CREATE INDEX ix_checkpoints_sessions ON checkpoints USING gin (sessions);
CREATE INDEX ix_tool_calls_started_at ON tool_calls (started_at);
CREATE INDEX ix_tool_calls_ended_at ON tool_calls (ended_at);
CREATE INDEX ix_model_calls_started_at ON model_calls (started_at);
