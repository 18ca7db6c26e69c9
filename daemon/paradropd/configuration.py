"""The settings as an operator sees and changes them while the daemon runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from paradrop.base.exceptions import InvalidSettings, NotFound
from paradrop.base.settings import Settings, store_setting
from paradrop.values import Setting


class Configuration:
    """What ``settings.ini`` and its siblings say now; what differs from the settings in force needs a restart."""

    def __init__(self, in_force: Settings, file: Path, load: Callable[[], Settings]) -> None:
        """*load* resolves all layers anew, as at a start."""
        self._in_force = {setting.key: setting.value for setting in in_force.describe()}
        self._file = file
        self._load = load

    def all(self) -> list[Setting]:
        """Raises ``InvalidSettings`` when somebody has broken the file by hand."""
        settings = self._load().describe()
        return [replace(setting, restart=setting.value != self._in_force.get(setting.key)) for setting in settings]

    def get(self, key: str) -> Setting:
        """Raises :class:`NotFound`."""
        name = self._known(key)
        return next(setting for setting in self.all() if setting.key == name)

    def set(self, key: str, value: str) -> Setting:
        """Write *key* to ``settings.ini``. Raises ``InvalidSettings``, and then nothing has changed; ``StorageFull``."""
        if len(value.splitlines()) > 1:  # all that Python takes for the end of a line
            raise InvalidSettings(f"{key}: a value is one line")
        # Not looked up in the file: what is wrong with it may be the value that is to be replaced.
        store_setting(self._file, self._known(key), value)
        return self.get(key)

    def _known(self, key: str) -> str:
        name = key.strip().lower()
        if name not in self._in_force:
            raise NotFound(f"there is no setting {key!r}")
        return name
