/* The lease: its judgement as tables, and the live machine against a server with one object. */
#include "config.h"

#include "controller/lease.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/clock.h"
#include "common/kube_object.h"
#include "common/log.h"
#include "common/must.h"
#include "tests/unit/kube_far.h"

#define ME       "me_1"
#define OTHER    "other_2"
#define DURATION 1000
#define DEADLINE 400
#define RETRY    50

/* ---- judging
 * ------------------------------------------------------------------------------------------------------ */

START_TEST(le1_duration_is_longer_than_the_deadline_and_that_than_the_retries)
{
	static const struct {
		uint64_t duration_ms, renew_deadline_ms, retry_period_ms;
		const char *complains_of;
	} rows[] = {
	    {15000, 10000, 2000, NULL},
	    {1000, 400, 50, NULL},
	    {15000, 15000, 2000, "lease_duration"},
	    {15000, 16000, 2000, "lease_duration"},
	    {15500, 10000, 2000, "whole seconds"},
	    {0, 0, 0, "whole seconds"},
	    {15000, 2400, 2000, "1.2"},
	    {15000, 2401, 2000, NULL},
	    {15000, 1000, 2000, "1.2"},
	    {15000, 10000, 0, "retry_period"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *complaint =
		    lease_check(rows[i].duration_ms, rows[i].renew_deadline_ms, rows[i].retry_period_ms);

		if (rows[i].complains_of == NULL)
			ck_assert_msg(complaint == NULL, "row %zu: %s", i, complaint);
		else
			ck_assert_msg(complaint != NULL && strstr(complaint, rows[i].complains_of) != NULL,
			    "row %zu: %s", i, complaint != NULL ? complaint : "no complaint");
	}
}
END_TEST

START_TEST(le3_what_is_read_decides_the_move)
{
	static const struct {
		const char *holder;
		uint64_t unchanged_ms;
		enum lease_move move;
	} rows[] = {
	    {"", 0, LEASE_TAKE},
	    {ME, 0, LEASE_RENEW},
	    {ME, 99999, LEASE_RENEW},
	    {OTHER, 0, LEASE_WAIT},
	    {OTHER, 14999, LEASE_WAIT},
	    {OTHER, 15000, LEASE_TAKE},
	    {"me", 0, LEASE_WAIT},
	    {"me_12", 0, LEASE_WAIT},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct lease_record record = {.duration_ms = 15000};

		(void)snprintf(record.holder, sizeof record.holder, "%s", rows[i].holder);
		ck_assert_msg(lease_decide(&record, ME, rows[i].unchanged_ms) == rows[i].move, "row %zu", i);
	}
}
END_TEST

/* ---- the server
 * --------------------------------------------------------------------------------------------------- */

#define PATH "/apis/coordination.k8s.io/v1/namespaces/ns/leases"

static struct {
	cJSON *object; /* NULL: there is none */
	unsigned version;
	unsigned gets, posts, puts, conflicts;
	int breaks;     /* this status for writes; 0 = as it should be */
	bool is_silent; /* writes are done, but not answered */
	bool is_deaf;   /* nothing is done nor answered */
} server;

static int say_status(struct buf *body, int code, const char *reason)
{
	buf_printf(body,
	    "{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":%d,\"reason\":\"%s\",\"message\":\"test: "
	    "%s\"}",
	    code, reason, reason);
	return code;
}

static void keep(cJSON *object)
{
	char version[16];
	cJSON *meta = cJSON_GetObjectItem(object, "metadata");

	(void)snprintf(version, sizeof version, "%u", ++server.version);
	cJSON_DeleteItemFromObject(meta, "resourceVersion");
	cJSON_AddStringToObject(meta, "resourceVersion", version);
	if (server.object != object)
		cJSON_Delete(server.object);
	server.object = object;
}

static int say_object(struct buf *body, int status)
{
	char *text = cJSON_PrintUnformatted(server.object);

	buf_add_text(body, text);
	cJSON_free(text);
	return status;
}

static const char *version_of(cJSON *object)
{
	cJSON *version = cJSON_GetObjectItem(cJSON_GetObjectItem(object, "metadata"), "resourceVersion");

	return version != NULL ? version->valuestring : "";
}

static int write_object(bool is_new, const char *request_body, struct buf *body)
{
	cJSON *object;

	if (server.breaks != 0)
		return say_status(body, server.breaks, "InternalError");
	object = cJSON_Parse(request_body);
	ck_assert_ptr_nonnull(object);
	if (is_new ? server.object != NULL
		   : server.object == NULL || strcmp(version_of(object), version_of(server.object)) != 0) {
		cJSON_Delete(object);
		server.conflicts++;
		if (!is_new && server.object == NULL)
			return say_status(body, 404, "NotFound");
		return say_status(body, 409, is_new ? "AlreadyExists" : "Conflict");
	}
	keep(object);
	return server.is_silent ? 0 : say_object(body, is_new ? 201 : 200);
}

static int answer(void *arg, const char *method, const char *path, const char *request_body, struct buf *body)
{
	(void)arg;
	if (server.is_deaf)
		return 0;
	if (strcmp(method, "POST") == 0) {
		ck_assert_str_eq(path, PATH);
		server.posts++;
		return write_object(true, request_body, body);
	}
	ck_assert_str_eq(path, PATH "/name");
	if (strcmp(method, "PUT") == 0) {
		server.puts++;
		return write_object(false, request_body, body);
	}
	ck_assert_str_eq(method, "GET");
	server.gets++;
	return server.object != NULL ? say_object(body, 200) : say_status(body, 404, "NotFound");
}

/* Somebody else writes. */
static void put_there(const char *holder, unsigned transitions)
{
	char text[512];

	(void)snprintf(text, sizeof text,
	    "{\"metadata\":{\"name\":\"name\",\"namespace\":\"ns\",\"labels\":{\"kept\":\"yes\"}},\"spec\":{"
	    "\"holderIdentity\":\"%s\","
	    "\"leaseDurationSeconds\":1,\"acquireTime\":\"2020-01-01T00:00:00.000000Z\",\"renewTime\":\"2020-"
	    "01-01T00:00:00.%06uZ\","
	    "\"leaseTransitions\":%u,\"preferredHolder\":\"kept\"}}",
	    holder, server.version, transitions);
	keep(cJSON_Parse(text));
}

static const char *spec_text(const char *key)
{
	cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(server.object, "spec"), key);

	return item != NULL && item->valuestring != NULL ? item->valuestring : "";
}

static int spec_number(const char *key)
{
	cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(server.object, "spec"), key);

	return item != NULL ? item->valueint : -1;
}

/* ---- the machine
 * -------------------------------------------------------------------------------------------------- */

static uv_loop_t loop;
static struct http *http;
static struct kube_client *client;
static struct kube_config config;
static struct kube_far far;
static struct lease *lease;
static unsigned leading_count, lost_count, released_count;

static void on_leading(void *arg)
{
	(void)arg;
	leading_count++;
}

static void on_lost(void *arg)
{
	(void)arg;
	lost_count++;
}

static void on_released(void *arg)
{
	(void)arg;
	released_count++;
}

static void start(void)
{
	static const struct lease_hooks hooks = {on_leading, on_lost};
	const struct lease_options options = {"ns", "name", ME, DURATION, DEADLINE, RETRY};
	struct err err = {0};

	(void)signal(SIGPIPE, SIG_IGN);
	log_setup(LOG_ERROR, LOG_TEXT);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	kube_far_init(&far, &loop);
	far.answer = answer;
	config = (struct kube_config){.server = xasprintf("http://127.0.0.1:%u", far.port),
	    .namespace_name = xstrdup("ns"),
	    .source = xstrdup("test")};
	ck_assert_int_eq(http_new(&http, &loop, "test/1", &err), 0);
	ck_assert_int_eq(kube_client_new(&client, &loop, http, &config, &err), 0);
	ck_assert_int_eq(lease_start(&lease, &loop, client, &options, &hooks, NULL, &err), 0);
}

static void end(void)
{
	lease_close(lease);
	kube_client_close(client);
	http_close(http);
	kube_far_close(&far);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	kube_far_free(&far);
	kube_config_release(&config);
	cJSON_Delete(server.object);
	memset(&server, 0, sizeof server);
	ck_assert_uint_le(lost_count, 1); /* also while closing */
	leading_count = lost_count = released_count = 0;
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static void on_tick_closed(uv_handle_t *handle)
{
	*(bool *)handle->data = true;
}

/* Until *count is `wanted`. */
static void run_until(const unsigned *count, unsigned wanted)
{
	uint64_t deadline = clock_monotonic_ms() + 20000;
	uv_timer_t tick;
	bool is_closed = false;

	ck_assert_int_eq(uv_timer_init(&loop, &tick), 0);
	tick.data = &is_closed;
	uv_timer_start(&tick, on_tick, 5, 5);
	while (*count < wanted) {
		uv_run(&loop, UV_RUN_ONCE);
		ck_assert_uint_lt(clock_monotonic_ms(), deadline);
	}
	uv_close((uv_handle_t *)&tick, on_tick_closed);
	while (!is_closed)
		uv_run(&loop, UV_RUN_NOWAIT);
}

START_TEST(le7_where_there_is_no_object_it_is_made)
{
	start();
	ck_assert(!lease_is_leading(lease) && !lease_is_fresh(lease) && lease_is_healthy(lease));
	run_until(&leading_count, 1);
	ck_assert(lease_is_leading(lease) && lease_is_fresh(lease) && lease_is_healthy(lease));
	ck_assert_uint_eq(server.posts, 1);
	ck_assert_str_eq(spec_text("holderIdentity"), ME);
	ck_assert_int_eq(spec_number("leaseDurationSeconds"), 1);
	ck_assert_int_eq(spec_number("leaseTransitions"), 0);
	ck_assert_uint_eq(strlen(spec_text("acquireTime")), strlen("2026-01-31T12:34:56.123456Z"));
	ck_assert_str_eq(spec_text("acquireTime"), spec_text("renewTime"));
	ck_assert_str_eq(lease_holder(lease), ME);
	end();
}
END_TEST

START_TEST(le4_a_renewal_is_one_put_and_keeps_the_time_of_acquiring)
{
	char acquired[64];

	start();
	run_until(&leading_count, 1);
	(void)snprintf(acquired, sizeof acquired, "%s", spec_text("acquireTime"));
	run_until(&server.puts, 4);
	ck_assert_uint_eq(server.gets, 1);
	ck_assert_uint_eq(server.posts, 1);
	ck_assert_uint_eq(server.conflicts, 0);
	ck_assert_str_eq(spec_text("acquireTime"), acquired);
	ck_assert_str_ne(spec_text("renewTime"), acquired);
	ck_assert_int_eq(spec_number("leaseTransitions"), 0);
	ck_assert_uint_eq(leading_count, 1);
	end();
}
END_TEST

START_TEST(le3_a_live_holder_is_left_alone)
{
	put_there(OTHER, 3);
	start();
	for (unsigned round = 1; round <= 30; round++) { /* more than a duration, with a renewal in each */
		run_until(&server.gets, round);
		put_there(OTHER, 3);
	}
	ck_assert_uint_eq(server.puts, 0);
	ck_assert_uint_eq(leading_count, 0);
	ck_assert(lease_is_healthy(lease));
	ck_assert_str_eq(lease_holder(lease), OTHER);
	ck_assert_uint_eq(lease_transitions(lease), 3);
	end();
}
END_TEST

START_TEST(le2_a_record_that_rests_for_its_duration_is_taken_whatever_times_it_names)
{
	uint64_t began;

	put_there(OTHER, 3);
	began = clock_monotonic_ms();
	start();
	run_until(&leading_count, 1);
	ck_assert_uint_ge(clock_monotonic_ms() - began, DURATION);
	ck_assert_str_eq(spec_text("holderIdentity"), ME);
	ck_assert_int_eq(spec_number("leaseTransitions"), 4);
	ck_assert_str_eq(spec_text("preferredHolder"), "kept"); /* what newer servers have stays */
	ck_assert_str_ne(spec_text("acquireTime"), "2020-01-01T00:00:00.000000Z");
	end();
}
END_TEST

START_TEST(a_change_beside_the_spec_is_no_sign_of_life)
{
	uint64_t began = clock_monotonic_ms();

	put_there(OTHER, 3);
	start();
	for (unsigned round = 1; leading_count == 0; round++) {
		run_until(&server.gets, round);
		if (strcmp(spec_text("holderIdentity"), ME) != 0)
			keep(server.object); /* a new version, the same spec */
		ck_assert_uint_lt(round, 200);
		if (clock_monotonic_ms() - began >
		    DURATION + 500) /* a write may have met a new version: then it is tried again */
			run_until(&leading_count, 1);
	}
	end();
}
END_TEST

START_TEST(le6_an_empty_holder_is_taken_at_once)
{
	put_there("", 7);
	start();
	run_until(&leading_count, 1);
	ck_assert_uint_eq(server.gets, 1);
	ck_assert_uint_eq(server.puts, 1);
	ck_assert_int_eq(spec_number("leaseTransitions"), 8);
	end();
}
END_TEST

START_TEST(a_lease_that_is_already_ours_is_renewed)
{
	put_there(ME, 7);
	start();
	run_until(&leading_count, 1);
	ck_assert_int_eq(spec_number("leaseTransitions"), 7);
	ck_assert_str_eq(spec_text("acquireTime"), "2020-01-01T00:00:00.000000Z");
	end();
}
END_TEST

START_TEST(a_conflict_is_read_and_written_again)
{
	start();
	run_until(&leading_count, 1);
	keep(server.object); /* somebody labelled it */
	run_until(&server.conflicts, 1);
	run_until(&server.gets, 2);
	run_until(&server.puts, server.puts + 3);
	ck_assert(lease_is_fresh(lease));
	ck_assert_uint_eq(server.conflicts, 1);
	ck_assert_uint_eq(lost_count, 0);
	end();
}
END_TEST

START_TEST(an_object_that_was_deleted_is_made_again)
{
	start();
	run_until(&leading_count, 1);
	cJSON_Delete(server.object);
	server.object = NULL;
	run_until(&server.posts, 2);
	run_until(&server.puts, server.puts + 1);
	ck_assert(lease_is_fresh(lease));
	ck_assert_uint_eq(lost_count, 0);
	ck_assert_uint_eq(leading_count, 1);
	end();
}
END_TEST

START_TEST(le5_a_lease_that_another_took_is_lost)
{
	start();
	run_until(&leading_count, 1);
	put_there(OTHER, 1);
	run_until(&lost_count, 1);
	ck_assert(!lease_is_leading(lease) && !lease_is_fresh(lease));
	ck_assert_str_eq(spec_text("holderIdentity"), OTHER);
	end();
}
END_TEST

START_TEST(le5_a_lease_that_cannot_be_renewed_is_lost_after_the_deadline)
{
	uint64_t began;

	start();
	run_until(&leading_count, 1);
	server.breaks = 500;
	began = clock_monotonic_ms();
	run_until(&lost_count, 1);
	ck_assert_uint_ge(clock_monotonic_ms() - began + 2 * RETRY, DEADLINE);
	ck_assert_uint_lt(clock_monotonic_ms() - began, DURATION);
	ck_assert(!lease_is_leading(lease));
	end();
}
END_TEST

START_TEST(a_server_that_does_not_answer_costs_the_lease_too)
{
	start();
	run_until(&leading_count, 1);
	server.is_deaf = true;
	run_until(&lost_count, 1);
	ck_assert(!lease_is_fresh(lease));
	end();
}
END_TEST

START_TEST(a_write_whose_answer_was_lost_is_found_by_reading)
{
	server.is_silent = true;
	start();
	run_until(&server.posts, 1);
	server.is_silent = false;
	run_until(&leading_count, 1);
	ck_assert_uint_eq(server.posts, 1);
	ck_assert_int_eq(spec_number("leaseTransitions"), 0);
	end();
}
END_TEST

START_TEST(le6_a_release_names_nobody_and_a_short_duration)
{
	start();
	run_until(&leading_count, 1);
	lease_release(lease, on_released, NULL);
	ck_assert_uint_eq(released_count, 0); /* later, never from inside */
	ck_assert(!lease_is_leading(lease) && !lease_is_fresh(lease));
	run_until(&released_count, 1);
	ck_assert_str_eq(spec_text("holderIdentity"), "");
	ck_assert_int_eq(spec_number("leaseDurationSeconds"), 1);
	ck_assert_uint_eq(lost_count, 0);
	end();
}
END_TEST

START_TEST(a_release_after_a_conflict_is_tried_once_more)
{
	start();
	run_until(&leading_count, 1);
	keep(server.object);
	lease_release(lease, on_released, NULL);
	run_until(&released_count, 1);
	ck_assert_str_eq(spec_text("holderIdentity"), "");
	end();
}
END_TEST

START_TEST(nothing_is_given_back_that_is_not_ours)
{
	put_there(OTHER, 3);
	start();
	run_until(&server.gets, 2);
	lease_release(lease, on_released, NULL);
	run_until(&released_count, 1);
	ck_assert_str_eq(spec_text("holderIdentity"), OTHER);
	ck_assert_uint_eq(server.puts, 0);
	end();
}
END_TEST

START_TEST(a_release_that_fails_ends_too)
{
	start();
	run_until(&leading_count, 1);
	server.breaks = 500;
	lease_release(lease, on_released, NULL);
	run_until(&released_count, 1);
	ck_assert_uint_eq(released_count, 1);
	end();
}
END_TEST

START_TEST(a_release_waits_for_the_renewal_that_is_under_way)
{
	start();
	run_until(&leading_count, 1);
	run_until(&server.puts, 2);
	for (unsigned puts = server.puts;
	     server.puts == puts;) /* stop in the turn in which the next one arrives */
		uv_run(&loop, UV_RUN_ONCE);
	lease_release(lease, on_released, NULL);
	run_until(&released_count, 1);
	ck_assert_str_eq(spec_text("holderIdentity"), "");
	end();
}
END_TEST

UNIT_MAIN("lease", le1_duration_is_longer_than_the_deadline_and_that_than_the_retries,
    le3_what_is_read_decides_the_move, le7_where_there_is_no_object_it_is_made,
    le4_a_renewal_is_one_put_and_keeps_the_time_of_acquiring, le3_a_live_holder_is_left_alone,
    le2_a_record_that_rests_for_its_duration_is_taken_whatever_times_it_names,
    a_change_beside_the_spec_is_no_sign_of_life, le6_an_empty_holder_is_taken_at_once,
    a_lease_that_is_already_ours_is_renewed, a_conflict_is_read_and_written_again,
    an_object_that_was_deleted_is_made_again, le5_a_lease_that_another_took_is_lost,
    le5_a_lease_that_cannot_be_renewed_is_lost_after_the_deadline,
    a_server_that_does_not_answer_costs_the_lease_too, a_write_whose_answer_was_lost_is_found_by_reading,
    le6_a_release_names_nobody_and_a_short_duration, a_release_after_a_conflict_is_tried_once_more,
    nothing_is_given_back_that_is_not_ours, a_release_that_fails_ends_too,
    a_release_waits_for_the_renewal_that_is_under_way)
