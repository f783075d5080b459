"""Shell completion of commands, options, sessions and projects."""

from __future__ import annotations

import click

from claude_headspace.cli.command import command


@command(
    "completion",
    "echo 'eval \"$(claude-headspace completion bash)\"' >> ~/.bashrc",
    "echo 'eval \"$(claude-headspace completion zsh)\"' >> ~/.zshrc",
    "claude-headspace completion fish > ~/.config/fish/completions/claude-headspace.fish",
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> int:
    """Print the shell script that completes commands, options, sessions and projects.

    Names come from the log, if it answers within two seconds.
    """
    from click.shell_completion import get_completion_class

    from claude_headspace.cli.program import COMPLETE, NAME, build_program

    if made := get_completion_class(shell):
        print(made(build_program(), {}, NAME, COMPLETE).source())
    return 0
