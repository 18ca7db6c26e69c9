"""The device realm: Crossbar's router in this process, behind :class:`Realm`."""

from paradropd.fabric.realm import Realm, RealmOptions

__all__ = ["Realm", "RealmOptions"]
