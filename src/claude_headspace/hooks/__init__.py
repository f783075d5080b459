"""Claude Code's hooks: the command they run, and the settings that make Claude Code run it."""
