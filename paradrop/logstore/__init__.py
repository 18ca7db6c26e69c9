"""Append-only logs on disk, read by time or by sequence number at a cost that depends on what is read."""

from paradrop.logstore.record import MAX_TEXT, Record
from paradrop.logstore.store import CAP_BYTES, SEGMENT_BYTES, LogStore

__all__ = ["CAP_BYTES", "MAX_TEXT", "SEGMENT_BYTES", "LogStore", "Record"]
