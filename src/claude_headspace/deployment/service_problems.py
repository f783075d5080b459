"""What keeps an installed service from working, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from claude_headspace.deployment.service import Manager, installed_text


def problems(service: Manager, environ: Mapping[str, str]) -> Iterator[str]:
    """What keeps the service from working, and what to do."""
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
