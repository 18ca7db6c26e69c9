"""The Docker engine. Nothing outside this package imports ``docker``; whoever wants this engine imports it when it is chosen."""

from paradropd.engine.docker.engine import DockerEngine

__all__ = ["DockerEngine"]
