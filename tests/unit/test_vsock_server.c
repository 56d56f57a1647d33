/* The vsock JSON protocol's connections: requests as they come, limits, deadlines, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vsock_fixture.h"

/* ---- what is asked and answered ---- */

static void ping_answers_with_the_time(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	assert_string_equal(ask(&t, PING), PONG);
	assert_true(at_rest(&t));
	const struct vsock_counters c = counted(&t);
	assert_true(c.connections_total == 1 && c.requests == 1 && c.failed == 0 && c.timeouts == 0);
	world_close(&t);
}

static void status_tells_port_and_uptime(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	t.mono_ms += 61999;
	assert_string_equal(
		ask(&t, "{\"command\":\"status\"}\n"),
		"{\"success\":true,\"status\":\"running\",\"port\":9000,\"uptime\":61,\"version\":\"1.2.3\","
		"\"nsm\":\"held\",\"debug_mode\":null}\n");
	t.server->port = 0;
	assert_has(ask(&t, "{\"command\":\"status\"}\n"), "\"port\":null,");
	world_close(&t);
}

static void a_request_may_come_in_pieces_of_one_byte(void **state)
{
	static const char request[] = " {\"command\":\"ping\"} \r\n";
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	assert_null(t.server->conns->in.p); /* whoever says nothing costs no buffer */
	for (size_t i = 0; i < sizeof request - 1; i++) {
		assert_true(silent(fd));
		say(&t, fd, bytes_of(request + i, 1));
	}
	assert_string_equal(hear(&t, fd), PONG);
	world_close(&t);
}

static void the_end_of_the_stream_ends_a_request_too(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT("{\"command\":\"ping\"}"));
	assert_true(silent(fd));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_string_equal(hear(&t, fd), PONG);
	world_close(&t);
}

static void whoever_sends_nothing_gets_nothing(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_string_equal(hear(&t, fd), "");
	const struct vsock_counters c = counted(&t);
	assert_true(c.requests == 0 && c.failed == 0 && c.connections_open == 0);
	world_close(&t);
}

static void what_follows_the_newline_is_not_looked_at(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	assert_string_equal(ask(&t, PING "garbage\n" PING), PONG);
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT(PING));
	say(&t, fd, BYTES_LIT("more that is read and thrown away, so that the reply is not lost"));
	assert_string_equal(hear(&t, fd), PONG);
	assert_int_equal(counted(&t).requests, 2);
	world_close(&t);
}

static void faults_are_told(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	assert_failed(ask(&t, "[]\n"), "Invalid JSON request: it is not an object", "validation_failed");
	assert_has(ask(&t, "{\"command\":\"ping\"}{\"command\":\"ping\"}\n"),
		   "\"error\":\"Invalid JSON request: line 1, ");
	assert_has(ask(&t, "\n"), "\"error\":\"Invalid JSON request: ");
	assert_string_equal(ask(&t, "{\"command\":\"a\\\"b\"}\n"),
			    "{\"success\":false,\"error\":\"Unknown command: a\\\"b\",\"code\":\"unknown_command\","
			    "\"available_commands\":[\"ping\",\"attest\",\"status\"]}\n");
	assert_failed(ask(&t, "{\"command\":\"ping\",\"x\":1}\n"),
		      "Failed to process request: \\\"x\\\" is not a known member.", "validation_failed");
	assert_int_equal(counted(&t).failed, 5);
	world_close(&t);
}

/* ---- limits ---- */

static void fill(uint8_t *b, size_t n)
{
	memset(b, ' ', n);
	memcpy(b, "{\"command\":\"ping\"}", 18);
}

static void a_request_may_have_8192_bytes(void **state)
{
	static uint8_t line[VSOCK_REQUEST_MAX + 1];
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	fill(line, sizeof line);
	int fd = join(&t);
	say(&t, fd, bytes_of(line, VSOCK_REQUEST_MAX));
	assert_true(silent(fd));
	say(&t, fd, BYTES_LIT("\n"));
	assert_string_equal(hear(&t, fd), PONG);
	fd = join(&t);
	say(&t, fd, bytes_of(line, VSOCK_REQUEST_MAX));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_string_equal(hear(&t, fd), PONG);
	/* One more is refused without waiting for the end. */
	fd = join(&t);
	say(&t, fd, bytes_of(line, VSOCK_REQUEST_MAX + 1));
	assert_false(silent(fd));
	assert_failed(hear(&t, fd), "The request is longer than 8192 bytes.", "body_too_large");
	assert_int_equal(counted(&t).requests, 2);
	world_close(&t);
}

static void of_a_request_that_is_too_long_a_mebibyte_is_thrown_away(void **state)
{
	static uint8_t block[16 * 1024];
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	memset(block, 'x', sizeof block);
	size_t sent = 0;
	for (; sent < 2 * VSOCK_DISCARD_MAX; sent += sizeof block) {
		if (send(fd, block, sizeof block, MSG_NOSIGNAL) < 0)
			break;
		turns(&t);
		assert_true(t.server->conns == NULL || t.server->conns->in.p == NULL);
	}
	assert_true(sent >= VSOCK_DISCARD_MAX && sent <= VSOCK_DISCARD_MAX + 4 * sizeof block);
	assert_int_equal(counted(&t).connections_open, 0);
	assert_failed(hear(&t, fd), "The request is longer than 8192 bytes.", "body_too_large");
	world_close(&t);
}

static void the_rate_is_judged_before_anything_is_read(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){.server = {.burst = 2}});
	for (int i = 0; i < 2; i++)
		assert_string_equal(ask(&t, PING), PONG);
	const int fd = join(&t);
	assert_failed(hear(&t, fd), "More than 1 requests a second were made; try again in 1 s.", "rate_limited");
	t.mono_ms += 999;
	assert_has(hear(&t, join(&t)), "rate_limited");
	t.mono_ms += 1;
	assert_string_equal(ask(&t, PING), PONG);
	const struct vsock_counters c = counted(&t);
	assert_true(c.connections_refused == 2 && c.connections_total == 3 && c.requests == 3 && c.failed == 0);
	world_close(&t);
}

static void one_connection_more_than_allowed_is_refused_and_takes_no_token(void **state)
{
	struct world t;
	int fd[WORLD_CONNECTIONS];
	(void)state;
	world_open(&t, &(struct world_options){.server = {.burst = WORLD_CONNECTIONS + 1}});
	for (int i = 0; i < WORLD_CONNECTIONS; i++)
		fd[i] = join(&t);
	for (int i = 0; i < 3; i++)
		assert_failed(hear(&t, join(&t)), "Too many connections are open; try again shortly.",
			      "too_many_connections");
	leave(&t, fd[0]);
	fd[0] = join(&t);
	for (int i = 0; i < WORLD_CONNECTIONS; i++) {
		say(&t, fd[i], BYTES_LIT(PING));
		assert_string_equal(hear(&t, fd[i]), PONG);
	}
	assert_int_equal(counted(&t).connections_refused, 3);
	assert_true(at_rest(&t));
	world_close(&t);
}

static void a_burst_of_refusals_is_a_line_in_the_log(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){.server = {.burst = 1}});
	assert_string_equal(ask(&t, PING), PONG);
	for (int i = 0; i < 5; i++)
		assert_has(hear(&t, join(&t)), "rate_limited");
	assert_int_equal(logged(&t, " warn vsock_refused connections=1 open=0\n"), 1);
	assert_int_equal(logged(&t, "vsock_refused"), 1);
	t.mono_ms += 9999;
	assert_string_equal(ask(&t, PING), PONG);
	assert_has(hear(&t, join(&t)), "rate_limited");
	assert_int_equal(logged(&t, "vsock_refused"), 1);
	t.mono_ms += 1;
	assert_has(hear(&t, join(&t)), "rate_limited");
	assert_int_equal(logged(&t, " warn vsock_refused connections=6 open=0\n"), 1);
	assert_int_equal(counted(&t).connections_refused, 7);
	assert_int_equal(counted(&t).failed, 0);
	world_close(&t);
}

/* ---- deadlines ---- */

static void a_request_must_be_complete_in_time_however_it_trickles(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int mute = join(&t), slow = join(&t);
	t.mono_ms += WORLD_REQUEST_MS - 1;
	say(&t, slow, BYTES_LIT("{\"command\":"));
	assert_true(silent(mute) && silent(slow));
	t.mono_ms += 1;
	turns(&t);
	assert_string_equal(hear(&t, mute), "");
	assert_failed(hear(&t, slow), "The request was not complete within 10 s.", "malformed_request");
	assert_int_equal(counted(&t).timeouts, 2);
	assert_int_equal(counted(&t).failed, 1);
	assert_true(at_rest(&t));
	world_close(&t);
}

static void a_peer_has_a_second_to_take_the_end(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT(PING));
	t.mono_ms += VSOCK_LINGER_MS - 1;
	turns(&t);
	assert_int_equal(counted(&t).connections_open, 1);
	t.mono_ms += 1;
	turns(&t);
	assert_true(at_rest(&t));
	assert_int_equal(counted(&t).timeouts, 0); /* it was answered */
	assert_string_equal(hear(&t, fd), PONG);
	world_close(&t);
}

/* Leaves so little room behind the socket that a reply with a document does not fit. */
static int hard_of_hearing(struct world *t)
{
	const int fd = join(t), little = 1;
	assert_int_equal(setsockopt(t->server->conns->io.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);
	say(t, fd, BYTES_LIT("{\"command\":\"attest\"}\n"));
	UNTIL(t, t->server->conns->state == VSOCK_WRITING && t->server->conns->sent > 0);
	return fd;
}

static void a_reply_must_be_taken_in_time(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int taken = hard_of_hearing(&t);
	const char *reply = hear(&t, taken);
	assert_has(reply, "\"tee_verified\":false");
	assert_int_equal(reply[strlen(reply) - 1], '\n');
	const int fd = hard_of_hearing(&t);
	t.mono_ms += WORLD_REQUEST_MS - 1;
	turns(&t);
	assert_int_equal(counted(&t).connections_open, 1);
	t.mono_ms += 1;
	turns(&t);
	assert_true(at_rest(&t));
	assert_int_equal(counted(&t).timeouts, 1);
	leave(&t, fd);
	const int gone = hard_of_hearing(&t);
	leave(&t, gone);
	assert_true(at_rest(&t));
	world_close(&t);
}

/* ---- the end ---- */

static void on_drained(void *ctx)
{
	((struct world *)ctx)->drained++;
}

static void an_idle_server_is_drained_at_once(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int fd = join(&t);
	vsock_drain(t.server, 60000, on_drained, &t);
	assert_int_equal(t.drained, 1);
	assert_string_equal(hear(&t, fd), "");
	vsock_drain(t.server, 60000, on_drained, &t);
	turns(&t);
	assert_int_equal(t.drained, 1);
	const int late = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(late, (struct sockaddr *)&t.at.sa, t.at.len), -1);
	close(late);
	world_close(&t);
}

static void requests_under_way_are_answered_before_the_end(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int begun = join(&t), sent = join(&t), working = join(&t);
	t.held = true;
	say(&t, begun, BYTES_LIT("{\"command\":"));
	say(&t, working, BYTES_LIT("{\"command\":\"attest\"}\n"));
	UNTIL(&t, t.calls == 1);
	assert_int_equal(send(sent, PING, sizeof PING - 1, MSG_NOSIGNAL), sizeof PING - 1); /* not yet read */
	vsock_drain(t.server, 60000, on_drained, &t);
	assert_string_equal(hear(&t, sent), PONG);
	say(&t, begun, BYTES_LIT("\"ping\"}\n"));
	assert_string_equal(hear(&t, begun), PONG);
	assert_int_equal(t.drained, 0);
	t.held = false;
	assert_has(hear(&t, working), "{\"success\":true,\"attestation_document\":\"");
	assert_int_equal(t.drained, 1);
	assert_true(at_rest(&t));
	world_close(&t);
}

static void the_end_waits_no_longer_than_it_may(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int begun = join(&t), working = join(&t);
	t.held = true;
	say(&t, begun, BYTES_LIT("{"));
	say(&t, working, BYTES_LIT("{\"command\":\"attest\"}\n"));
	UNTIL(&t, t.calls == 1);
	vsock_drain(t.server, 1000, on_drained, &t);
	t.mono_ms += 999;
	turns(&t);
	assert_int_equal(t.drained, 0);
	t.mono_ms += 1;
	turns(&t);
	assert_int_equal(t.drained, 1);
	assert_failed(hear(&t, working), "Failed to process request: The server is stopping.", "busy");
	close(begun);
	world_close(&t);
}

static void it_can_end_with_connections_in_every_state(void **state)
{
	struct world t;
	(void)state;
	world_open(&t, &(struct world_options){0});
	const int writing = hard_of_hearing(&t), idle = join(&t), begun = join(&t), lingering = join(&t),
		  working = join(&t), queued = join(&t);
	t.held = true;
	say(&t, begun, BYTES_LIT("{"));
	say(&t, lingering, BYTES_LIT(PING));
	say(&t, working, BYTES_LIT("{\"command\":\"attest\"}\n"));
	say(&t, queued, BYTES_LIT("{\"command\":\"attest\"}\n"));
	UNTIL(&t, t.calls == 2);
	assert_int_equal(counted(&t).connections_open, 6);
	world_close(&t);
	close(idle);
	close(begun);
	close(lingering);
	close(working);
	close(queued);
	close(writing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ping_answers_with_the_time),
		cmocka_unit_test(status_tells_port_and_uptime),
		cmocka_unit_test(a_request_may_come_in_pieces_of_one_byte),
		cmocka_unit_test(the_end_of_the_stream_ends_a_request_too),
		cmocka_unit_test(whoever_sends_nothing_gets_nothing),
		cmocka_unit_test(what_follows_the_newline_is_not_looked_at),
		cmocka_unit_test(faults_are_told),
		cmocka_unit_test(a_request_may_have_8192_bytes),
		cmocka_unit_test(of_a_request_that_is_too_long_a_mebibyte_is_thrown_away),
		cmocka_unit_test(the_rate_is_judged_before_anything_is_read),
		cmocka_unit_test(one_connection_more_than_allowed_is_refused_and_takes_no_token),
		cmocka_unit_test(a_burst_of_refusals_is_a_line_in_the_log),
		cmocka_unit_test(a_request_must_be_complete_in_time_however_it_trickles),
		cmocka_unit_test(a_peer_has_a_second_to_take_the_end),
		cmocka_unit_test(a_reply_must_be_taken_in_time),
		cmocka_unit_test(an_idle_server_is_drained_at_once),
		cmocka_unit_test(requests_under_way_are_answered_before_the_end),
		cmocka_unit_test(the_end_waits_no_longer_than_it_may),
		cmocka_unit_test(it_can_end_with_connections_in_every_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
