/* metrics.c - GET /metrics, in the text form of Prometheus. */
#include "internal.h"

#include <stddef.h>

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP attestd_%s %s\n# TYPE attestd_%s %s\n", name, help, name, type);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	head(b, name, type, help);
	buf_printf(b, "attestd_%s %llu\n", name, (unsigned long long)value);
}

/* The first n of them, in the order that HTTP and the NSM's budget have in common. */
static void by_reach(struct buf *b, const char *name, const char *type, const char *help, const uint64_t *value,
		     size_t n)
{
	head(b, name, type, help);
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "attestd_%s{reach=\"%s\"} %llu\n", name, i < HTTP_REACHES ? http_reach_name(i) : "vsock",
			   (unsigned long long)value[i]);
}

static void put_vsock(struct buf *b, const struct vsock_server *s)
{
	struct vsock_counters c;
	vsock_count(s, &c);
	one(b, "vsock_requests_total", "counter", "Requests of the vsock JSON protocol that came whole.", c.requests);
	one(b, "vsock_failed_total", "counter", "Replies of it that were errors, to connections that were not refused.",
	    c.failed);
	one(b, "vsock_connections", "gauge", "Connections of it open now.", c.connections_open);
	one(b, "vsock_connections_total", "counter", "Connections of it accepted.", c.connections_total);
	one(b, "vsock_connections_refused_total", "counter", "Connections of it refused by rate or at the limit.",
	    c.connections_refused);
	one(b, "vsock_timeouts_total", "counter", "Connections of it whose request, answer or reply took too long.",
	    c.timeouts);
}

static void tls_row(struct buf *b, const struct http_server *s, const char *name, const char *type, const char *help,
		    size_t offset)
{
	static const enum http_reach reaches[] = {HTTP_TLS, HTTP_PEER_TLS};
	head(b, name, type, help);
	for (size_t i = 0; i < sizeof reaches / sizeof reaches[0]; i++) {
		struct tls_front_counters c;
		http_count_tls(s, reaches[i], &c);
		const uint64_t *value = (const uint64_t *)(const void *)((const char *)&c + offset);
		buf_printf(b, "attestd_%s{reach=\"%s\"} %llu\n", name, http_reach_name(http_reach_index(reaches[i])),
			   (unsigned long long)*value);
	}
}

static void put_tls(struct buf *b, const struct http_server *s)
{
	tls_row(b, s, "tls_handshakes_total", "counter", "TLS handshakes that were completed.",
		offsetof(struct tls_front_counters, handshakes));
	tls_row(b, s, "tls_handshakes_failed_total", "counter", "TLS handshakes that came to nothing.",
		offsetof(struct tls_front_counters, failed));
	tls_row(b, s, "tls_handshakes_timed_out_total", "counter", "Those of them that took too long.",
		offsetof(struct tls_front_counters, timed_out));
	tls_row(b, s, "tls_handshakes_refused_total", "counter",
		"Connections closed because too many handshakes were under way.",
		offsetof(struct tls_front_counters, refused));
	tls_row(b, s, "tls_connections", "gauge", "TLS connections open now, those in their handshake among them.",
		offsetof(struct tls_front_counters, open));
	tls_row(b, s, "tls_handshaking", "gauge", "TLS handshakes under way now.",
		offsetof(struct tls_front_counters, handshaking));
}

static void put_private_data(struct buf *b, struct private_data *p)
{
	struct private_store_usage use;
	struct why w = {0};
	if (p == NULL || private_data_usage(p, &use, &w) != ERR_OK)
		return;
	one(b, "private_data_items", "gauge", "Items of private data kept now.", (uint64_t)use.items);
	one(b, "private_data_bytes", "gauge", "Bytes of private data kept now.", (uint64_t)use.bytes);
}

void api_metrics(void *ctx, struct http_req *r)
{
	const struct app *app = ctx;
	struct http_counters c;
	http_count(app->http, &c);
	struct buf b = BUF_INIT(API_REPLY_MAX);
	by_reach(&b, "http_requests_total", "counter", "Requests whose header was complete.", c.requests, HTTP_REACHES);
	head(&b, "http_replies_total", "counter", "Replies by status class.");
	for (unsigned i = 2; i <= 5; i++)
		if (i != 3)
			buf_printf(&b, "attestd_http_replies_total{class=\"%uxx\"} %llu\n", i,
				   (unsigned long long)c.replies[i]);
	head(&b, "http_request_seconds", "summary", "From complete header to queued reply.");
	buf_printf(&b, "attestd_http_request_seconds_sum %.6f\nattestd_http_request_seconds_count %llu\n",
		   (double)c.duration_us_sum / 1e6, (unsigned long long)(c.replies[2] + c.replies[4] + c.replies[5]));
	by_reach(&b, "http_connections", "gauge", "Connections open now.", c.connections_open, HTTP_REACHES);
	by_reach(&b, "http_connections_total", "counter", "Connections accepted.", c.connections_total, HTTP_REACHES);
	by_reach(&b, "http_connections_refused_total", "counter", "Connections refused at the limit.",
		 c.connections_refused, HTTP_REACHES);
	one(&b, "http_timeouts_total", "counter", "Connections shut down for being slow or idle.", c.timeouts);
	one(&b, "http_aborted_total", "counter", "Requests whose connection ended before the reply was sent.",
	    c.aborted);
	one(&b, "http_inflight_bytes", "gauge", "Request body bytes held now.", c.inflight_bytes);
	one(&b, "store_commits_failed_total", "counter", "Turns whose transaction was rolled back.", c.commits_failed);
	one(&b, "sessions_active", "gauge", "Sessions alive now.", sessions_count(app->sessions));
	one(&b, "sessions_seen_ivs", "gauge", "Messages kept for replay checks.", sessions_seen_ivs(app->sessions));
	put_tls(&b, app->http);
	put_private_data(&b, app->private_data);
	put_vsock(&b, app->vsock);
	one(&b, "generated_keys", "gauge", "Generated keys kept now.", keys_count(app->keys));
	by_reach(&b, "nsm_calls_total", "counter", "Attestations admitted to the NSM's queue.", app->budget.calls,
		 BUDGET_REACHES);
	by_reach(&b, "nsm_refused_total", "counter", "Attestations refused by rate or queue.", app->budget.refused,
		 BUDGET_REACHES);
	one(&b, "nsm_queue", "gauge", "NSM calls under way or waiting.", loop_jobs(app->loop, LANE_NSM));
	one(&b, "worker_queue", "gauge", "Worker jobs under way or waiting.", loop_jobs(app->loop, LANE_CPU));
	one(&b, "bulk_queue", "gauge", "Jobs on heavy bodies, and verifications, under way or waiting.",
	    loop_jobs(app->loop, LANE_BULK));
	one(&b, "key_queue", "gauge", "Key pairs being made or waiting to be.", loop_jobs(app->loop, LANE_KEYS));
	head(&b, "uptime_seconds", "gauge", "Seconds since the start.");
	buf_printf(&b, "attestd_uptime_seconds %.3f\n", (double)(loop_now_ms(app->loop) - app->started_mono_ms) / 1e3);
	http_reply_type(r, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}
