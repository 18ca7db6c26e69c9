"""The device's place on its server's realm: the link, what passes over it, and how a device gets and leaves that place."""

from paradropd.uplink.bridge import Bridge, DeviceSide
from paradropd.uplink.service import UplinkService

__all__ = ["Bridge", "DeviceSide", "UplinkService"]
