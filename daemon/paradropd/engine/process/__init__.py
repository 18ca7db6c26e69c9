"""The process engine: chutes as processes of the device, kept apart as well as the machine allows."""

from .engine import ProcessEngine

__all__ = ["ProcessEngine"]
