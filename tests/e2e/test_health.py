"""GET /health and GET /metrics: what they say follows what the server does."""

import re

import pytest
from helpers import UserSession, vsock

METRIC = re.compile(r'^(attestd_[a-z_]+)(\{[a-z]+="[a-z0-9_]+"\})? (-?[0-9.]+)$')


def metrics(server):
    reply = server.get("/metrics")
    assert reply.status == 200 and reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for line in reply.body.decode().splitlines():
        if not line.startswith("#"):
            name, labels, value = METRIC.match(line).groups()
            found[name + (labels or "")] = float(value)
    return found


@pytest.mark.smoke
@pytest.mark.route("GET /health")
def test_health_tells_the_back_end_and_counts_sessions(make_server, user):
    server = make_server()
    before = server.get("/health").json()
    assert before["status"] == "healthy" and before["tee_available"] is False and before["nsm"] == "dummy"
    assert before["debug_mode"] is None, "nothing is known of it without an NSM"
    assert before["active_sessions"] == 0 and before["uptime_seconds"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", before["timestamp"])
    UserSession(server, user)
    assert server.get("/health").json()["active_sessions"] == 1


@pytest.mark.route("GET /metrics")
def test_metrics_count_what_happens(make_server, user):
    server = make_server()
    before = metrics(server)
    session = UserSession(server, user)
    assert server.post("/encrypt", {"session_id": session.id, "plaintext": "hello"}).status == 200
    assert server.get("/nowhere").status == 404
    after = metrics(server)
    assert after["attestd_sessions_active"] == 1 and after["attestd_sessions_seen_ivs"] == 1
    calls = 'attestd_nsm_calls_total{reach="local"}'
    assert after[calls] == before[calls] + 1
    assert after['attestd_http_replies_total{class="4xx"}'] == before['attestd_http_replies_total{class="4xx"}'] + 1
    requests = 'attestd_http_requests_total{reach="local"}'
    assert after[requests] == before[requests] + 4, "key exchange, encrypt, 404, and this one"
    assert after["attestd_http_inflight_bytes"] == 0


def test_metrics_count_what_happens_over_vsock(make_server, tmp_path):
    server = make_server(nsm="simulator", settings=vsock.settings(tmp_path))
    assert vsock.pongs(server)
    assert vsock.bad(server, command="dance")
    assert vsock.good(server, command="attest", generate_key=True)
    found = metrics(server)
    assert found["attestd_vsock_requests_total"] == found["attestd_vsock_connections_total"] == 3
    assert found["attestd_vsock_failed_total"] == 1 and found["attestd_vsock_connections_refused_total"] == 0
    assert found['attestd_nsm_calls_total{reach="vsock"}'] == 1 and found['attestd_nsm_calls_total{reach="public"}'] == 0
    assert found["attestd_generated_keys"] == 1


def test_every_metric_is_explained_once(server):
    lines = server.get("/metrics").body.decode().splitlines()
    helped = [line.split()[2] for line in lines if line.startswith("# HELP ")]
    assert len(helped) == len(set(helped))
    named = {METRIC.match(line).group(1) for line in lines if not line.startswith("#")}
    assert {re.sub("_(sum|count)$", "", n) if n.endswith(("_sum", "_count")) else n for n in named} == set(helped)
