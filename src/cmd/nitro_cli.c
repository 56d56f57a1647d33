/* nitro_cli.c - which enclaves run on this machine, as nitro-cli tells. */
#include "nitro_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "json.h"

enum {
	TEXT_READ_MAX = 64,
	BLOCK = 16 * 1024,
	CHECK_MS = 10, /* between looks whether it has ended */
};

/* ---- what it prints ---- */

static enum err strange(const char *what, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT,
		       "what nitro-cli describe-enclaves prints is not understood: %s. Say which enclave with --cid",
		       what);
}

static void keep_text(const struct json_value *v, char out[NITRO_TEXT_MAX])
{
	struct buf plain = BUF_INIT(TEXT_READ_MAX * 16);
	if (v == NULL || json_type(v) != JSON_STRING)
		return;
	const struct bytes text = json_string(v);
	buf_put_plain(&plain, bytes_of(text.p, text.n < TEXT_READ_MAX ? text.n : TEXT_READ_MAX));
	const char *s = buf_cstr(&plain);
	if (s != NULL)
		(void)snprintf(out, NITRO_TEXT_MAX, "%s", s);
	buf_free(&plain);
}

static bool is_running(const struct json_value *enclave)
{
	const struct json_value *state = json_get(enclave, "State");
	return state == NULL || (json_type(state) == JSON_STRING && bytes_is(json_string(state), "RUNNING"));
}

static enum err read_one(const struct json_value *v, struct nitro_enclaves *out, struct why *w)
{
	if (json_type(v) != JSON_OBJECT)
		return strange("an enclave is no object", w);
	if (!is_running(v))
		return ERR_OK;
	const struct json_value *cid = json_get(v, "EnclaveCID");
	if (cid == NULL || json_type(cid) != JSON_INT || json_int(cid) < 0 || json_int(cid) >= UINT32_MAX)
		return strange("an enclave has no EnclaveCID", w);
	if (out->n == NITRO_ENCLAVES_MAX)
		return strange("it lists too many enclaves", w);
	struct nitro_enclave *e = &out->list[out->n++];
	e->cid = (uint32_t)json_int(cid);
	keep_text(json_get(v, "EnclaveName"), e->name);
	keep_text(json_get(v, "EnclaveID"), e->id);
	return ERR_OK;
}

enum err nitro_cli_parse(struct bytes text, struct nitro_enclaves *out, struct why *w)
{
	struct json *json = NULL;
	struct nitro_enclaves read = {.n = 0};
	struct why inner = {0};
	enum err e = json_parse(&json, text, &inner);
	if (e == ERR_INVALID)
		return strange("it is not JSON", w);
	if (e != ERR_OK) {
		*w = inner;
		return e;
	}
	const struct json_value *all = json_root(json);
	if (json_type(all) != JSON_ARRAY)
		e = strange("it is no array", w);
	const struct json_value *one = NULL;
	while (e == ERR_OK && json_next(all, NULL, &one))
		e = read_one(one, &read, w);
	if (e == ERR_OK)
		*out = read;
	json_free(json);
	return e;
}

/* ---- running it ---- */

static enum err cannot_run(int error, struct why *w)
{
	if (error == ENOENT)
		return why_set(
			w, ERR_ENVIRONMENT,
			"there is no nitro-cli in PATH to ask which enclaves run: install it (aws-nitro-enclaves-cli), or "
			"say which enclave with --cid");
	return why_set(w, ERR_ENVIRONMENT,
		       "nitro-cli cannot be run (%s): run this with sudo, or say which enclave with --cid",
		       strerror(error));
}

/* 0, or the error number. */
static int spawn(int output, pid_t *pid)
{
	char name[] = "nitro-cli", verb[] = "describe-enclaves";
	char *const words[] = {name, verb, NULL};
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);
	if (error != 0)
		return error;
	error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (error == 0)
		error = posix_spawnp(pid, name, &actions, NULL, words, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return error;
}

static enum err too_late(struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT,
		       "nitro-cli describe-enclaves did not end within %d s: say which enclave with --cid",
		       NITRO_CLI_MS / 1000);
}

static enum err read_output(int fd, const struct clock *clock, int64_t deadline, struct buf *out, struct why *w)
{
	for (int left; (left = clock_left_ms(clock, deadline)) > 0;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, left) <= 0)
			continue;
		uint8_t *to = buf_reserve(out, BLOCK);
		if (to == NULL)
			return buf_check(out, w);
		const ssize_t n = read(fd, to, BLOCK);
		if (n == 0)
			return ERR_OK;
		if (n < 0 && errno != EINTR)
			return why_set(w, ERR_ENVIRONMENT, "what nitro-cli prints cannot be read: %s", strerror(errno));
		out->n += n > 0 ? (size_t)n : 0;
		if (out->n > NITRO_CLI_OUTPUT_MAX)
			return strange("it is too long", w);
	}
	return too_late(w);
}

static enum err judge(const siginfo_t *end, struct why *w)
{
	const bool exited = end->si_code == CLD_EXITED;
	if (exited && end->si_status == 0)
		return ERR_OK;
	return why_set(
		w, ERR_ENVIRONMENT,
		"nitro-cli describe-enclaves failed (%s %d). If it lacks a permission, run this with sudo; or say which "
		"enclave with --cid",
		exited ? "exit status" : "signal", end->si_status);
}

/* It may close its output and stay. Not reaped yet, its process id is still its own when it is killed. */
static enum err wait_for(pid_t pid, const struct clock *clock, int64_t deadline, struct why *w)
{
	siginfo_t end = {.si_pid = 0};
	while (waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid == 0 &&
	       clock_left_ms(clock, deadline) > 0)
		(void)poll(NULL, 0, CHECK_MS);
	return end.si_pid == pid ? judge(&end, w) : too_late(w);
}

static enum err run(const struct clock *clock, struct buf *out, struct why *w)
{
	const int64_t deadline = clock_mono(clock) + NITRO_CLI_MS;
	int ends[2];
	pid_t pid = -1;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return why_set(w, ERR_ENVIRONMENT, "nitro-cli cannot be run: %s", strerror(errno));
	signal(SIGCHLD, SIG_DFL); /* whoever started us may ignore it, and the child would be gone before it is asked */
	const int error = spawn(ends[1], &pid);
	(void)close(ends[1]);
	enum err e = error != 0 ? cannot_run(error, w) : read_output(ends[0], clock, deadline, out, w);
	(void)close(ends[0]);
	if (e == ERR_OK)
		e = wait_for(pid, clock, deadline, w);
	if (error == 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return e;
}

enum err nitro_cli_running(const struct clock *clock, struct nitro_enclaves *out, struct why *w)
{
	struct buf text = BUF_INIT(NITRO_CLI_OUTPUT_MAX + BLOCK);
	enum err e = run(clock, &text, w);
	if (e == ERR_OK)
		e = nitro_cli_parse(buf_bytes(&text), out, w);
	buf_free(&text);
	return e;
}
