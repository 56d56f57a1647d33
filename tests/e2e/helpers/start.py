"""Starts that are watched for what they say."""


def refused(server, status=3):
    """What a start that fails says."""
    mark = len(server.stderr)
    server.spawn()
    assert server.wait() == status
    said = server.stderr[mark:]
    assert "listening" not in said
    server.check()
    return said


def said_by(server, start):
    """What was said during start()."""
    mark = len(server.stderr)
    start()
    return server.stderr[mark:]
