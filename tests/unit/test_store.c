/* The store as the reflectors fill it: comings and goings, relists, doubt, and the sorted arrays. */
#include "config.h"
#include "controller/store.h"

#include <string.h>

#include "common/buf.h"
#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

#define LABELS "{\"app\":\"x\"}"

static struct buf told; /* "+p1 ~p1 -p1 synced " */

static void tell(const char *kind, const struct kube_meta *before, const struct kube_meta *after)
{
	const char *sign = before == NULL ? "+" : after == NULL ? "-" : "~";

	(void)buf_printf(&told, "%s%s%s@%s ", kind, sign, (after != NULL ? after : before)->name,
	    (after != NULL ? after : before)->resource_version);
}

static void on_node(void *arg, const struct node *before, const struct node *after)
{
	(void)arg;
	tell("node", before != NULL ? &before->meta : NULL, after != NULL ? &after->meta : NULL);
}

static void on_pod(void *arg, const struct pod *before, const struct pod *after)
{
	(void)arg;
	tell("pod", before != NULL ? &before->meta : NULL, after != NULL ? &after->meta : NULL);
}

static void on_set(void *arg, const struct collector_set *before, const struct collector_set *after)
{
	(void)arg;
	tell("set", before != NULL ? &before->meta : NULL, after != NULL ? &after->meta : NULL);
}

static void on_revision(void *arg, const struct revision *before, const struct revision *after)
{
	(void)arg;
	tell("revision", before != NULL ? &before->meta : NULL, after != NULL ? &after->meta : NULL);
}

static void on_synced(void *arg)
{
	(void)arg;
	(void)buf_add_text(&told, "synced ");
}

static struct store *open_store(void)
{
	static const struct store_hooks hooks = {on_node, on_pod, on_set, on_revision, on_synced};

	buf_init(&told, 1 << 20);
	return store_new(&hooks, NULL);
}

static void close_store(struct store *store)
{
	store_free(store);
	buf_release(&told);
}

static void expect_told(const char *text)
{
	ck_assert_str_eq(buf_text(&told), text);
	buf_clear(&told);
}

static void begin(struct store *store, enum store_kind kind)
{
	store_reflector_ops(kind)->on_list_begin(store_reflector_arg(store, kind));
}

static bool end(struct store *store, enum store_kind kind, bool is_consistent)
{
	return store_reflector_ops(kind)->on_list_end(store_reflector_arg(store, kind), is_consistent);
}

/* Takes the tree. */
static bool put(struct store *store, enum store_kind kind, cJSON *object)
{
	bool result = store_reflector_ops(kind)->on_object(store_reflector_arg(store, kind), object);

	cJSON_Delete(object);
	return result;
}

static void take(struct store *store, enum store_kind kind, cJSON *object)
{
	store_reflector_ops(kind)->on_deleted(store_reflector_arg(store, kind), object);
	cJSON_Delete(object);
}

static cJSON *node(const char *name, unsigned version)
{
	return objects_node_json(name, version, "{}", "[]");
}

static cJSON *pod(const char *name, unsigned version, const char *owner)
{
	return objects_pod_json(name, version, LABELS, owner, "n1", "{}");
}

static void list_nodes(struct store *store, unsigned count, bool is_consistent, bool expected)
{
	char name[16];

	begin(store, STORE_NODES);
	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(name, sizeof name, "n%u", i);
		ck_assert(put(store, STORE_NODES, node(name, 1)));
	}
	ck_assert_int_eq(end(store, STORE_NODES, is_consistent), expected);
}

START_TEST(an_object_comes_changes_and_goes)
{
	struct store *store = open_store();

	put(store, STORE_NODES, node("n1", 1));
	put(store, STORE_NODES, node("n1", 2));
	ck_assert_str_eq(store_node(store, "n1")->meta.resource_version, "2");
	take(store, STORE_NODES, node("n1", 3));
	expect_told("node+n1@1 node~n1@2 node-n1@2 ");
	ck_assert_ptr_null(store_node(store, "n1"));
	take(store, STORE_NODES, node("n1", 3));
	expect_told("");
	close_store(store);
}
END_TEST

START_TEST(the_same_version_is_no_event)
{
	struct store *store = open_store();

	put(store, STORE_PODS, pod("p1", 7, OBJECTS_ORPHAN));
	put(store, STORE_PODS, pod("p1", 7, OBJECTS_ORPHAN));
	expect_told("pod+p1@7 ");
	close_store(store);
}
END_TEST

START_TEST(another_uid_under_a_name_is_an_end_and_a_beginning)
{
	struct store *store = open_store();

	put(store, STORE_NODES, node("n1", 1));
	put(store, STORE_NODES,
	    objects_json("{\"metadata\":{\"name\":\"n1\",\"uid\":\"other\",\"resourceVersion\":\"2\"}}"));
	expect_told("node+n1@1 node-n1@1 node+n1@2 ");
	close_store(store);
}
END_TEST

START_TEST(what_a_relist_does_not_name_goes_at_its_end)
{
	struct store *store = open_store();

	begin(store, STORE_PODS);
	put(store, STORE_PODS, pod("p1", 1, OBJECTS_ORPHAN));
	put(store, STORE_PODS, pod("p2", 1, OBJECTS_ORPHAN));
	ck_assert(end(store, STORE_PODS, true));
	buf_clear(&told);
	begin(store, STORE_PODS); /* fails: nothing is taken away */
	put(store, STORE_PODS, pod("p1", 1, OBJECTS_ORPHAN));
	begin(store, STORE_PODS);
	ck_assert_uint_eq(store_count(store, STORE_PODS), 2);
	put(store, STORE_PODS, pod("p2", 2, OBJECTS_ORPHAN));
	ck_assert(end(store, STORE_PODS, false));
	expect_told("pod~p2@2 pod-p1@1 ");
	ck_assert_uint_eq(store_count(store, STORE_PODS), 1);
	close_store(store);
}
END_TEST

START_TEST(a_list_without_a_fifth_of_the_nodes_is_doubted_once)
{
	struct store *store = open_store();

	list_nodes(store, 10, true, true);
	list_nodes(store, 8, true, true); /* exactly a fifth */
	ck_assert_uint_eq(store_count(store, STORE_NODES), 8);
	buf_clear(&told);
	list_nodes(store, 2, false, false);
	ck_assert_uint_eq(store_count(store, STORE_NODES), 8);
	list_nodes(store, 2, false, false); /* a cache that lags confirms nothing */
	ck_assert_uint_eq(store_count(store, STORE_NODES), 8);
	expect_told("");
	list_nodes(store, 2, true, true);
	ck_assert_uint_eq(store_count(store, STORE_NODES), 2);
	list_nodes(store, 0, true, false); /* and each time anew */
	list_nodes(store, 2, true, true);
	list_nodes(store, 0, true, false);
	ck_assert_uint_eq(store_count(store, STORE_NODES), 2);
	close_store(store);
}
END_TEST

START_TEST(an_empty_list_of_pods_is_believed)
{
	struct store *store = open_store();

	put(store, STORE_PODS, pod("p1", 1, OBJECTS_ORPHAN));
	begin(store, STORE_PODS);
	ck_assert(end(store, STORE_PODS, false));
	ck_assert_uint_eq(store_count(store, STORE_PODS), 0);
	close_store(store);
}
END_TEST

START_TEST(pods_of_others_are_not_kept)
{
	struct store *store = open_store();
	static const char other[] =
	    ",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"r\","
	    "\"uid\":\"u\",\"controller\":true}]";
	static const char namesake[] =
	    ",\"ownerReferences\":[{\"apiVersion\":\"else.dev/v1\",\"kind\":\"CollectorSet\","
	    "\"name\":\"r\",\"uid\":\"u\",\"controller\":true}]";
	static const char later[] =
	    ",\"ownerReferences\":[{\"apiVersion\":\"drave.dev/v1\",\"kind\":\"CollectorSet\","
	    "\"name\":\"r\",\"uid\":\"u\",\"controller\":true}]";

	put(store, STORE_PODS, pod("p1", 1, other));
	put(store, STORE_PODS, pod("p2", 1, namesake));
	expect_told("");
	put(store, STORE_PODS, pod("p3", 1, later)); /* another version of the same API */
	put(store, STORE_PODS, pod("p4", 1, objects_owned_by("s", "u")));
	put(store, STORE_PODS, pod("p5", 1, OBJECTS_ORPHAN));
	ck_assert_uint_eq(store_count(store, STORE_PODS), 3);
	close_store(store);
}
END_TEST

START_TEST(a_pod_that_changes_hands_is_told_and_let_go)
{
	struct store *store = open_store();

	put(store, STORE_PODS, pod("p1", 1, objects_owned_by("s", "u")));
	put(store, STORE_PODS,
	    pod("p1", 2,
		",\"ownerReferences\":[{\"apiVersion\":\"apps/"
		"v1\",\"kind\":\"DaemonSet\",\"name\":\"d\",\"uid\":\"v\","
		"\"controller\":true}]"));
	expect_told("pod+p1@1 pod~p1@2 ");
	ck_assert_uint_eq(store_count(store, STORE_PODS), 0);
	close_store(store);
}
END_TEST

START_TEST(an_unreadable_object_changes_nothing)
{
	struct store *store = open_store();

	put(store, STORE_NODES, node("n1", 1));
	ck_assert(!put(store, STORE_NODES, objects_json("{\"metadata\":{\"name\":7}}")));
	ck_assert(!put(store, STORE_PODS, objects_json("{\"metadata\":{\"name\":\"x\"}}")));
	ck_assert(!put(store, STORE_SETS, objects_json("{}")));
	ck_assert(!put(store, STORE_REVISIONS, objects_json("[]")));
	take(store, STORE_NODES, objects_json("{\"metadata\":{}}"));
	ck_assert_uint_eq(store_count(store, STORE_NODES), 1);
	close_store(store);
}
END_TEST

START_TEST(all_four_lists_make_it_synced_once)
{
	struct store *store = open_store();

	for (unsigned i = 0; i < STORE_KINDS; i++) {
		ck_assert(!store_is_synced(store));
		begin(store, (enum store_kind)i);
		ck_assert(end(store, (enum store_kind)i, true));
	}
	ck_assert(store_is_synced(store));
	begin(store, STORE_PODS);
	ck_assert(end(store, STORE_PODS, true));
	expect_told("synced ");
	close_store(store);
}
END_TEST

START_TEST(the_version_is_the_last_that_was_reached)
{
	struct store *store = open_store();

	ck_assert_str_eq(store_version(store, STORE_PODS), "");
	store_reflector_ops(STORE_PODS)->on_version(store_reflector_arg(store, STORE_PODS), "99");
	ck_assert_str_eq(store_version(store, STORE_PODS), "99");
	ck_assert_str_eq(store_version(store, STORE_NODES), "");
	close_store(store);
}
END_TEST

static void put_pod_in(struct store *store, const char *namespace_name, const char *name)
{
	put(store, STORE_PODS,
	    objects_json("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s-%s\","
			 "\"resourceVersion\":\"1\"}}",
		name, namespace_name, namespace_name, name));
}

START_TEST(arrays_are_sorted_and_cut_by_namespace)
{
	struct store *store = open_store();
	const struct pod *const *pods;
	size_t count;

	ck_assert_ptr_null(store_pods(store, "b", &count));
	ck_assert_uint_eq(count, 0);
	put_pod_in(store, "b", "z");
	put_pod_in(store, "c", "a");
	put_pod_in(store, "b", "a");
	put_pod_in(store, "b-c", "q"); /* '-' sorts before '/': the namespace decides, not the key */
	put_pod_in(store, "a", "m");
	pods = store_pods(store, "b", &count);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(pods[0]->meta.name, "a");
	ck_assert_str_eq(pods[1]->meta.name, "z");
	(void)store_pods(store, "nowhere", &count);
	ck_assert_uint_eq(count, 0);
	pods = store_pods(store, NULL, &count);
	ck_assert_uint_eq(count, 5);
	ck_assert_str_eq(pods[0]->meta.name, "m");
	ck_assert_str_eq(pods[4]->meta.namespace_name, "c");
	close_store(store);
}
END_TEST

START_TEST(an_update_shows_in_the_array)
{
	struct store *store = open_store();
	const struct node *const *nodes;
	size_t count;

	put(store, STORE_NODES, node("n2", 1));
	put(store, STORE_NODES, node("n1", 1));
	nodes = store_nodes(store, &count);
	put(store, STORE_NODES, node("n2", 5));
	ck_assert_ptr_eq(store_nodes(store, &count), nodes);
	ck_assert_ptr_eq(nodes[1], store_node(store, "n2"));
	ck_assert_str_eq(nodes[1]->meta.resource_version, "5");
	take(store, STORE_NODES, node("n1", 6));
	nodes = store_nodes(store, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(nodes[0]->meta.name, "n2");
	close_store(store);
}
END_TEST

UNIT_MAIN("store", an_object_comes_changes_and_goes, the_same_version_is_no_event,
    another_uid_under_a_name_is_an_end_and_a_beginning, what_a_relist_does_not_name_goes_at_its_end,
    a_list_without_a_fifth_of_the_nodes_is_doubted_once, an_empty_list_of_pods_is_believed,
    pods_of_others_are_not_kept, a_pod_that_changes_hands_is_told_and_let_go,
    an_unreadable_object_changes_nothing, all_four_lists_make_it_synced_once,
    the_version_is_the_last_that_was_reached, arrays_are_sorted_and_cut_by_namespace,
    an_update_shows_in_the_array)
