/* metrics.c - GET /metrics, in the text form of Prometheus. */
#include "internal.h"

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP attestd_%s %s\n# TYPE attestd_%s %s\n", name, help, name, type);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	head(b, name, type, help);
	buf_printf(b, "attestd_%s %llu\n", name, (unsigned long long)value);
}

static void by_reach(struct buf *b, const char *name, const char *type, const char *help,
		     const uint64_t value[HTTP_REACHES])
{
	head(b, name, type, help);
	buf_printf(b, "attestd_%s{reach=\"local\"} %llu\nattestd_%s{reach=\"public\"} %llu\n", name,
		   (unsigned long long)value[0], name, (unsigned long long)value[1]);
}

void api_metrics(void *ctx, struct http_req *r)
{
	const struct app *app = ctx;
	struct http_counters c;
	http_count(app->http, &c);
	struct buf b = BUF_INIT(API_REPLY_MAX);
	by_reach(&b, "http_requests_total", "counter", "Requests whose header was complete.", c.requests);
	head(&b, "http_replies_total", "counter", "Replies by status class.");
	for (unsigned i = 2; i <= 5; i++)
		if (i != 3)
			buf_printf(&b, "attestd_http_replies_total{class=\"%uxx\"} %llu\n", i,
				   (unsigned long long)c.replies[i]);
	head(&b, "http_request_seconds", "summary", "From complete header to queued reply.");
	buf_printf(&b, "attestd_http_request_seconds_sum %.6f\nattestd_http_request_seconds_count %llu\n",
		   (double)c.duration_us_sum / 1e6, (unsigned long long)(c.replies[2] + c.replies[4] + c.replies[5]));
	by_reach(&b, "http_connections", "gauge", "Connections open now.", c.connections_open);
	by_reach(&b, "http_connections_total", "counter", "Connections accepted.", c.connections_total);
	by_reach(&b, "http_connections_refused_total", "counter", "Connections refused at the limit.",
		 c.connections_refused);
	one(&b, "http_timeouts_total", "counter", "Connections shut down for being slow or idle.", c.timeouts);
	one(&b, "http_aborted_total", "counter", "Requests whose connection ended before the reply was sent.",
	    c.aborted);
	one(&b, "http_inflight_bytes", "gauge", "Request body bytes held now.", c.inflight_bytes);
	one(&b, "store_commits_failed_total", "counter", "Turns whose transaction was rolled back.", c.commits_failed);
	one(&b, "sessions_active", "gauge", "Sessions alive now.", sessions_count(app->sessions));
	one(&b, "sessions_seen_ivs", "gauge", "Messages kept for replay checks.", sessions_seen_ivs(app->sessions));
	one(&b, "nsm_calls_total", "counter", "Attestations asked of the NSM.", app->nsm_calls);
	one(&b, "nsm_refused_total", "counter", "Attestations refused by rate or queue.", app->nsm_refused);
	one(&b, "nsm_queue", "gauge", "NSM calls under way or waiting.", loop_jobs(app->loop, LANE_NSM));
	one(&b, "worker_queue", "gauge", "Worker jobs under way or waiting.", loop_jobs(app->loop, LANE_CPU));
	one(&b, "bulk_queue", "gauge", "Jobs on heavy bodies, and verifications, under way or waiting.",
	    loop_jobs(app->loop, LANE_BULK));
	head(&b, "uptime_seconds", "gauge", "Seconds since the start.");
	buf_printf(&b, "attestd_uptime_seconds %.3f\n", (double)(loop_now_ms(app->loop) - app->started_mono_ms) / 1e3);
	http_reply_type(r, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}
