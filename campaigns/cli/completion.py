"""`dialer completion`: what a shell must be told to complete our commands."""

from __future__ import annotations

import click

from campaigns.cli.tree import Command

_WHERE = {
    "bash": '~/.bashrc:  eval "$(dialer completion bash)"',
    "zsh": '~/.zshrc:  eval "$(dialer completion zsh)"',
    "fish": "dialer completion fish > ~/.config/fish/completions/dialer.fish",
}


@click.command(
    "completion",
    cls=Command,
    example="""eval "$(dialer completion bash)"
dialer completion fish > ~/.config/fish/completions/dialer.fish""",
)
@click.argument("shell", type=click.Choice(list(_WHERE)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a SHELL: bash, zsh or fish."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # the three shells of the choice are click's own
    name = ctx.find_root().info_name or "dialer"
    variable = f"_{name.replace('-', '_').replace('.', '_')}_COMPLETE".upper()
    click.echo(kind(ctx.find_root().command, {}, name, variable).source())
