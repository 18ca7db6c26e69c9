"""Paradrop, for the author of a chute: everything here is all there is to import."""

from paradrop.base.exceptions import DeadlineExceeded, NotFound, NotPermitted, ParadropException, Unreachable
from paradrop.chute import Chute

__all__ = ["Chute", "DeadlineExceeded", "NotFound", "NotPermitted", "ParadropException", "Unreachable"]
