"""CouchDB as an init script: what `service couchdb start|stop|status` does, with the exit codes of the Linux Standard Base."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.describe import CommandPattern, Description, Setting
from wit_world.imports import host
from wit_world.imports.types import (
    Command,
    CommandFailed,
    Error_CommandFailed,
    Error_InvalidSetting,
    Error_NotRun,
    Error_TimedOut,
    InvalidSetting,
    Node,
    Output,
    State,
)

PAUSE = 500
"""Milliseconds between two looks at a service that is on its way."""


class Describe(exports.Describe):
    def describe(self) -> Description:
        def pattern(action: str, purpose: str) -> CommandPattern:
            return CommandPattern(["service", "{service}", action], purpose)

        return Description(
            name="initscript-py",
            version="1.0.0",
            summary="CouchDB as an init script; an example in Python",
            settings=[
                Setting("service", "The init script's name", "couchdb", False),
                Setting("timeout", "How many seconds to wait for it at most", "60", False),
            ],
            commands=[
                pattern("status", "see whether CouchDB runs"),
                pattern("start", "start CouchDB"),
                pattern("stop", "stop CouchDB"),
            ],
        )


class Service(exports.Service):
    def start(self, node: Node) -> None:
        bring(node, "start", State.RUNNING)

    def stop(self, node: Node) -> None:
        bring(node, "stop", State.STOPPED)

    def status(self, node: Node) -> State:
        return state(node)


def bring(node: Node, action: str, wanted: State) -> None:
    """Does that, unless it is done already, and waits for its effect."""
    left = timeout(node) * 1000
    if state(node) == wanted:
        return
    command = script(node, action)
    output = execute(command)
    if output.exit_code != 0:
        raise Err(Error_CommandFailed(CommandFailed(command, output)))
    while (now := state(node)) != wanted:
        if left <= 0:
            raise Err(Error_TimedOut(f"the init script says that it is {now.name.lower()}"))
        host.sleep(PAUSE)
        left -= PAUSE


def state(node: Node) -> State:
    output = execute(script(node, "status"))
    if output.exit_code == 0:
        return State.RUNNING
    # 1 and 2 say that it is dead too, but Debian's `service` also ends with 1 where there is no such script.
    if output.exit_code == 3:
        return State.STOPPED
    host.log(output.stdout + output.stderr)
    return State.UNKNOWN


def script(node: Node, action: str) -> Command:
    name = setting(node, "service")
    if not name or name.startswith("-"):
        raise Err(Error_InvalidSetting(InvalidSetting("service", "it is empty, or an option and no name")))
    return Command("service", [name, action])


def execute(command: Command) -> Output:
    try:
        return host.run(command)
    except Err as error:
        raise Err(Error_NotRun(error.value)) from None


def timeout(node: Node) -> int:
    text = setting(node, "timeout")
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise Err(Error_InvalidSetting(InvalidSetting("timeout", "it is no number of seconds, such as 60")))
    return int(text)


def setting(node: Node, name: str) -> str:
    """Both settings have a default, so that both have a value."""
    return next(setting.value for setting in node.settings if setting.name == name)
