"""Having it run: everything started under one supervisord, and stopped again."""
