"""Installing, checking and removing the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from claude_headspace.config import Config
from claude_headspace.deployment.managers import Manager, ServiceRefused, manager
from claude_headspace.deployment.running import is_up
from claude_headspace.deployment.stop import stop
from claude_headspace.health.status_file import write_private


def installed_text(service: Manager) -> str:
    """The installed file; empty if there is none."""
    return service.path.read_text("utf-8") if service.path.exists() else ""


def active_service() -> Manager | None:
    """The active service of this very program, if there is one."""
    try:
        service = manager()
    except ServiceRefused:
        return None
    is_ours = installed_text(service) == service.text()
    return service if is_ours and service.is_active() else None


def install(service: Manager, config: Config) -> None:
    """Write the file and start the service, replacing programs that were started by hand."""
    service.path.parent.mkdir(parents=True, exist_ok=True)
    write_private(service.path, service.text())
    if not service.is_active() and is_up(config):
        stop(config.state.directory, config)
    service.start()


def uninstall(service: Manager) -> None:
    """Stop and remove the service; the data stays."""
    service.stop()
    service.path.unlink()


def problems(service: Manager, environ: Mapping[str, str]) -> Iterator[str]:
    """What keeps the service from working, in sentences."""
    found = installed_text(service)
    if not found:
        yield "The service is not installed: run `claude-headspace service install`."
        return
    if found != service.text():
        yield f"{service.path} is not up to date: run `claude-headspace service install`."
    if not service.is_active():
        yield "The service is not running."
    yield from unseen(environ)


def unseen(environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence about settings in variables of this shell, which a service does not see."""
    own = (name for name in environ if name.startswith("CLAUDE_HEADSPACE__"))
    if names := sorted([*own, *({"DATABASE_URL"} & environ.keys())]):
        yield f"The service does not see {', '.join(names)}: put the settings into config.yaml."
