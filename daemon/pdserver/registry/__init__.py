"""Who the devices and the people are, and what they may do: kept in SQLite or PostgreSQL, answered from memory."""

from pdserver.registry.database import Database
from pdserver.registry.directory import Directory
from pdserver.registry.registry import Registry

__all__ = ["Database", "Directory", "Registry"]
