/* The API client against a small server: what answers mean, and whose credentials a request carries. */
#include "config.h"

#include "common/kube_client.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "common/must.h"
#include "tests/unit/rig.h"
#include "tests/unit/scratch.h"

START_TEST(w2_20_to_w2_23_a_status_is_one_word_for_the_caller)
{
	static const struct {
		int status;
		const char *reason;
		enum kube_result result;
	} rows[] = {
	    {200, "", KUBE_OK},
	    {201, "", KUBE_OK},
	    {202, "", KUBE_OK},
	    {400, "BadRequest", KUBE_INVALID},
	    {401, "Unauthorized", KUBE_FORBIDDEN},
	    {403, "Forbidden", KUBE_FORBIDDEN},
	    {404, "NotFound", KUBE_NOT_FOUND},
	    {405, "MethodNotAllowed", KUBE_INVALID},
	    {409, "AlreadyExists", KUBE_EXISTS},
	    {409, "Conflict", KUBE_CONFLICT},
	    {409, "", KUBE_CONFLICT},
	    {410, "Expired", KUBE_GONE},
	    {410, "Gone", KUBE_GONE},
	    {413, "RequestEntityTooLarge", KUBE_INVALID},
	    {415, "UnsupportedMediaType", KUBE_INVALID},
	    {422, "Invalid", KUBE_INVALID},
	    {429, "TooManyRequests", KUBE_BUSY},
	    {500, "InternalError", KUBE_FAILED},
	    {503, "ServiceUnavailable", KUBE_FAILED},
	    {504, "Timeout", KUBE_FAILED},
	    {301, "", KUBE_FAILED},
	    {0, "", KUBE_FAILED},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(kube_judge(rows[i].status, rows[i].reason) == rows[i].result, "row %zu", i);
}
END_TEST

/* ---- requests ------------------------------------------------------------------------------------------ */

struct talk {
	struct rig rig;
	int status; /* of the next answer; 0 = never */
	const char *body;
	char asked[256], sent[256];
	unsigned asked_count, ended_count;
	/* a copy of the answer */
	struct kube_answer answer;
	char reason[64], message[256], got[256];
};

static int answer(void *arg, const char *method, const char *path, const char *request_body, struct buf *body)
{
	struct talk *talk = arg;

	talk->asked_count++;
	(void)snprintf(talk->asked, sizeof talk->asked, "%s %s", method, path);
	(void)snprintf(talk->sent, sizeof talk->sent, "%s", request_body);
	ck_assert(buf_add_text(body, talk->body));
	return talk->status;
}

static void on_end(void *arg, const struct kube_answer *got)
{
	struct talk *talk = arg;

	talk->ended_count++;
	talk->answer = *got;
	(void)snprintf(talk->reason, sizeof talk->reason, "%s", got->reason);
	(void)snprintf(talk->message, sizeof talk->message, "%s", got->message);
	(void)snprintf(talk->got, sizeof talk->got, "%s", got->body != NULL ? got->body : "");
}

static bool has_ended(void *arg)
{
	return ((struct talk *)arg)->ended_count != 0;
}

static void talk_open(struct talk *talk)
{
	*talk = (struct talk){.status = 200, .body = "{}"};
	rig_open(&talk->rig, answer, talk);
}

static void ask(struct talk *talk, struct kube_call *call)
{
	struct err err;

	call->on_end = on_end;
	call->arg = talk;
	talk->ended_count = talk->asked_count = 0;
	ck_assert_msg(kube_start(talk->rig.client, call, NULL, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(talk->ended_count, 0); /* never from inside */
	rig_run_until(&talk->rig, has_ended, talk);
	ck_assert_uint_eq(talk->ended_count, 1);
}

START_TEST(an_answer_carries_its_reason_message_and_body)
{
	struct kube_call call = {
	    .method = "POST", .path = "/api/v1/pods?x=y", .body = "{\"a\":1}", .body_len = 7};
	struct talk talk;

	talk_open(&talk);
	talk.status = 409;
	talk.body = "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"pods \\\"a\\\" already "
		    "exists\"}";
	ask(&talk, &call);
	ck_assert_str_eq(talk.asked, "POST /api/v1/pods?x=y");
	ck_assert_str_eq(talk.sent, "{\"a\":1}");
	ck_assert_int_eq(talk.answer.result, KUBE_EXISTS);
	ck_assert_int_eq(talk.answer.status, 409);
	ck_assert(!talk.answer.unknown);
	ck_assert_str_eq(talk.reason, "AlreadyExists");
	ck_assert_str_eq(talk.message, "pods \"a\" already exists");
	talk.status = 429;
	talk.body = "go away";
	talk.rig.far.more_head = "Retry-After: 7\r\n";
	ask(&talk, &call);
	ck_assert_int_eq(talk.answer.result, KUBE_BUSY);
	ck_assert_int_eq(talk.answer.retry_after_ms, 7000);
	ck_assert_str_eq(talk.reason, "");
	ck_assert_str_eq(talk.got, "go away");
	talk.status = 200;
	talk.body = "{\"b\":2}";
	talk.rig.far.more_head = NULL;
	ask(&talk, &call);
	ck_assert_int_eq(talk.answer.result, KUBE_OK);
	ck_assert_int_eq(talk.answer.retry_after_ms, -1);
	ck_assert_str_eq(talk.got, "{\"b\":2}");
	ck_assert_uint_eq(kube_client_counts(talk.rig.client).requests, 3);
	ck_assert_uint_eq(kube_client_counts(talk.rig.client).busy, 1);
	rig_close(&talk.rig);
}
END_TEST

START_TEST(w2_21_a_write_without_a_clear_answer_is_unknown)
{
	static const struct {
		const char *method;
		int status;
		bool unknown;
	} rows[] = {{"POST", 0, true}, {"DELETE", 0, true}, {"GET", 0, false}, {"PUT", 504, true},
	    {"POST", 500, true}, {"GET", 500, false}, {"POST", 422, false}, {"POST", 429, false},
	    {"POST", 201, false}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct kube_call call = {
		    .method = rows[i].method, .path = "/x", .body = "{}", .body_len = 2, .timeout_ms = 300};
		struct talk talk;

		talk_open(&talk);
		talk.status = rows[i].status;
		if (strcmp(rows[i].method, "GET") == 0)
			call.body = NULL;
		ask(&talk, &call);
		ck_assert_msg(talk.answer.unknown == rows[i].unknown, "row %zu", i);
		ck_assert_uint_eq(talk.asked_count, 1); /* W2-26: and is not sent again */
		ck_assert_uint_gt(strlen(talk.message), 0);
		rig_close(&talk.rig);
	}
}
END_TEST

START_TEST(a_write_that_reached_nobody_is_known_not_to_be_done)
{
	struct kube_call call = {.method = "POST", .path = "/x", .body = "{}", .body_len = 2};
	struct kube_config config = {.server = xstrdup("http://127.0.0.1:1"), .source = xstrdup("test")};
	struct kube_client *client, *right;
	struct talk talk;
	struct err err;

	talk_open(&talk);
	ck_assert_int_eq(kube_client_new(&client, &talk.rig.loop, talk.rig.http, &config, &err), 0);
	right = talk.rig.client;
	talk.rig.client = client;
	ask(&talk, &call);
	talk.rig.client = right;
	ck_assert_int_eq(talk.answer.result, KUBE_FAILED);
	ck_assert_int_eq(talk.answer.status, 0);
	ck_assert(!talk.answer.unknown);
	kube_client_close(client);
	kube_config_release(&config);
	rig_close(&talk.rig);
}
END_TEST

START_TEST(an_answer_over_its_limit_has_failed)
{
	struct kube_call call = {.method = "GET", .path = "/x", .body_limit = 10};
	struct talk talk;

	talk_open(&talk);
	talk.body = "0123456789";
	ask(&talk, &call);
	ck_assert_int_eq(talk.answer.result, KUBE_OK);
	talk.body = "0123456789a";
	ask(&talk, &call);
	ck_assert_int_eq(talk.answer.result, KUBE_FAILED);
	ck_assert_int_eq(talk.answer.status, 0);
	rig_close(&talk.rig);
}
END_TEST

static bool keep_chunk(void *arg, const char *bytes, size_t len)
{
	struct talk *talk = arg;

	(void)snprintf(talk->sent, sizeof talk->sent, "%.*s", (int)len, bytes);
	return true;
}

START_TEST(errors_are_gathered_even_where_chunks_are_taken)
{
	struct kube_call call = {.method = "GET", .path = "/x", .on_chunk = keep_chunk};
	struct talk talk;

	talk_open(&talk);
	talk.body = "piece";
	ask(&talk, &call);
	ck_assert_str_eq(talk.sent, "piece");
	ck_assert_ptr_null(talk.answer.body);
	talk.status = 410;
	talk.body = "{\"reason\":\"Expired\",\"message\":\"too old\"}";
	ask(&talk, &call);
	ck_assert_int_eq(talk.answer.result, KUBE_GONE);
	ck_assert_str_eq(talk.sent, "");
	ck_assert_str_eq(talk.message, "too old");
	rig_close(&talk.rig);
}
END_TEST

/* ---- credentials --------------------------------------------------------------------------------------- */

/* A server that lets in one token only. */
struct door {
	struct talk talk;
	struct scratch scratch;
	const char *good;
	char seen[4][64];
};

static int answer_at_door(
    void *arg, const char *method, const char *path, const char *request_body, struct buf *body)
{
	struct door *door = arg;
	const char *authorization = door->talk.rig.far.authorization;

	(void)method, (void)path, (void)request_body;
	ck_assert_uint_lt(door->talk.asked_count, 4);
	if (sscanf(authorization, "Bearer %63s", door->seen[door->talk.asked_count]) != 1)
		door->seen[door->talk.asked_count][0] = '\0';
	ck_assert(buf_add_text(body, "{}"));
	return strcmp(door->seen[door->talk.asked_count++], door->good) == 0 ? 200 : 401;
}

/* As the kubelet does it: a directory of its own for each token, and a link that is swapped. */
static void rotate(struct door *door, const char *directory, const char *token)
{
	char file[64];

	scratch_dir(&door->scratch, directory);
	(void)snprintf(file, sizeof file, "%s/token", directory);
	scratch_append(&door->scratch, file, token);
	ck_assert_int_eq(symlink(directory, scratch_path(&door->scratch, "link.new")), 0);
	scratch_rename(&door->scratch, "link.new", "link");
}

START_TEST(w2_40_a_token_that_was_rotated_is_read_again_after_a_401_once)
{
	struct kube_call call = {.method = "GET", .path = "/x"};
	struct kube_client *fixed;
	struct door door = {.good = "one"};
	struct err err;

	scratch_init(&door.scratch);
	rotate(&door, "a", "one\n");
	door.talk = (struct talk){.status = 200, .body = "{}"};
	rig_open(&door.talk.rig, answer_at_door, &door);
	fixed = door.talk.rig.client;
	door.talk.rig.config.token_file = xstrdup(scratch_path(&door.scratch, "link/token"));
	ck_assert_int_eq(kube_client_new(&door.talk.rig.client, &door.talk.rig.loop, door.talk.rig.http,
			     &door.talk.rig.config, &err),
	    0);
	kube_client_close(fixed);
	ask(&door.talk, &call);
	ck_assert_int_eq(door.talk.answer.result, KUBE_OK);
	rotate(&door, "b", "two\n");
	door.good = "two";
	ask(&door.talk, &call);
	ck_assert_int_eq(door.talk.answer.result, KUBE_OK);
	ck_assert_uint_eq(door.talk.asked_count, 2);
	ck_assert_str_eq(door.seen[0], "one");
	ck_assert_str_eq(door.seen[1], "two");
	ck_assert_uint_eq(kube_client_counts(door.talk.rig.client).credentials_read, 2);
	/* An empty one, or none: the last good one stays in force; and no third try. */
	rotate(&door, "c", "\n");
	door.good = "three";
	ask(&door.talk, &call);
	ck_assert_int_eq(door.talk.answer.result, KUBE_FORBIDDEN);
	ck_assert_uint_eq(door.talk.asked_count, 2);
	ck_assert_str_eq(door.seen[1], "two");
	scratch_unlink(&door.scratch, "link");
	door.good = "two";
	ask(&door.talk, &call);
	ck_assert_int_eq(door.talk.answer.result, KUBE_OK);
	rig_close(&door.talk.rig);
	scratch_release(&door.scratch);
}
END_TEST

START_TEST(w2_40_whoever_was_not_let_through_looks_at_the_authority_again)
{
	struct kube_call call = {.method = "GET", .path = "/x"};
	struct door door = {.good = "one"};
	struct kube_client *fixed;
	struct kube_config config;
	struct err err;

	scratch_init(&door.scratch);
	rotate(&door, "a", "one\n");
	door.talk = (struct talk){.status = 200, .body = "{}"};
	rig_open(&door.talk.rig, answer_at_door, &door);
	fixed = door.talk.rig.client;
	config = door.talk.rig.config;
	config.server = xstrdup("http://127.0.0.1:1");
	config.token_file = xstrdup(scratch_path(&door.scratch, "link/token"));
	ck_assert_int_eq(
	    kube_client_new(&door.talk.rig.client, &door.talk.rig.loop, door.talk.rig.http, &config, &err),
	    0);
	rotate(&door, "b", "two\n");
	ask(&door.talk, &call); /* it was read a moment ago */
	ck_assert_int_eq(door.talk.answer.result, KUBE_FAILED);
	ck_assert_uint_eq(kube_client_counts(door.talk.rig.client).credentials_read, 1);
	ask(&door.talk, &call);
	ck_assert_uint_eq(kube_client_counts(door.talk.rig.client).credentials_read, 2);
	kube_client_close(door.talk.rig.client);
	door.talk.rig.client = fixed;
	free(config.server);
	free(config.token_file);
	rig_close(&door.talk.rig);
	scratch_release(&door.scratch);
}
END_TEST

START_TEST(a_client_without_its_credentials_does_not_begin)
{
	static char none[] = "/nowhere/token", server[] = "http://127.0.0.1:1", empty[] = "";
	struct kube_config no_token = {.server = server, .token_file = none, .source = empty};
	struct kube_config no_ca = {.server = server, .ca_file = none, .source = empty};
	struct kube_client *client;
	struct talk talk;
	struct err err;

	talk_open(&talk);
	ck_assert_int_eq(kube_client_new(&client, &talk.rig.loop, talk.rig.http, &no_token, &err), -ENOENT);
	ck_assert_int_eq(kube_client_new(&client, &talk.rig.loop, talk.rig.http, &no_ca, &err), -ENOENT);
	rig_close(&talk.rig);
}
END_TEST

static void fail_end(void *arg, const struct kube_answer *got)
{
	(void)arg, (void)got;
	ck_abort_msg("a cancelled request has ended");
}

START_TEST(a_cancelled_request_never_ends)
{
	struct kube_call call = {.method = "GET", .path = "/x", .on_end = fail_end},
			 other = {.method = "GET", .path = "/y"};
	struct kube_request *request;
	struct talk talk;
	struct err err;

	talk_open(&talk);
	ck_assert_int_eq(kube_start(talk.rig.client, &call, &request, &err), 0);
	kube_cancel(request);
	ask(&talk, &other);
	ck_assert_str_eq(talk.asked, "GET /y");
	rig_close(&talk.rig);
}
END_TEST

UNIT_MAIN("kube_client", w2_20_to_w2_23_a_status_is_one_word_for_the_caller,
    an_answer_carries_its_reason_message_and_body, w2_21_a_write_without_a_clear_answer_is_unknown,
    a_write_that_reached_nobody_is_known_not_to_be_done, an_answer_over_its_limit_has_failed,
    errors_are_gathered_even_where_chunks_are_taken,
    w2_40_a_token_that_was_rotated_is_read_again_after_a_401_once,
    w2_40_whoever_was_not_let_through_looks_at_the_authority_again,
    a_client_without_its_credentials_does_not_begin, a_cancelled_request_never_ends)
