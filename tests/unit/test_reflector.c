/* The reflector against a small server that follows a script: what is asked for, and what the owner is told,
 * as one text.
 *
 *   W+ a watch-list, W7 a watch from version 7, L500 a list by pages, L one in one piece, C=x the page behind
 * x; [ a list begins, +a added or changed, -a deleted, ] it is complete, v7 a version was reached */
#include "config.h"

#include "common/reflector.h"
#include "tests/unit/unit.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"
#include "tests/unit/rig.h"

#define STEPS                      8
#define META(version, more)        "\"metadata\":{\"resourceVersion\":\"" version "\",\"continue\":\"" more "\"}"
#define ITEM(name, version)        "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" ITEM(name, version) "}\n"
#define BOOKMARK(version)                                                                                    \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version "\"}}}\n"
#define INITIAL_END(version)                                                                                 \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version                    \
	"\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define EXPIRED                                                                                              \
	"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","           \
	"\"message\":\"too old\"}}\n"
#define LIST(version, items) "{" META(version, "") ",\"items\":[" items "]}"

struct step {
	int status; /* 0 = silence for ever, which ends the script */
	const char *body;
	const char *more_head;
};

struct script {
	const char *told; /* all of it */
	struct step steps[STEPS];
	bool avoid_watch_list;
	unsigned doubts; /* so many lists are not believed */
	unsigned gone, unreadable;
};

struct play {
	struct rig rig;
	struct reflector *reflector;
	const struct script *script;
	unsigned step, lists_ended;
	bool is_silent;
	struct buf told;
	uint64_t asked_ms[STEPS];
};

static void tell(struct play *play, const char *mark, const char *text)
{
	ck_assert(buf_printf(&play->told, "%s%s%s", play->told.len != 0 ? " " : "", mark, text));
}

static void tell_request(struct play *play, const char *path)
{
	const char *version = strstr(path, "&resourceVersion="), *more = strstr(path, "&continue="),
		   *timeout = strstr(path, "timeoutSeconds=");
	char text[128];

	ck_assert_msg(strncmp(path, "/api/v1/nodes?", 14) == 0, "%s", path);
	ck_assert_msg(strstr(path, "&fieldSelector=x") != NULL, "%s", path);
	if (timeout != NULL) { /* W2-3 */
		ck_assert_uint_ge(strtoul(timeout + 15, NULL, 10), 300);
		ck_assert_uint_le(strtoul(timeout + 15, NULL, 10), 600);
		ck_assert_ptr_nonnull(strstr(path, "allowWatchBookmarks=true"));
	}
	if (strstr(path, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan") != NULL) {
		ck_assert_ptr_null(version);
		tell(play, "W+", "");
	} else if (timeout != NULL) {
		ck_assert_ptr_nonnull(version);
		(void)snprintf(text, sizeof text, "%.*s", (int)strcspn(version + 17, "&"), version + 17);
		tell(play, "W", text);
	} else if (more != NULL) {
		(void)snprintf(text, sizeof text, "%.*s", (int)strcspn(more + 10, "&"), more + 10);
		tell(play, "C=", text);
	} else {
		ck_assert_ptr_null(version); /* W2-1: consistent */
		tell(play, "L", strstr(path, "limit=500") != NULL ? "500" : "");
	}
}

static int answer(void *arg, const char *method, const char *path, const char *request_body, struct buf *body)
{
	struct play *play = arg;
	const struct step *step = &play->script->steps[play->step];

	(void)request_body;
	ck_assert_str_eq(method, "GET");
	tell_request(play, path);
	ck_assert_uint_lt(play->step, STEPS);
	play->asked_ms[play->step++] = clock_monotonic_ms();
	play->rig.far.more_head = step->more_head;
	play->is_silent = step->status == 0;
	if (step->body != NULL)
		ck_assert(buf_add_text(body, step->body));
	return step->status;
}

static void on_list_begin(void *arg)
{
	tell(arg, "[", "");
}

static const char *name_in(const cJSON *object)
{
	const cJSON *name =
	    cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(object, "metadata"), "name");

	return cJSON_IsString(name) ? name->valuestring : NULL;
}

static bool on_object(void *arg, const cJSON *object)
{
	if (name_in(object) == NULL)
		return false;
	tell(arg, "+", name_in(object));
	return true;
}

static void on_deleted(void *arg, const cJSON *object)
{
	tell(arg, "-", name_in(object));
}

static bool on_list_end(void *arg, bool is_consistent)
{
	struct play *play = arg;

	ck_assert(is_consistent);
	tell(play, "]", "");
	return ++play->lists_ended > play->script->doubts;
}

static void on_version(void *arg, const char *version)
{
	tell(arg, "v", version);
}

static const struct reflector_ops ops = {on_list_begin, on_object, on_deleted, on_list_end, on_version};

static bool is_silent(void *arg)
{
	return ((struct play *)arg)->is_silent;
}

static void play_open(struct play *play, const struct script *script)
{
	const struct reflector_options options = {.path = "/api/v1/nodes",
	    .query = "fieldSelector=x",
	    .name = "nodes",
	    .page_size = 500,
	    .seed = 1,
	    .list_limit_ms = 1000,
	    .avoid_watch_list = script->avoid_watch_list};
	struct err err;

	*play = (struct play){.script = script};
	buf_init(&play->told, 65536);
	rig_open(&play->rig, answer, play);
	ck_assert_int_eq(
	    reflector_new(&play->reflector, &play->rig.loop, play->rig.client, &options, &ops, play, &err),
	    0);
}

static void play_close(struct play *play)
{
	reflector_close(play->reflector);
	rig_close(&play->rig);
	buf_release(&play->told);
}

/* Runs all scripts until their silence. */
static void run(const struct script *scripts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct reflector_counts counts;
		struct play play;

		play_open(&play, &scripts[i]);
		rig_run_until(&play.rig, is_silent, &play);
		counts = reflector_counts(play.reflector);
		ck_assert_msg(strcmp(buf_text(&play.told), scripts[i].told) == 0, "row %zu:\n%s\n%s", i,
		    buf_text(&play.told), scripts[i].told);
		ck_assert_msg(
		    counts.gone == scripts[i].gone, "row %zu: gone %llu", i, (unsigned long long)counts.gone);
		ck_assert_msg(counts.unreadable == scripts[i].unreadable, "row %zu: unreadable %llu", i,
		    (unsigned long long)counts.unreadable);
		play_close(&play);
	}
}

#define RUN(scripts) run((scripts), sizeof(scripts) / sizeof((scripts)[0]))
#define OK(body)                                                                                             \
	{                                                                                                    \
		200, (body), NULL                                                                            \
	}

START_TEST(w2_1_to_w2_13_the_first_list_is_consistent_and_the_watch_goes_on_from_it)
{
	static const struct script scripts[] = {
	    {.told = "[ W+ +a +b ] v7 +c v8 -a v9 v20 W20",
		.steps = {OK(EVENT("ADDED", "a", "5") EVENT("ADDED", "b", "3") INITIAL_END("7")
			EVENT("MODIFIED", "c", "8") EVENT("DELETED", "a", "9") BOOKMARK("20"))}},
	    /* A bookmark before the end of the initial events ends nothing. */
	    {.told = "[ W+ +a +b ] v7 W7",
		.steps = {OK(
		    EVENT("ADDED", "a", "5") BOOKMARK("5") EVENT("ADDED", "b", "6") INITIAL_END("7"))}},
	    {.told = "[ W+ [ L500 +a ] v7 W7",
		.steps = {{422, "{\"reason\":\"Invalid\"}", NULL}, OK(LIST("7", ITEM("a", "5")))}},
	    {.told = "[ L500 +a C=x%3D%26 +b ] v7 W7 -a v8 W8",
		.steps = {OK("{" META("6", "x=&") ",\"items\":[" ITEM("a", "5") "]}"),
		    OK(LIST("7", ITEM("b", "3"))), OK(EVENT("DELETED", "a", "8"))},
		.avoid_watch_list = true},
	    {.told = "[ L500 ] v7 W7", .steps = {OK(LIST("7", ""))}, .avoid_watch_list = true},
	};

	RUN(scripts);
}
END_TEST

START_TEST(w2_2_and_w2_7_what_is_too_old_is_listed_again)
{
	static const struct script scripts[] = {
	    {.told = "[ L500 +a ] v7 W7 [ L500 +b ] v9 W9",
		.steps = {OK(LIST("7", ITEM("a", "5"))), {410, "{\"reason\":\"Expired\"}", NULL},
		    OK(LIST("9", ITEM("b", "8")))},
		.avoid_watch_list = true,
		.gone = 1},
	    {.told = "[ L500 +a ] v7 W7 [ L500 +b ] v9 W9",
		.steps = {OK(LIST("7", ITEM("a", "5"))), OK(EXPIRED), OK(LIST("9", ITEM("b", "8")))},
		.avoid_watch_list = true,
		.gone = 1},
	    /* A continuation that has expired: once more, in one piece. */
	    {.told = "[ L500 +a C=x [ L +a +b ] v9 W9",
		.steps = {OK("{" META("6", "x") ",\"items\":[" ITEM("a", "5") "]}"),
		    {410, "{\"reason\":\"Expired\"}", NULL},
		    OK(LIST("9", ITEM("a", "5") "," ITEM("b", "8")))},
		.avoid_watch_list = true,
		.gone = 1},
	};

	RUN(scripts);
}
END_TEST

START_TEST(w2_10_neither_a_busy_nor_a_failing_server_is_listed_again)
{
	static const struct script scripts[] = {
	    {.told = "[ L500 ] v7 W7 W7",
		.steps = {OK(LIST("7", "")), {429, "", NULL}},
		.avoid_watch_list = true},
	    {.told = "[ L500 ] v7 W7 W7",
		.steps = {OK(LIST("7", "")), {500, "", NULL}},
		.avoid_watch_list = true},
	    {.told = "[ L500 ] v7 W7 W7",
		.steps = {OK(LIST("7", "")),
		    OK("{\"type\":\"ERROR\",\"object\":{\"code\":500,\"reason\":\"InternalError\"}}\n")},
		.avoid_watch_list = true},
	    {.told = "[ L500 ] v7 W7 W7", .steps = {OK(LIST("7", "")), OK("")}, .avoid_watch_list = true},
	    /* Cut in the middle of an event: it comes again. */
	    {.told = "[ L500 ] v7 W7 +a v8 W8",
		.steps = {OK(LIST("7", "")), OK(EVENT("ADDED", "a", "8") "{\"type\":\"ADDED\",\"obj")},
		.avoid_watch_list = true},
	    {.told = "[ L500 [ L500 +a ] v7 W7",
		.steps = {{503, "", NULL}, OK(LIST("7", ITEM("a", "5")))},
		.avoid_watch_list = true},
	};

	RUN(scripts);
}
END_TEST

START_TEST(c6_what_cannot_be_read_is_discarded_whole_and_listed_again)
{
#define AGAIN       OK(LIST("9", ITEM("b", "8")))
#define AFTER(body) {OK(LIST("7", "")), OK(body), AGAIN}, .avoid_watch_list = true, .unreadable = 1
	static const struct script scripts[] = {
	    {.told = "[ L500 +a [ L500 +b ] v9 W9",
		.steps = {OK("{" META("7", "") ",\"items\":[" ITEM("a", "5") ",{\"meta"), AGAIN},
		.avoid_watch_list = true,
		.unreadable = 1},
	    {.told = "[ L500 [ L500 +b ] v9 W9",
		.steps = {OK("{\"kind\":\"Status\",\"metadata\":{\"resourceVersion\":\"7\"}}"), AGAIN},
		.avoid_watch_list = true,
		.unreadable = 1},
	    {.told = "[ L500 +a [ L500 +b ] v9 W9",
		.steps = {OK(LIST("7", ITEM("a", "5") ",{\"metadata\":{\"name\":5}}")), AGAIN},
		.avoid_watch_list = true,
		.unreadable = 1},
	    {.told = "[ L500 [ L500 +b ] v9 W9",
		.steps = {OK("<html>"), AGAIN},
		.avoid_watch_list = true,
		.unreadable = 1},
	    {.told = "[ L500 ] v7 W7 [ L500 +b ] v9 W9", .steps = AFTER("<html>\n")},
	    {.told = "[ L500 ] v7 W7 [ L500 +b ] v9 W9",
		.steps = AFTER("{\"type\":\"ADDED\",\"object\":[]}\n")},
	    {.told = "[ L500 ] v7 W7 [ L500 +b ] v9 W9",
		.steps =
		    AFTER("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"8\"}}}\n")},
	    {.told = "[ L500 ] v7 W7 [ L500 +b ] v9 W9",
		.steps = AFTER(BOOKMARK(""))}, /* "" would begin anywhere */
	    {.told = "[ L500 ] v7 W7 [ L500 +b ] v9 W9",
		.steps = AFTER("{\"type\":\"BOOKMARK\",\"object\":{}}\n")},
	    {.told = "[ L500 ] v7 W7 [ L500 +b ] v9 W9", .steps = AFTER(BOOKMARK("8&resourceVersion=0"))},
	};

	RUN(scripts);
}
END_TEST

START_TEST(w2_12_a_list_that_is_doubted_is_asked_for_again)
{
	static const struct script scripts[] = {
	    {.told = "[ L500 ] [ L500 +a ] v9 W9",
		.steps = {OK(LIST("7", "")), OK(LIST("9", ITEM("a", "8")))},
		.avoid_watch_list = true,
		.doubts = 1},
	    {.told = "[ W+ ] [ W+ +a ] v9 W9",
		.steps = {OK(INITIAL_END("7")), OK(EVENT("ADDED", "a", "8") INITIAL_END("9"))},
		.doubts = 1},
	};

	RUN(scripts);
}
END_TEST

START_TEST(w2_23_a_server_that_names_a_time_is_left_alone_for_it)
{
	static const struct script script = {.told = "",
	    .steps = {OK(LIST("7", "")), {429, "", "Retry-After: 3\r\n"}},
	    .avoid_watch_list = true};
	struct play play;

	play_open(&play, &script);
	rig_run_until(&play.rig, is_silent, &play);
	ck_assert_str_eq(buf_text(&play.told), "[ L500 ] v7 W7 W7");
	ck_assert_uint_ge(play.asked_ms[2] - play.asked_ms[1], 2990);
	play_close(&play);
}
END_TEST

static bool is_listed(void *arg)
{
	struct play *play = arg;

	return play->lists_ended == 1 && play->is_silent;
}

START_TEST(a_watch_list_that_never_ends_gives_way_to_pages)
{
	static const struct script script = {
	    .told = "", .steps = {{0, NULL, NULL}, OK(LIST("9", ITEM("a", "8")))}};
	struct play play;

	play_open(&play, &script);
	rig_run_until(&play.rig, is_listed, &play);
	ck_assert_str_eq(buf_text(&play.told), "[ W+ [ L500 +a ] v9 W9");
	ck_assert_uint_ge(play.asked_ms[1] - play.asked_ms[0], 1000);
	play_close(&play);
}
END_TEST

static bool is_listed_again(void *arg)
{
	struct play *play = arg;

	return play->lists_ended == 2 && play->is_silent;
}

START_TEST(a_silent_watch_gives_way_to_a_wished_list)
{
	static const struct script script = {.told = "",
	    .steps = {OK(LIST("7", "")), {0, NULL, NULL}, OK(LIST("9", ITEM("a", "8")))},
	    .avoid_watch_list = true};
	struct reflector_counts counts;
	struct play play;

	play_open(&play, &script);
	ck_assert(!reflector_counts(play.reflector).is_synced);
	rig_run_until(&play.rig, is_silent, &play);
	reflector_relist(play.reflector);
	rig_run_until(&play.rig, is_listed_again, &play);
	ck_assert_str_eq(buf_text(&play.told), "[ L500 ] v7 W7 [ L500 +a ] v9 W9");
	counts = reflector_counts(play.reflector);
	ck_assert(counts.is_synced);
	ck_assert_uint_eq(counts.lists, 2);
	ck_assert_uint_eq(counts.watches, 2);
	ck_assert_str_eq(counts.last_error, "");
	play_close(&play);
}
END_TEST

UNIT_MAIN("reflector", w2_1_to_w2_13_the_first_list_is_consistent_and_the_watch_goes_on_from_it,
    w2_2_and_w2_7_what_is_too_old_is_listed_again, w2_10_neither_a_busy_nor_a_failing_server_is_listed_again,
    c6_what_cannot_be_read_is_discarded_whole_and_listed_again,
    w2_12_a_list_that_is_doubted_is_asked_for_again, w2_23_a_server_that_names_a_time_is_left_alone_for_it,
    a_silent_watch_gives_way_to_a_wished_list, a_watch_list_that_never_ends_gives_way_to_pages)
