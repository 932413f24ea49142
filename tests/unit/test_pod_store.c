/* Pods meet containers: who waits, for how long, and what records carry meanwhile. */
#include "config.h"
#include "collector/pod_store.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "common/clock.h"
#include "common/must.h"
#include "tests/unit/unit.h"

#define START_MS UINT64_C(100000)
#define WAIT_MS  5000

static const char *const words[] = {
    "labels", "owner", "image", "container_id", "namespace_labels", "node_labels"};
static const struct bind_list every_word = {(char **)(uintptr_t)words, 6},
			      no_globs; /* nobody writes to them */
static const struct metadata_choice choice = {.words = &every_word, .annotations = &no_globs};

static uv_loop_t loop;
static struct pod_store *store;
static struct pod_store_counts counts;
static uint64_t now_ms;
static unsigned unknown_count, review_count, wake_count;
static char told[256]; /* +uid/container excluded, -… included */

static void on_unknown(void *arg)
{
	(void)arg;
	unknown_count++;
}

static void tell(const char *mark, const struct container *container)
{
	size_t len = strlen(told);

	(void)snprintf(told + len, sizeof told - len, "%s%s ", mark, container->key);
}

static void on_excluded(void *arg, struct container *container)
{
	(void)arg;
	tell("+", container);
}

static void on_included(void *arg, struct container *container)
{
	(void)arg;
	tell("-", container);
}

static void on_review(void *arg)
{
	(void)arg;
	review_count++;
}

static void on_wake(struct tail_reader *reader)
{
	(void)reader;
	wake_count++;
}

static void setup(void)
{
	const struct pod_store_options options = {.choice = &choice,
	    .wait_ms = WAIT_MS,
	    .counts = &counts,
	    .events = {on_unknown, on_excluded, on_included, on_review, NULL}};

	now_ms = START_MS;
	clock_hold(now_ms, 0);
	memset(&counts, 0, sizeof counts);
	unknown_count = review_count = wake_count = 0;
	told[0] = '\0';
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	store = pod_store_new(&loop, &options);
}

static void teardown(void)
{
	pod_store_close(store);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	clock_release();
}

/* ---- containers and pods ------------------------------------------------------------------------ */

struct follow {
	struct container container;
	struct tail tail;
	struct tail_reader reader;
};

static void follow(struct follow *follow, const char *uid, const char *key)
{
	*follow = (struct follow){
	    .container = {.origin = {"ns", "pod", uid, "main", "node"}, .key = (char *)(uintptr_t)key}};
	follow->tail.container = &follow->container;
	follow->reader = (struct tail_reader){.tail = &follow->tail, .wake = on_wake};
	DL_APPEND(follow->tail.readers, &follow->reader);
	DL_APPEND(follow->container.tails, &follow->tail);
	pod_store_attach(store, &follow->container, 0);
}

/* Time passes, and the store's timer has its turn. */
static void pass(uint64_t ms)
{
	uint64_t limit = uv_hrtime() + UINT64_C(200000000);

	now_ms += ms;
	clock_hold(now_ms, 0);
	while (uv_hrtime() < limit && pod_store_waiting(store) != 0)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static cJSON *pod(const char *uid, const char *app, const char *more)
{
	char *text = xasprintf("{\"metadata\":{\"name\":\"pod\",\"namespace\":\"ns\",\"uid\":\"%s\","
			       "\"labels\":{\"app\":\"%s\"}%s},"
			       "\"spec\":{\"containers\":[{\"name\":\"main\",\"image\":\"i\"}]}}",
	    uid, app, more);
	cJSON *object = cJSON_Parse(text);

	ck_assert_msg(object != NULL, "no JSON: %s", text);
	free(text);
	return object;
}

static void put(const char *uid, const char *app, const char *more)
{
	cJSON *object = pod(uid, app, more);

	pod_store_put(store, object);
	cJSON_Delete(object);
}

static bool excludes(const char *uid, const char *container)
{
	return pod_store_excludes(store, &(struct origin){"ns", "pod", uid, container, "node", NULL, 0});
}

/* What whoever may make pods can make: one that says it were the mirror of another. */
static cJSON *impostor(const char *namespace_name, const char *name, const char *uid)
{
	char *text = xasprintf("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"u-his\","
			       "\"labels\":{\"app\":\"his\"},\"annotations\":{\"drave.dev/exclude\":\"true\","
			       "\"kubernetes.io/config.mirror\":\"x\",\"kubernetes.io/config.hash\":\"%s\"}}}",
	    name, namespace_name, uid);
	cJSON *object = cJSON_Parse(text);

	ck_assert_ptr_nonnull(object);
	free(text);
	return object;
}

#define EXCLUDED ",\"annotations\":{\"drave.dev/exclude\":\"true\"}"

#define RUN(restarts, id)                                                                                    \
	",\"x\":0},\"status\":{\"containerStatuses\":[{\"name\":\"main\",\"restartCount\":" restarts         \
	",\"containerID\":\"containerd://" id "\"}]"

static void list(const char *uid, const char *app, const char *more)
{
	uint64_t number = pod_store_begin_list(store);

	if (uid != NULL)
		put(uid, app, more);
	pod_store_end_list(store, number, true);
}

static void put_namespace(const char *name, const char *team)
{
	char *text = xasprintf("{\"metadata\":{\"name\":\"%s\",\"labels\":{\"team\":\"%s\"}}}", name, team);
	cJSON *object = cJSON_Parse(text);

	pod_store_put_labels(store, METADATA_NAMESPACE_LABELS, object);
	cJSON_Delete(object);
	free(text);
}

static const char *app_of(const struct follow *follow)
{
	const struct metadata *metadata = follow->container.origin.metadata;

	return metadata == NULL              ? "unknown"
	       : metadata->labels.count == 1 ? metadata->labels.items[0].value
					     : "none";
}

/* ---- tests -------------------------------------------------------------------------------------- */

START_TEST(a_known_pod_is_not_waited_for)
{
	struct follow a;

	setup();
	list("u-1", "web", RUN("0", "id"));
	follow(&a, "u-1", "u-1/main");
	ck_assert(!a.container.awaits_metadata);
	ck_assert_str_eq(app_of(&a), "web");
	ck_assert_str_eq(a.container.origin.metadata->image, "i");
	ck_assert_uint_eq(unknown_count, 0);
	ck_assert_uint_eq(pod_store_pods(store), 1);
	pod_store_detach(store, &a.container);
	ck_assert_ptr_null(a.container.origin.metadata);
	teardown();
}
END_TEST

START_TEST(an_unknown_pod_is_asked_for_and_waited_for)
{
	struct follow a;

	setup();
	list(NULL, NULL, NULL);
	follow(&a, "u-1", "u-1/main");
	ck_assert(a.container.awaits_metadata);
	ck_assert_uint_eq(unknown_count, 1);
	pass(WAIT_MS - 1);
	ck_assert(a.container.awaits_metadata);
	put("u-1", "web", "");
	ck_assert(!a.container.awaits_metadata);
	ck_assert_uint_eq(wake_count, 1);
	ck_assert_str_eq(app_of(&a), "web");
	ck_assert_uint_eq(counts.timed_out, 0);
	teardown();
}
END_TEST

START_TEST(the_wait_ends_and_what_comes_later_is_carried_from_then_on)
{
	struct follow a;
	unsigned version;

	setup();
	list(NULL, NULL, NULL);
	follow(&a, "u-1", "u-1/main");
	pass(WAIT_MS);
	ck_assert(!a.container.awaits_metadata);
	ck_assert_uint_eq(wake_count, 1);
	ck_assert_uint_eq(counts.timed_out, 1);
	ck_assert_str_eq(app_of(&a), "unknown");
	version = a.container.origin.metadata_version;
	put("u-1", "web", "");
	ck_assert_str_eq(app_of(&a), "web");
	ck_assert_uint_ne(a.container.origin.metadata_version, version);
	ck_assert_uint_eq(wake_count, 2); /* its cursor may wait in a lane that is not its own any more */
	teardown();
}
END_TEST

START_TEST(a_list_that_begins_later_and_does_not_have_it_ends_the_wait)
{
	struct follow a, b;
	uint64_t number;

	setup();
	follow(&a, "u-1", "u-1/main");
	number = pod_store_begin_list(store);
	follow(&b, "u-2", "u-2/main"); /* its pod may be newer than the list */
	pod_store_end_list(store, number, true);
	ck_assert(!a.container.awaits_metadata);
	ck_assert(b.container.awaits_metadata);
	list(NULL, NULL, NULL);
	ck_assert(!b.container.awaits_metadata);
	teardown();
}
END_TEST

START_TEST(a_list_that_may_lag_does_not_end_the_wait)
{
	struct follow a;
	uint64_t number;

	setup();
	follow(&a, "u-1", "u-1/main");
	number = pod_store_begin_list(store);
	pod_store_end_list(store, number, false);
	ck_assert(a.container.awaits_metadata);
	teardown();
}
END_TEST

START_TEST(a_silent_source_is_waited_for_once)
{
	struct follow a, b, c, d;

	setup();
	follow(&a, "u-1", "u-1/main");
	pass(WAIT_MS - 1000);
	follow(&b, "u-2", "u-2/main");
	pass(1000);
	ck_assert(!a.container.awaits_metadata);
	ck_assert(!b.container.awaits_metadata); /* not a second time */
	follow(&c, "u-3", "u-3/main");
	ck_assert(!c.container.awaits_metadata);
	ck_assert_uint_eq(counts.timed_out, 3);
	pod_store_hear(store, true);
	follow(&d, "u-4", "u-4/main"); /* it answers: worth a wait */
	ck_assert(d.container.awaits_metadata);
	pod_store_hear(store, false);
	pass(WAIT_MS - 1);
	ck_assert(d.container.awaits_metadata);
	pass(1);
	ck_assert(!d.container.awaits_metadata);
	teardown();
}
END_TEST

START_TEST(a_pod_that_is_gone_stays_known_until_its_last_container_is_detached)
{
	struct follow a, b;
	cJSON *object = pod("u-1", "web", "");

	setup();
	list("u-1", "web", "");
	follow(&a, "u-1", "u-1/main");
	pod_store_remove(store, object);
	pass(3600000);
	list(NULL, NULL, NULL);
	ck_assert_str_eq(app_of(&a), "web");
	follow(&b, "u-1", "u-1/other");
	ck_assert_str_eq(app_of(&b), "web");
	pod_store_detach(store, &a.container);
	pod_store_detach(store, &b.container);
	list(NULL, NULL, NULL);
	ck_assert_uint_eq(pod_store_pods(store), 0);
	cJSON_Delete(object);
	teardown();
}
END_TEST

START_TEST(files_may_be_found_a_little_after_their_pod_is_gone)
{
	struct follow a, b;

	setup();
	list("u-1", "web", "");
	list(NULL, NULL, NULL);
	pass(30000);
	follow(&a, "u-1", "u-1/main");
	ck_assert_str_eq(app_of(&a), "web");
	pod_store_detach(store, &a.container);
	pass(31000);
	list(NULL, NULL, NULL);
	follow(&b, "u-1", "u-1/main");
	ck_assert_str_eq(app_of(&b), "unknown");
	teardown();
}
END_TEST

START_TEST(a_mirror_pod_that_was_made_anew_is_not_taken_for_gone)
{
	cJSON *old, *new;
	uint64_t number;

	setup();
	old = pod("m-1", "a", ",\"annotations\":{\"kubernetes.io/config.mirror\":\"h\"}");
	new = pod("m-2", "b", ",\"annotations\":{\"kubernetes.io/config.mirror\":\"h\"}");
	number = pod_store_begin_list(store);
	pod_store_put(store, old);
	pod_store_end_list(store, number, false);
	pod_store_put(store, new);
	pod_store_remove(store, old);
	pass(3600000);
	pod_store_remove(store, old); /* forgets who is gone */
	ck_assert_uint_eq(pod_store_pods(store), 1);
	cJSON_Delete(old);
	cJSON_Delete(new);
	teardown();
}
END_TEST

START_TEST(a_pod_that_claims_the_uid_of_another_changes_nothing_of_it)
{
	cJSON *of_his_namespace = impostor("his", "pod", "u-1"), *of_ours = impostor("ns", "his", "u-1");
	struct follow a;
	unsigned version;

	setup();
	list(NULL, NULL, NULL);
	follow(&a, "u-1", "u-1/main");
	pod_store_put(store, of_his_namespace);
	pod_store_put(store, of_ours);
	ck_assert(a.container.awaits_metadata);
	put("u-1", "web", "");
	ck_assert_str_eq(app_of(&a), "web");
	version = a.container.origin.metadata_version;
	pod_store_put(store, of_his_namespace);
	pod_store_put(store, of_ours);
	pod_store_remove(store, of_his_namespace);
	ck_assert_str_eq(app_of(&a), "web");
	ck_assert_uint_eq(a.container.origin.metadata_version, version);
	ck_assert(!a.container.is_excluded && !excludes("u-1", "main"));
	ck_assert_str_eq(told, "");
	cJSON_Delete(of_his_namespace);
	cJSON_Delete(of_ours);
	teardown();
}
END_TEST

START_TEST(a_pod_that_claims_a_uid_before_its_owner_comes_does_not_get_it)
{
	cJSON *of_his_namespace = impostor("his", "pod", "u-1"), *of_ours = impostor("ns", "his", "u-1");
	struct follow a;

	setup();
	list(NULL, NULL, NULL);
	pod_store_put(store, of_his_namespace);
	pod_store_put(store, of_ours);
	ck_assert(!excludes("u-1", "main"));
	follow(&a, "u-1", "u-1/main");
	ck_assert(a.container.awaits_metadata && !a.container.is_excluded);
	ck_assert_str_eq(app_of(&a), "unknown");
	put("u-1", "web", "");
	ck_assert_str_eq(app_of(&a), "web");
	cJSON_Delete(of_his_namespace);
	cJSON_Delete(of_ours);
	teardown();
}
END_TEST

START_TEST(news_are_a_new_version_and_no_news_are_none)
{
	struct follow a;
	unsigned version;

	setup();
	list("u-1", "web", "");
	follow(&a, "u-1", "u-1/main");
	version = a.container.origin.metadata_version;
	list("u-1", "web", "");
	ck_assert_uint_eq(a.container.origin.metadata_version, version);
	list("u-1", "db", "");
	ck_assert_uint_eq(a.container.origin.metadata_version, version + 1);
	ck_assert_str_eq(app_of(&a), "db");
	teardown();
}
END_TEST

START_TEST(an_excluded_pod_is_told_and_told_again_when_it_is_not)
{
	struct follow a;

	setup();
	follow(&a, "u-1", "u-1/main");
	list("u-1", "web", EXCLUDED);
	ck_assert(a.container.is_excluded);
	ck_assert(!a.container.awaits_metadata);
	ck_assert(excludes("u-1", "main"));
	ck_assert(!excludes("u-2", "main"));
	ck_assert_str_eq(told, "+u-1/main ");
	ck_assert_uint_eq(review_count, 1);
	list("u-1", "web", EXCLUDED);
	ck_assert_uint_eq(review_count, 1);
	list("u-1", "db", EXCLUDED); /* news, but none of that */
	put("u-1", "web", EXCLUDED);
	ck_assert_uint_eq(review_count, 1);
	put("u-1", "web", "");
	ck_assert_str_eq(told, "+u-1/main -u-1/main ");
	ck_assert(!a.container.is_excluded);
	ck_assert_uint_eq(review_count, 2);
	ck_assert_uint_eq(counts.excluded, 1);
	teardown();
}
END_TEST

START_TEST(a_refused_annotation_is_counted_once)
{
	setup();
	list("u-1", "web", ",\"annotations\":{\"drave.dev/parser\":\"json\"}");
	list("u-1", "db", ",\"annotations\":{\"drave.dev/parser\":\"json\"}");
	ck_assert_uint_eq(counts.refused, 1);
	teardown();
}
END_TEST

START_TEST(what_cannot_be_read_is_passed_over)
{
	uint64_t number;
	cJSON *odd = cJSON_Parse("{\"metadata\":{\"name\":7}}");

	setup();
	number = pod_store_begin_list(store);
	pod_store_put(store, odd);
	put("u-1", "web", "");
	pod_store_end_list(store, number, true);
	ck_assert_uint_eq(counts.unreadable, 1);
	ck_assert_uint_eq(pod_store_pods(store), 1);
	cJSON_Delete(odd);
	teardown();
}
END_TEST

START_TEST(labels_of_the_namespace_are_waited_for_where_they_are_expected)
{
	struct follow a;

	setup();
	pod_store_expect(store, METADATA_NAMESPACE_LABELS);
	list("u-1", "web", "");
	follow(&a, "u-1", "u-1/main");
	ck_assert(a.container.awaits_metadata);
	put_namespace("other", "x");
	ck_assert(a.container.awaits_metadata);
	put_namespace("ns", "blue");
	ck_assert(!a.container.awaits_metadata);
	ck_assert_str_eq(a.container.origin.metadata->namespace_labels.items[0].value, "blue");
	put_namespace("ns", "green");
	ck_assert_str_eq(a.container.origin.metadata->namespace_labels.items[0].value, "green");
	pod_store_end_labels(store, METADATA_NAMESPACE_LABELS);
	teardown();
}
END_TEST

START_TEST(late_labels_are_waited_for_once_and_counted)
{
	struct follow a, b, c;

	setup();
	pod_store_expect(store, METADATA_NAMESPACE_LABELS);
	list("u-1", "web", "");
	follow(&a, "u-1", "u-1/main");
	pass(WAIT_MS);
	ck_assert(!a.container.awaits_metadata);
	ck_assert_str_eq(app_of(&a), "web");
	ck_assert_uint_eq(counts.timed_out, 1);
	follow(&b, "u-1", "u-1/other");
	ck_assert(!b.container.awaits_metadata);
	ck_assert_uint_eq(counts.timed_out, 2);
	put_namespace("ns", "blue");
	ck_assert_str_eq(b.container.origin.metadata->namespace_labels.items[0].value, "blue");
	follow(&c, "u-1", "u-1/third");
	ck_assert(!c.container.awaits_metadata);
	ck_assert_uint_eq(counts.timed_out, 2);
	teardown();
}
END_TEST

START_TEST(an_unknown_pod_is_waited_for_where_labels_are_late)
{
	struct follow a, b;

	setup();
	pod_store_expect(store, METADATA_NAMESPACE_LABELS);
	list("u-1", "web", "");
	follow(&a, "u-1", "u-1/main");
	pass(WAIT_MS);
	follow(&b, "u-2", "u-2/main");
	ck_assert(b.container.awaits_metadata);
	teardown();
}
END_TEST

START_TEST(one_container_is_excluded_and_the_other_is_not)
{
	struct follow a, b;

	setup();
	follow(&a, "u-1", "u-1/main");
	follow(&b, "u-1", "u-1/side");
	b.container.origin.container = "side";
	list("u-1", "web", ",\"annotations\":{\"drave.dev/exclude-main\":\"true\"}");
	ck_assert_str_eq(told, "+u-1/main ");
	ck_assert(a.container.is_excluded && !b.container.is_excluded);
	ck_assert(excludes("u-1", "main"));
	ck_assert(!excludes("u-1", "side"));
	list("u-1", "web",
	    ",\"annotations\":{\"drave.dev/exclude\":\"true\",\"drave.dev/exclude-main\":\"false\"}");
	ck_assert_str_eq(told, "+u-1/main -u-1/main +u-1/side ");
	ck_assert_uint_eq(counts.excluded, 1);
	ck_assert_uint_eq(review_count, 2);
	teardown();
}
END_TEST

START_TEST(a_namespace_that_is_not_there_is_not_waited_for)
{
	struct follow a;

	setup();
	pod_store_expect(store, METADATA_NAMESPACE_LABELS);
	list("u-1", "web", "");
	follow(&a, "u-1", "u-1/main");
	pod_store_begin_labels(store, METADATA_NAMESPACE_LABELS);
	pod_store_end_labels(store, METADATA_NAMESPACE_LABELS);
	ck_assert(!a.container.awaits_metadata);
	ck_assert_str_eq(app_of(&a), "web");
	teardown();
}
END_TEST

START_TEST(nobody_waits_when_the_end_is_near)
{
	struct follow a, b;

	setup();
	follow(&a, "u-1", "u-1/main");
	pod_store_stop_waiting(store);
	ck_assert(!a.container.awaits_metadata);
	follow(&b, "u-2", "u-2/main");
	ck_assert(!b.container.awaits_metadata);
	teardown();
}
END_TEST

START_TEST(a_store_that_closes_leaves_its_containers_without)
{
	struct follow a, b;

	setup();
	list("u-1", "web", "");
	follow(&a, "u-1", "u-1/main");
	follow(&b, "u-2", "u-2/main");
	pod_store_attach(store, &b.container, 0); /* a second tail */
	wake_count = 0;
	teardown();
	ck_assert_ptr_null(a.container.origin.metadata);
	ck_assert(!b.container.awaits_metadata);
	ck_assert_uint_eq(wake_count, 1);
}
END_TEST

START_TEST(an_id_that_comes_later_is_asked_for_a_few_times)
{
	struct follow a;
	unsigned asked = 0;

	setup();
	list("u-1", "web", "");
	ck_assert(!pod_store_wants_more(store));
	follow(&a, "u-1", "u-1/main");
	ck_assert_uint_eq(unknown_count, 1); /* at once, and */
	while (pod_store_wants_more(store))
		asked++;
	ck_assert_uint_eq(asked, 5);
	teardown();
}
END_TEST

START_TEST(the_id_of_a_run_that_is_over_is_not_the_next_ones)
{
	struct follow a;

	setup();
	list("u-1", "web", RUN("0", "old"));
	follow(&a, "u-1", "u-1/main");
	ck_assert_str_eq(a.container.origin.metadata->container_id, "old");
	ck_assert_uint_eq(unknown_count, 0);
	pod_store_attach(store, &a.container, 0); /* rotated */
	ck_assert_uint_eq(unknown_count, 0);
	pod_store_attach(store, &a.container, 1); /* restarted */
	ck_assert_str_eq(a.container.origin.metadata->container_id, "");
	ck_assert_uint_eq(unknown_count, 1);
	ck_assert(pod_store_wants_more(store));
	list("u-1", "web", RUN("0", "old"));
	ck_assert_str_eq(a.container.origin.metadata->container_id, "");
	list("u-1", "web", RUN("1", "new"));
	ck_assert_str_eq(a.container.origin.metadata->container_id, "new");
	ck_assert(!pod_store_wants_more(store));
	for (int i = 0; i < 3; i++)
		pod_store_detach(store, &a.container);
	teardown();
}
END_TEST

START_TEST(no_more_pods_are_kept_than_a_node_can_have)
{
	char uid[16];

	setup();
	for (unsigned i = 0; i < 4098; i++) {
		(void)snprintf(uid, sizeof uid, "u-%u", i);
		put(uid, "web", "");
	}
	ck_assert_uint_eq(pod_store_pods(store), 4096);
	ck_assert_uint_eq(counts.no_room, 2);
	list("u-4097", "web", ""); /* the others are gone */
	put("u-5000", "web", "");
	ck_assert_uint_eq(counts.no_room, 3);
	list("u-4097", "web", "");
	ck_assert_uint_eq(counts.no_room, 3);
	teardown();
}
END_TEST

UNIT_MAIN("pod_store", the_id_of_a_run_that_is_over_is_not_the_next_ones,
    no_more_pods_are_kept_than_a_node_can_have, a_known_pod_is_not_waited_for,
    an_unknown_pod_is_asked_for_and_waited_for, the_wait_ends_and_what_comes_later_is_carried_from_then_on,
    a_list_that_begins_later_and_does_not_have_it_ends_the_wait, a_list_that_may_lag_does_not_end_the_wait,
    a_silent_source_is_waited_for_once, a_pod_that_is_gone_stays_known_until_its_last_container_is_detached,
    files_may_be_found_a_little_after_their_pod_is_gone,
    a_mirror_pod_that_was_made_anew_is_not_taken_for_gone,
    a_pod_that_claims_the_uid_of_another_changes_nothing_of_it,
    a_pod_that_claims_a_uid_before_its_owner_comes_does_not_get_it, news_are_a_new_version_and_no_news_are_none,
    an_excluded_pod_is_told_and_told_again_when_it_is_not, a_refused_annotation_is_counted_once,
    what_cannot_be_read_is_passed_over, labels_of_the_namespace_are_waited_for_where_they_are_expected,
    late_labels_are_waited_for_once_and_counted, an_unknown_pod_is_waited_for_where_labels_are_late,
    one_container_is_excluded_and_the_other_is_not, a_namespace_that_is_not_there_is_not_waited_for,
    nobody_waits_when_the_end_is_near, a_store_that_closes_leaves_its_containers_without,
    an_id_that_comes_later_is_asked_for_a_few_times)
