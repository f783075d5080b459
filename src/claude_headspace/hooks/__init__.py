"""Claude Code's hooks: the command that they run, and the settings that install it."""
