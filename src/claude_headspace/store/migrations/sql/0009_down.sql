DROP INDEX ix_agents_last_seen_at_id;
DROP INDEX ix_checkpoints_sessions;
DROP INDEX ix_tool_calls_started_at;
DROP INDEX ix_tool_calls_ended_at;
DROP INDEX ix_model_calls_started_at;
