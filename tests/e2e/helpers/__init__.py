"""What the end-to-end tests share: a server to talk to, and an independent user of its protocol."""

from .server import BUILD, RUNNER, Reply, Server, clean_environment, sanitized
from .user import User, UserSession

__all__ = ["BUILD", "RUNNER", "Reply", "Server", "User", "UserSession", "clean_environment", "sanitized"]
