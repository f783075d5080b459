DROP TABLE model_calls;
DROP TABLE tool_calls;
