"""What deploy/run and deploy/stop do once everything is installed."""
