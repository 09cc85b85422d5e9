"""`dialer`: the root of the tree. Processes and the demo are mounted by `workers.command`."""

from __future__ import annotations

import sys

import click

from campaigns.cli.tree import Opener, Root

_HERE = "campaigns.cli"


def build_cli(open_context: Opener | None = None) -> Root:
    """Return the whole command tree of this package; `open_context(config path)` makes `ctx.obj` when there is none.

    More is added with `mount`, which imports nothing until the command is named.
    """

    @click.group(
        cls=Root,
        name="dialer",
        context_settings={
            "help_option_names": ["-h", "--help"],
            "auto_envvar_prefix": "DIALER",
            "max_content_width": 110,
        },
    )
    @click.option(
        "--config",
        metavar="FILE",
        help="Settings file (TOML). Also DIALER_CONFIG; every setting also as a DIALER_* variable.",
    )
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @click.version_option(package_name="dialer", message="dialer %(version)s")
    @click.pass_context
    def cli(ctx: click.Context, config: str | None, debug: bool) -> None:  # noqa: ARG001  (read by Root.invoke)
        """Predictive dialer and campaign worker for the PBX you already have.

        Data goes to stdout, progress to stderr; --json gives one object. Exit codes: 0 done, 1 failed, 2 wrong
        use, 3 done with rejected rows, 4 not found, 5 refused by a rule of calling, 6 a service cannot be reached,
        75 try again later.
        """
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # a terminal without Unicode gets ?, not a traceback
        if ctx.obj is None and open_context is not None:
            ctx.obj = open_context(config)

    for path, target, help, section in _TREE:
        cli.mount(path, f"{_HERE}.{target}", help, section)
    return cli


_CALLING, _WATCHING, _SETTING_UP = "Campaigns", "Watching", "Setting up"
_TREE = (
    ("campaign", "campaign:campaign", "Create campaigns; start, pause and stop them.", _CALLING),
    ("campaign pbx", "campaign_pbx:campaign_pbx", "The PBXs a campaign calls through.", _CALLING),
    ("campaign retry", "calling_rules:retry", "When contacts are tried again after each outcome.", _CALLING),
    ("campaign caps", "calling_rules:caps", "How often anybody may be called, by all campaigns together.", _CALLING),
    ("campaign rules", "rules:campaign_rules", "Whose law a campaign keeps, and how sure we are of it.", _CALLING),
    ("campaign script", "script:script", "What agents read to the people they speak with.", _CALLING),
    ("campaign form", "script:form", "What agents ask the people they speak with.", _CALLING),
    ("pace", "pace:pace", "How fast a campaign may dial, and at what risk.", _CALLING),
    ("list", "lists:lists", "Import contact lists, look at them, take them back.", _CALLING),
    ("list rules", "rules:list_rules", "Whose law holds for one list besides its campaign's.", _CALLING),
    (
        "callbacks",
        "callbacks_lists:callbacks",
        "Callbacks that were promised: take, start, move and close them.",
        _CALLING,
    ),
    ("dnc", "dnc:dnc", "Numbers that nobody calls.", _CALLING),
    ("caller-id", "caller_id:caller_id", "The numbers people are shown, and when they rest.", _CALLING),
    ("disposition", "disposition:disposition", "The words agents have for what came of a call.", _CALLING),
    ("person", "person:person", "What is known about a person; their consent; erase them.", _CALLING),
    ("agent", "agent:agent", "Who is at work: log in, pause, be ready.", _CALLING),
    ("agent list", "agent_list:list_agents", "What each agent is doing.", _CALLING),
    ("agent phone", "agent_phone:phone", "The phones of agents who have one on more than one PBX.", _CALLING),
    ("status", "status:status", "What happens now: agents, calls, lines, abandonment.", _WATCHING),
    ("why", "why:why", "Why a campaign, or one contact, is not being called.", _WATCHING),
    ("report", "report:report", "Results over a period: outcomes, abandonment, agents, callbacks.", _WATCHING),
    ("forecast", "forecast:forecast", "When a campaign will be done, and how busy its agents will be.", _WATCHING),
    ("simulate", "simulate:simulate", "Days of a call centre in virtual time: no phones, no database.", _WATCHING),
    ("pbx", "pbx:pbx", "The PBXs in the settings, and whether they are fit for calling.", _SETTING_UP),
    ("pbx conformance", "conformance:conformance", "Try a live PBX on your own phones.", "Commands"),
    ("directory", "directory:directory", "Accounts, numbers and groups of an XC5: read, checked, set up.", _SETTING_UP),
    ("directory provision", "directory_setup:provision", "Set up what a campaign needs.", _SETTING_UP),
    ("directory changes", "directory_setup:changes", "What was set up from here.", _SETTING_UP),
    ("directory undo", "directory_setup:undo", "Take back what was set up from here.", _SETTING_UP),
    ("doctor", "doctor:doctor", "Check the whole installation, with a remedy for each fault.", _SETTING_UP),
    ("client", "client:client", "The programs that may use the API.", _SETTING_UP),
    ("config", "config:config", "The settings in force and where each comes from.", _SETTING_UP),
    ("completion", "completion:completion", "Shell completion for bash, zsh and fish.", _SETTING_UP),
)
