"""The Flask application with /health and /metrics."""
