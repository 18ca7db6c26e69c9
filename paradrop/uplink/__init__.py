"""A device's link to its server: a session that passes calls and events on, in both directions.

Used by ``paradropd`` for the device it is, and by ``pdserver simulate`` for thousands that are not there.
"""

from __future__ import annotations

from paradrop.uplink.passing import PassingSession, answer_of, caller_of, spoken
from paradrop.uplink.session import Behind, Link, UplinkSession, link

__all__ = ["Behind", "Link", "PassingSession", "UplinkSession", "answer_of", "caller_of", "link", "spoken"]
