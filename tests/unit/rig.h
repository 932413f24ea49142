/* A client of a small API server (kube_far.h), and a writer, on the test's own loop. */
#ifndef DRAVE_TESTS_RIG_H
#define DRAVE_TESTS_RIG_H

#include <check.h>
#include <signal.h>
#include <uv.h>

#include "common/clock.h"
#include "common/http.h"
#include "common/kube_client.h"
#include "controller/writer.h"
#include "tests/unit/kube_far.h"

struct rig {
	uv_loop_t loop;
	struct http *http;
	struct kube_config config;
	struct kube_client *client;
	struct kube_far far;
	struct writer *writer;
	bool may_write;
};

static inline bool rig_may_write(void *arg)
{
	return ((struct rig *)arg)->may_write;
}

static inline void rig_open(struct rig *rig,
    int (*answer)(
	void *arg, const char *method, const char *path, const char *request_body, struct buf *body),
    void *arg)
{
	struct err err = {.code = 0};

	*rig = (struct rig){.may_write = true};
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(uv_loop_init(&rig->loop), 0);
	kube_far_init(&rig->far, &rig->loop);
	rig->far.answer = answer;
	rig->far.arg = arg;
	rig->config.server = xasprintf("http://127.0.0.1:%u", rig->far.port);
	rig->config.source = xstrdup("test");
	ck_assert_msg(http_new(&rig->http, &rig->loop, "drave-test", &err) == 0, "%s", err.text);
	ck_assert_msg(
	    kube_client_new(&rig->client, &rig->loop, rig->http, &rig->config, &err) == 0, "%s", err.text);
	rig->writer = writer_new(&rig->loop, rig->client, rig_may_write, rig);
}

static inline void rig_beat(uv_timer_t *timer)
{
	(void)timer;
}

/* Turns the loop until it is so; a minute is more than any test takes. */
static inline void rig_run_until(struct rig *rig, bool (*is_so)(void *arg), void *arg)
{
	uint64_t limit = uv_hrtime() + UINT64_C(50000000000);
	uv_timer_t beat; /* so that a turn never waits for ever */

	ck_assert_int_eq(uv_timer_init(&rig->loop, &beat), 0);
	ck_assert_int_eq(uv_timer_start(&beat, rig_beat, 5, 5), 0);
	while (!is_so(arg)) {
		ck_assert_msg(uv_hrtime() < limit, "it never came to be so");
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&beat, NULL);
	(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
}

/* What stands on the client and the writer has to be closed before. */
static inline void rig_close(struct rig *rig)
{
	writer_close(rig->writer);
	kube_client_close(rig->client);
	http_close(rig->http);
	kube_far_close(&rig->far);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&rig->loop), 0);
	kube_far_free(&rig->far);
	kube_config_release(&rig->config);
}

#endif
