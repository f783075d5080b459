"""The page, the API and its stream, /health and /metrics."""
