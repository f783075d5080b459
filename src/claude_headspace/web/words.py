"""Times, lengths and numbers in the words of the page, in this machine's time zone."""

from __future__ import annotations

from datetime import datetime, timedelta

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def clock(moment: datetime) -> str:
    """`15:28:13`."""
    return moment.astimezone().strftime("%H:%M:%S")


def minute(moment: datetime) -> str:
    """`15:28`."""
    return moment.astimezone().strftime("%H:%M")


def day(moment: datetime, month: str = "%B") -> str:
    """`7 February`, with the year if it is not the current one."""
    when = moment.astimezone()
    year = "" if when.year == datetime.now().astimezone().year else f" {when.year}"
    return f"{when.day} {when:{month}}{year}"


def day_name(moment: datetime) -> str:
    """`Today, 7 February`, `Yesterday, 6 February`, else the day."""
    return {0: "Today, ", 1: "Yesterday, "}.get(_days_ago(moment), "") + day(moment)


def moment(when: datetime) -> str:
    """`15:28` today, `yesterday, 17:26`, else `7 Feb 11:13`."""
    name = {0: "", 1: "yesterday, "}.get(_days_ago(when), f"{day(when, '%b')} ")
    return name + minute(when)


def _days_ago(when: datetime) -> int:
    return (datetime.now().astimezone().date() - when.astimezone().date()).days


def length(seconds: float | timedelta | None) -> str:
    """`0.6 s`, `46 s`, `1 min 6 s`, `26 min`, `4 h 15`, `3 days`."""
    if seconds is None:
        return ""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < 10 * _MINUTE:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < _HOUR:
        return f"{whole // 60} min"
    if whole < 2 * _DAY:
        hours, minutes = divmod(whole // 60, 60)
        return f"{hours} h {minutes:02}" if minutes else f"{hours} h"
    return f"{whole // _DAY} days"


def waited(seconds: float) -> str:
    """A rough length: `8 min`, without seconds from a minute on."""
    whole = max(0, round(seconds))
    if whole < _HOUR:
        return f"{whole} s" if whole < _MINUTE else f"{whole // 60} min"
    return length(whole)


def ago(seconds: float) -> str:
    """`2 s ago`, `now`."""
    return "now" if seconds < 1 else f"{waited(seconds)} ago"


def number(value: float | None) -> str:
    """`4,141`."""
    return "" if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """`45`, `3.6 k`, `17.4 M`."""
    if value is None:
        return ""
    for limit, size, unit in ((10_000, 1, ""), (1e6, 1e3, " k"), (1e9, 1e6, " M")):
        if value < limit:
            return f"{value / size:,.0f}" if size == 1 else f"{value / size:.1f}{unit}"
    return f"{value / 1e9:.1f} G"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 prompt`, `33 prompts`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def spelled(count: int) -> str:
    """`two`, `13`."""
    return _WORDS[count] if 0 < count < len(_WORDS) else f"{count:,}"


def iso_length(seconds: float) -> str:
    """A length for the attribute `datetime`: `PT480S`."""
    return f"PT{max(0, round(seconds))}S"


def project_name(project: str, directory: str = "") -> str:
    """A project by the end of its path: `devenv / cli`; a worktree beside its repository."""
    parts = [part for part in (directory or project).split("/") if part]
    if len(parts) > 2 and parts[-2].endswith("worktrees"):
        return f"{parts[-4 if parts[-3] == '.claude' and len(parts) > 3 else -3]} / {parts[-1]}"
    known = [part for part in project.split("/") if part]
    if parts[: len(known)] == known and len(parts) > len(known):
        return f"{known[-1]} / {parts[-1]}"
    # The first folder below a home directory says little.
    above = known[-2:-1] if len(known) > 3 else []
    return " / ".join([*above, *known[-1:]]) or project
