"""A chute's way to the fabric: one unix socket in a folder that only that chute can see."""

from __future__ import annotations

import shutil

from paradropd.chutes.model import Release
from paradropd.fabric import Realm
from paradropd.home import Home
from paradropd.permissions import ChutePeer


class FabricDoor:
    """Opens and closes chutes' sockets."""

    def __init__(self, realm: Realm, home: Home) -> None:
        self._realm = realm
        self._home = home

    async def open(self, release: Release) -> None:
        """Listen for *release*'s chute, with the permissions of its manifest; what listened before is closed."""
        await self.close(release.chute)
        folder = self._home.system_dir(release.chute)
        # The chute's own user may be any; nobody else can reach the folder, because those above it are closed to all but us.
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        peer = ChutePeer(release.chute, release.manifest.fabric.uses)
        self._realm.listen(self._home.fabric_socket(release.chute), peer, mode=0o666)

    async def close(self, chute: str) -> None:
        """Stop listening and end the chute's sessions. The folder stays: a container may have it mounted."""
        await self._realm.unlisten(self._home.fabric_socket(chute))

    def forget(self, chute: str) -> None:
        """Delete the folder of a chute that is gone."""
        shutil.rmtree(self._home.system_dir(chute), ignore_errors=True)
