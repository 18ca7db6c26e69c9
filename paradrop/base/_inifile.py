"""The operator's settings.ini: one value is changed, everything else stays as the operator wrote it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from paradrop.base._files import write_atomically
from paradrop.base._resolve import SECTION, from_ini, parse
from paradrop.base._settings import show
from paradrop.base.exceptions import InvalidSettings

HEADER = re.compile(r"\s*\[([^\]]*)\]")


def read_ini(path: Path) -> str:
    """The text of a settings file; empty when there is no file. Raises :class:`InvalidSettings` when it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as problem:
        raise InvalidSettings(f"{path}: not UTF-8: {problem.reason} at byte {problem.start}") from problem


def store_setting(ini_path: Path, key: str, value: Any) -> None:
    """Set *key* to *value* in the settings file, which is made when there is none; comments and order are kept.

    An empty string stands for the default. Raises :class:`InvalidSettings` before anything is written when the key or the value
    is not valid, or when the file as it stands is not; :class:`~paradrop.base.exceptions.StorageFull` when there is no room.
    """
    name = key.strip().lower()
    parse(name, value)
    text = read_ini(ini_path)
    for given in from_ini(text, str(ini_path)):
        if given.name != name:  # the value that is to be replaced may be the broken one
            parse(given.name, given.text, given.place)
    shown = show(value)
    line = str(shown).lower() if isinstance(shown, bool) else str(shown).strip()
    write_atomically(ini_path, with_setting(text, name, line).encode())


def with_setting(text: str, name: str, value: str) -> str:
    """*text* with ``name = value`` in its section ``[base]``: in the place of the old value, or below the line that has it
    commented out, or at the section's end."""
    lines = text.splitlines()
    begin = next((at for at, line in enumerate(lines) if (match := HEADER.match(line)) and match[1] == SECTION), None)
    if begin is None:
        lines += ["", f"[{SECTION}]"] if lines else [f"[{SECTION}]"]
        begin = len(lines) - 1
    end = next((at for at in range(begin + 1, len(lines)) if HEADER.match(lines[at])), len(lines))
    active = re.compile(rf"({re.escape(name)}\s*[=:][ \t]*)", re.IGNORECASE)
    inactive = re.compile(rf"\s*[#;]\s*{re.escape(name)}\s*[=:]", re.IGNORECASE)
    place = begin + 1
    for at in range(begin + 1, end):
        if match := active.match(lines[at]):
            head = match[1] if match[1][-1].isspace() else match[1] + " "
            lines[at] = (head + value).rstrip()
            return "\n".join(lines) + "\n"
        if lines[at].strip():
            place = at + 1
    place = next((at + 1 for at in range(begin + 1, end) if inactive.match(lines[at])), place)
    lines.insert(place, f"{name} = {value}".rstrip())
    return "\n".join(lines) + "\n"
