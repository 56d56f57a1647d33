/* What moves a connection's bytes: pipes, buffers, shares of a turn, and how the end of a stream is passed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/proxy_parts.h"

enum { CHUNK = 32 * 1024 };

/* Two socket pairs: the outer ends are the test's, the inner ones the stream's. */
struct world {
	struct buffers buffers;
	struct stream s;
	int outer[ENDS];
	uint64_t moved;
};

static void set_up(struct world *t)
{
	*t = (struct world){0};
	for (int i = 0; i < ENDS; i++) {
		int pair[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		t->outer[i] = pair[0];
		t->s.end[i].io.fd = pair[1];
	}
}

static void tear_down(struct world *t)
{
	stream_clear(&t->buffers, &t->s);
	buffers_free(&t->buffers);
	for (int i = 0; i < ENDS; i++) {
		(void)close(t->outer[i]);
		(void)close(t->s.end[i].io.fd);
	}
}

static enum flow move(struct world *t)
{
	t->s.end[CLIENT].readable = t->s.end[TARGET].writable = true;
	return stream_move(&t->buffers, &t->s, CLIENT, &t->moved);
}

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

/* As much as goes in, from number `at` on. */
static uint64_t push(int fd, uint64_t at)
{
	static uint8_t b[CHUNK];
	for (;;) {
		for (size_t i = 0; i < sizeof b; i++)
			b[i] = byte_at(at + i);
		const ssize_t n = send(fd, b, sizeof b, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return at;
		at += (uint64_t)n;
	}
}

/* What is there, which must be the bytes from number `at` on. */
static uint64_t pull(int fd, uint64_t at)
{
	static uint8_t b[CHUNK];
	ssize_t n;
	while ((n = recv(fd, b, sizeof b, MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(b[i], byte_at(at++));
	return at;
}

static bool at_end(int fd)
{
	char b;
	return recv(fd, &b, 1, MSG_DONTWAIT) == 0;
}

static void bytes_and_then_the_end_are_passed_on(void **state)
{
	struct world t;
	char b[8];
	(void)state;
	set_up(&t);
	assert_int_equal(send(t.outer[CLIENT], "tail", 4, 0), 4);
	assert_int_equal(shutdown(t.outer[CLIENT], SHUT_WR), 0);
	assert_int_equal(move(&t), FLOW_WAITS);
	assert_int_equal(t.moved, 4);
	assert_true(t.s.half[CLIENT].done);
	assert_int_equal(recv(t.outer[TARGET], b, sizeof b, 0), 4);
	assert_memory_equal(b, "tail", 4);
	assert_true(at_end(t.outer[TARGET]));
	assert_int_equal(move(&t), FLOW_WAITS); /* and once is enough */
	tear_down(&t);
}

static void nothing_is_held_where_nothing_waits(void **state)
{
	struct world t;
	(void)state;
	set_up(&t);
	assert_int_equal(move(&t), FLOW_WAITS);
	assert_false(t.s.end[CLIENT].readable);
	assert_null(t.s.half[CLIENT].held);
	assert_int_equal(send(t.outer[CLIENT], "x", 1, 0), 1);
	assert_int_equal(move(&t), FLOW_WAITS);
	assert_null(t.s.half[CLIENT].held);
	assert_int_equal(t.buffers.n_kept[BUFFER_PIPE], 1);
	tear_down(&t);
}

/* Has the writer write until nothing goes on; returns how much it got rid of. */
static uint64_t write_to_one_that_does_not_read(struct world *t)
{
	uint64_t at = 0, before;
	do {
		before = at;
		at = push(t->outer[CLIENT], at);
		assert_int_not_equal(move(t), FLOW_BROKEN);
	} while (at > before);
	return at;
}

static void read_all(struct world *t, uint64_t at)
{
	uint64_t got = 0, before;
	do {
		before = got;
		assert_int_not_equal(move(t), FLOW_BROKEN);
		got = pull(t->outer[TARGET], got);
	} while (got > before);
	assert_int_equal(got, at);
	assert_int_equal(t->moved, at);
	assert_null(t->s.half[CLIENT].held);
}

static void a_reader_that_does_not_read_costs_one_buffer(void **state)
{
	struct world t;
	int room;
	socklen_t len = sizeof room;
	(void)state;
	for (int copies = 0; copies < 2; copies++) {
		set_up(&t);
		t.s.half[CLIENT].copies = copies;
		assert_int_equal(getsockopt(t.outer[CLIENT], SOL_SOCKET, SO_SNDBUF, &room, &len), 0);
		const uint64_t at = write_to_one_that_does_not_read(&t);
		assert_non_null(t.s.half[CLIENT].held);
		/* A socket takes one more write as long as it is not full. */
		assert_true(at <= 2 * ((uint64_t)room + CHUNK) + PROXY_BUFFER);
		read_all(&t, at);
		tear_down(&t);
	}
}

static void a_receiver_that_does_not_splice_gets_copies(void **state)
{
	struct world t;
	(void)state;
	set_up(&t);
	/* splice(2) refuses it with EINVAL, after the bytes are in the pipe. */
	assert_int_equal(fcntl(t.s.end[TARGET].io.fd, F_SETFL, O_NONBLOCK | O_APPEND), 0);
	const uint64_t at = write_to_one_that_does_not_read(&t);
	assert_true(t.s.half[CLIENT].copies);
	assert_false(t.s.half[TARGET].copies);
	read_all(&t, at);
	assert_int_equal(t.buffers.n_kept[BUFFER_MEMORY], 1);
	tear_down(&t);
}

static void without_a_descriptor_for_a_pipe_bytes_are_copied(void **state)
{
	struct world t;
	struct rlimit before, none;
	(void)state;
	set_up(&t);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	const uint64_t at = write_to_one_that_does_not_read(&t);
	read_all(&t, at);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(t.buffers.n_kept[BUFFER_PIPE], 0);
	assert_int_equal(t.buffers.n_kept[BUFFER_MEMORY], 1);
	assert_false(t.s.half[CLIENT].copies); /* pipes are tried for again */
	tear_down(&t);
}

/* More than a turn's share can wait in there. */
static int widen(int fd)
{
	const int room = 4 * PROXY_TURN_BYTES;
	return setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
}

static void a_turn_moves_no_more_than_its_share(void **state)
{
	struct world t;
	(void)state;
	set_up(&t);
	if (widen(t.outer[CLIENT]) != 0 || widen(t.s.end[TARGET].io.fd) != 0) {
		print_message("[   SKIP   ] only the superuser may widen a socket's buffer\n");
		tear_down(&t);
		skip();
	}
	const uint64_t at = push(t.outer[CLIENT], 0);
	assert_true(at > 2 * PROXY_TURN_BYTES);
	assert_int_equal(move(&t), FLOW_MORE);
	assert_in_range(t.moved, PROXY_TURN_BYTES, PROXY_TURN_BYTES + PROXY_BUFFER - 1);
	read_all(&t, at);
	tear_down(&t);
}

static void few_pipes_are_kept(void **state)
{
	enum { STREAMS = PROXY_BUFFERS_KEPT + 1 };
	struct world t[STREAMS];
	struct buffers v = {0};
	uint64_t at[STREAMS];
	(void)state;
	for (int i = 0; i < STREAMS; i++) {
		set_up(&t[i]);
		t[i].buffers = v;
		at[i] = write_to_one_that_does_not_read(&t[i]);
		v = t[i].buffers;
		assert_int_equal(v.n_kept[BUFFER_PIPE], 0);
	}
	for (int i = 0; i < STREAMS; i++) {
		t[i].buffers = v;
		read_all(&t[i], at[i]);
		v = t[i].buffers;
		t[i].buffers = (struct buffers){0};
	}
	assert_int_equal(v.n_kept[BUFFER_PIPE], PROXY_BUFFERS_KEPT);
	buffers_free(&v);
	for (int i = 0; i < STREAMS; i++)
		tear_down(&t[i]);
}

static void a_pipe_that_holds_bytes_is_not_kept(void **state)
{
	struct world t;
	(void)state;
	set_up(&t);
	(void)write_to_one_that_does_not_read(&t);
	stream_clear(&t.buffers, &t.s);
	assert_int_equal(t.buffers.n_kept[BUFFER_PIPE], 0);
	tear_down(&t);
}

static void the_end_of_one_that_failed_is_not_passed_on(void **state)
{
	struct world t;
	char b[8];
	(void)state;
	set_up(&t);
	assert_int_equal(send(t.outer[CLIENT], "half", 4, 0), 4);
	assert_int_equal(shutdown(t.outer[CLIENT], SHUT_WR), 0);
	t.s.end[CLIENT].failed = true;
	assert_int_equal(move(&t), FLOW_BROKEN);
	assert_int_equal(recv(t.outer[TARGET], b, sizeof b, 0), 4);
	assert_false(at_end(t.outer[TARGET]));
	tear_down(&t);
}

static void a_receiver_that_is_gone_breaks_the_stream(void **state)
{
	struct world t;
	(void)state;
	for (int copies = 0; copies < 2; copies++) {
		set_up(&t);
		t.s.half[CLIENT].copies = copies;
		assert_int_equal(send(t.outer[CLIENT], "x", 1, 0), 1);
		assert_int_equal(shutdown(t.outer[TARGET], SHUT_RD), 0);
		assert_int_equal(move(&t), FLOW_BROKEN);
		tear_down(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_then_the_end_are_passed_on),
		cmocka_unit_test(nothing_is_held_where_nothing_waits),
		cmocka_unit_test(a_reader_that_does_not_read_costs_one_buffer),
		cmocka_unit_test(a_receiver_that_does_not_splice_gets_copies),
		cmocka_unit_test(without_a_descriptor_for_a_pipe_bytes_are_copied),
		cmocka_unit_test(a_turn_moves_no_more_than_its_share),
		cmocka_unit_test(few_pipes_are_kept),
		cmocka_unit_test(a_pipe_that_holds_bytes_is_not_kept),
		cmocka_unit_test(the_end_of_one_that_failed_is_not_passed_on),
		cmocka_unit_test(a_receiver_that_is_gone_breaks_the_stream),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
