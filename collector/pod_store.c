/* Pod store.  Two tables meet here: what a source knows of pods, and the containers whose files are followed.
 *
 *     pod:        WAITED FOR --put--> KNOWN --removed, or not listed--> GONE --a minute, no container--> none
 *                                       ^--------------put--------------'
 *
 *     container:  WAITING --its pod is KNOWN, or known not to be there, or it waited for long enough--> READ
 *                 and from then on all news are taken
 *
 * Stands between the sources and the collector.  Owns what is known, and the metadata that origins point to.
 * Decides nothing about reading but this one wait: who is excluded is told, who acts on it is elsewhere. */
#include "config.h"
#include "collector/pod_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/label_sets.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"

#define LOG_MODULE     "metadata"
#define STORE_MAGIC    MAGIC('p', 'o', 'd', 's')
#define TICK_MS        50    /* how often those who wait are looked at */
#define GONE_KEPT_MS   60000 /* its files may be found a little later */
#define PODS_MAX       4096  /* of one node */
#define NAMESPACES_MAX 65536
#define MORE_MAX       5
#define KEY_BYTES      (2 * FACT_BYTES + 128)

struct known;

/* A container whose files are followed. */
struct link {
	struct container *container;
	struct known *pod;
	struct metadata *metadata; /* that its origin points to; NULL = not known */
	unsigned tail_count;
	unsigned restart; /* of its newest run */
	uint64_t since_ms;
	uint64_t number;                          /* of the last list that had begun when it came */
	unsigned more_count;                      /* how often more was asked for */
	struct link *prev, *next;                 /* of its pod */
	struct link *waiting_prev, *waiting_next; /* while container->awaits_metadata */
	UT_hash_handle hh;                        /* by container */
};

struct known {
	char *key;               /* see pod_key */
	struct pod_facts *facts; /* NULL: nothing is known yet */
	bool is_listed;          /* the source has it; else it is gone */
	bool was_seen;           /* in the list that is coming in */
	uint64_t gone_ms;
	struct link *links;
	UT_hash_handle hh;
};

struct pod_store {
	unsigned magic;
	struct pod_store_options options;
	struct known *pods; /* by key */
	struct link *links; /* by container */
	struct link *waiting;
	size_t pod_count, waiting_count;
	uint64_t list_number;
	bool is_listing;
	bool is_answering;
	uint64_t silent_since_ms;
	bool needs_review;
	struct label_sets namespaces, nodes;
	uv_timer_t tick;
};

static struct pod_store *store_of(void *pointer)
{
	struct pod_store *store = pointer;

	must(store->magic == STORE_MAGIC);
	return store;
}

/* ---- labels of namespaces and nodes ------------------------------------------------------------- */

static struct label_sets *sets_of(struct pod_store *store, enum metadata_kind kind)
{
	must(kind == METADATA_NAMESPACE_LABELS || kind == METADATA_NODE_LABELS);
	return kind == METADATA_NAMESPACE_LABELS ? &store->namespaces : &store->nodes;
}

static const struct label_set *labels_of_namespace(const struct pod_store *store, const struct known *pod)
{
	return label_sets_find(&store->namespaces, pod->facts->namespace_name);
}

/* There is one: ours. */
static const struct label_set *labels_of_node(const struct pod_store *store)
{
	return label_sets_first(&store->nodes);
}

static bool lacks_namespace(const struct pod_store *store, const struct known *pod)
{
	return label_sets_lack(&store->namespaces, labels_of_namespace(store, pod));
}

static bool lacks_node(const struct pod_store *store)
{
	return label_sets_lack(&store->nodes, labels_of_node(store));
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static void wake_tails(const struct link *link)
{
	struct tail *tail;

	DL_FOREACH (link->container->tails, tail)
		tail_wake(tail);
}

static void begin_reading(struct pod_store *store, struct link *link)
{
	if (!link->container->awaits_metadata)
		return;
	link->container->awaits_metadata = false;
	DL_DELETE2(store->waiting, link, waiting_prev, waiting_next);
	store->waiting_count--;
	if (store->waiting == NULL)
		uv_timer_stop(&store->tick);
	wake_tails(link);
}

static bool is_known(const struct pod_store *store, const struct known *pod)
{
	return pod->facts != NULL && !lacks_namespace(store, pod) && !lacks_node(store);
}

/* What its records carry is made anew of what is known now.  Who waits for room in one lane may have another one by now. */
static void renew(struct pod_store *store, struct link *link)
{
	struct metadata *old = link->metadata;

	link->metadata =
	    link->pod->facts != NULL
		? pod_metadata_new(link->pod->facts, link->container->origin.container, link->restart,
		      labels_of_namespace(store, link->pod), labels_of_node(store))
		: NULL;
	link->container->origin.metadata = link->metadata;
	link->container->origin.metadata_version++;
	pod_metadata_free(old);
	if (!link->container->awaits_metadata)
		wake_tails(link);
}

/* What is missing is counted, and labels that did not come in time are not waited for again until they do. */
static void give_up_waiting(struct pod_store *store, struct link *link)
{
	store->options.counts->timed_out++;
	if (link->pod->facts != NULL) {
		store->namespaces.is_late = store->namespaces.is_late || lacks_namespace(store, link->pod);
		store->nodes.is_late = store->nodes.is_late || lacks_node(store);
	}
	begin_reading(store, link);
}

/* Has its source been waited for in vain already? */
static bool is_hopeless(const struct pod_store *store, const struct link *link)
{
	if (link->pod->facts == NULL)
		return !store->is_answering &&
		       link->since_ms >= store->silent_since_ms + store->options.wait_ms;
	return (lacks_namespace(store, link->pod) && store->namespaces.is_late) ||
	       (lacks_node(store) && store->nodes.is_late);
}

/* Since when it has waited for long enough: a source that was silent before it came has had its time. */
static uint64_t deadline_of(const struct pod_store *store, const struct link *link)
{
	uint64_t deadline = link->since_ms + store->options.wait_ms;
	uint64_t silence = store->silent_since_ms + store->options.wait_ms;

	if (!store->is_answering && silence < deadline)
		deadline = silence;
	return deadline;
}

static void on_tick(uv_timer_t *timer)
{
	struct pod_store *store = store_of(timer->data);
	uint64_t now_ms = clock_monotonic_ms();
	struct link *link, *next;

	DL_FOREACH_SAFE2 (store->waiting, link, next, waiting_next)
		if (now_ms >= deadline_of(store, link))
			give_up_waiting(store, link);
}

static void wait_for(struct pod_store *store, struct link *link)
{
	link->container->awaits_metadata = true;
	DL_APPEND2(store->waiting, link, waiting_prev, waiting_next);
	store->waiting_count++;
	if (!uv_is_active((uv_handle_t *)&store->tick))
		uv_timer_start(&store->tick, on_tick, TICK_MS, TICK_MS);
}

void pod_store_stop_waiting(struct pod_store *store)
{
	struct link *link, *next;

	must(store->magic == STORE_MAGIC);
	store->options.wait_ms = 0;
	DL_FOREACH_SAFE2 (store->waiting, link, next, waiting_next)
		begin_reading(store, link);
}

void pod_store_hear(struct pod_store *store, bool is_answering)
{
	must(store->magic == STORE_MAGIC);
	if (store->is_answering && !is_answering)
		store->silent_since_ms = clock_monotonic_ms();
	store->is_answering = is_answering;
}

/* ---- pods --------------------------------------------------------------------------------------- */

/* "<namespace>/<pod>/<uid>", all that the log directory's name says.  The uid alone would not do: a mirror
 * pod's is an annotation, in which whoever makes a pod may write that of any other; names are the API
 * server's to give, and a mirror pod has those of its static pod. */
struct pod_key {
	char text[KEY_BYTES];
};

static struct pod_key pod_key(const char *namespace_name, const char *name, const char *uid)
{
	struct pod_key key;
	int len = snprintf(key.text, sizeof key.text, "%s/%s/%s", namespace_name, name, uid);

	must(len > 0 && (size_t)len < sizeof key.text); /* both sides bound what they read */
	return key;
}

static struct pod_key key_of_facts(const struct pod_facts *facts)
{
	return pod_key(facts->namespace_name, facts->name, facts->uid);
}

static struct pod_key key_of_origin(const struct origin *origin)
{
	return pod_key(origin->namespace_name, origin->pod, origin->uid);
}

static struct known *find_pod(const struct pod_store *store, const struct pod_key *key)
{
	struct known *pod;

	HASH_FIND_STR(store->pods, key->text, pod);
	return pod;
}

static struct known *get_pod(struct pod_store *store, const struct pod_key *key)
{
	struct known *pod = find_pod(store, key);

	if (pod != NULL)
		return pod;
	pod = x_new(pod);
	pod->key = xstrdup(key->text);
	HASH_ADD_KEYPTR(hh, store->pods, pod->key, strlen(pod->key), pod);
	return pod;
}

static void free_pod(struct pod_store *store, struct known *pod)
{
	must(pod->links == NULL);
	HASH_DEL(store->pods, pod);
	store->pod_count -= pod->facts != NULL;
	pod_facts_free(pod->facts);
	free(pod->key);
	free(pod);
}

/* Pods that are gone and whose files nobody follows. */
static void forget_gone(struct pod_store *store, bool at_once)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct known *pod, *next;

	HASH_ITER (hh, store->pods, pod, next)
		if (!pod->is_listed && pod->links == NULL &&
		    (at_once || pod->facts == NULL || now_ms - pod->gone_ms >= GONE_KEPT_MS))
			free_pod(store, pod);
}

static void lose(struct known *pod)
{
	if (!pod->is_listed)
		return;
	pod->is_listed = false;
	pod->gone_ms = clock_monotonic_ms();
}

static void exclude(struct pod_store *store, struct link *link, bool is_excluded)
{
	const struct pod_store_events *events = &store->options.events;

	if (link->container->is_excluded == is_excluded)
		return;
	link->container->is_excluded = is_excluded;
	if (is_excluded)
		events->excluded(events->arg, link->container);
	else
		events->included(events->arg, link->container);
}

/* The links of a pod learn which of them are excluded now; the others are asked about by a review. */
static void tell_exclusions(struct pod_store *store, struct known *pod, const struct pod_facts *old)
{
	bool had_exclusion = old != NULL && pod_facts_has_exclusion(old);
	bool has_exclusion = pod_facts_has_exclusion(pod->facts);
	struct link *link, *next;

	if (pod_facts_exclude_alike(old, pod->facts))
		return;
	store->needs_review = true;
	store->options.counts->excluded += has_exclusion && !had_exclusion;
	if (has_exclusion != had_exclusion)
		log_info(has_exclusion ? "pod asks not to be read" : "pod may be read again",
		    "namespace=%s pod=%s", log_quote(pod->facts->namespace_name),
		    log_quote(pod->facts->name));
	DL_FOREACH_SAFE (pod->links, link, next)
		exclude(store, link, pod_facts_excludes(pod->facts, link->container->origin.container));
}

static void take_facts(struct pod_store *store, struct known *pod, struct pod_facts *facts)
{
	struct pod_facts *old = pod->facts;
	struct link *link;

	pod->facts = facts;
	store->pod_count += old == NULL;
	store->options.counts->left_out += facts->left_out;
	if (facts->refused[0] != '\0' && (old == NULL || strcmp(old->refused, facts->refused) != 0)) {
		store->options.counts->refused++;
		log_warn("annotation of a pod is not in this version and has no effect",
		    "namespace=%s pod=%s annotation=%s", log_quote(facts->namespace_name),
		    log_quote(facts->name), log_quote(facts->refused));
	}
	if (facts->left_out != 0 && (old == NULL || old->left_out == 0))
		log_warn("a pod has more labels and annotations than records can carry, some are left out",
		    "namespace=%s pod=%s left_out=%u", log_quote(facts->namespace_name),
		    log_quote(facts->name), facts->left_out);
	tell_exclusions(store, pod, old);
	DL_FOREACH (pod->links, link)
		renew(store, link);
	pod_facts_free(old);
}

static void settle_known(struct pod_store *store, struct known *pod)
{
	struct link *link;

	if (!is_known(store, pod))
		return;
	DL_FOREACH (pod->links, link)
		begin_reading(store, link);
}

static void review(struct pod_store *store)
{
	if (!store->needs_review)
		return;
	store->needs_review = false;
	store->options.events.review(store->options.events.arg);
}

/* A node has hundreds of pods, so a source that sends more is not to be believed. */
static bool has_room(struct pod_store *store, const struct pod_key *key)
{
	if (store->pod_count < PODS_MAX || find_pod(store, key) != NULL)
		return true;
	forget_gone(store, true);
	if (store->pod_count < PODS_MAX)
		return true;
	if (store->options.counts->no_room++ == 0)
		log_warn("there are more pods on this node than are kept", "limit=%u", PODS_MAX);
	return false;
}

static void put(struct pod_store *store, struct pod_facts *facts)
{
	struct pod_key key = key_of_facts(facts);
	struct known *pod;

	if (!has_room(store, &key)) {
		pod_facts_free(facts);
		return;
	}
	pod = get_pod(store, &key);
	pod->is_listed = pod->was_seen = true;
	if (pod->facts != NULL && pod->facts->hash == facts->hash)
		pod_facts_free(facts);
	else
		take_facts(store, pod, facts);
	settle_known(store, pod);
}

void pod_store_put(struct pod_store *store, const struct cJSON *object)
{
	struct pod_facts *facts;
	struct err err = {.code = 0};

	must(store->magic == STORE_MAGIC);
	if (pod_facts_read(&facts, object, store->options.choice, &err) != 0) {
		if (store->options.counts->unreadable++ == 0)
			log_warn("an object is no pod, it is passed over", "error=%s", log_quote(err.text));
		return;
	}
	put(store, facts);
	if (!store->is_listing) /* else its end does */
		review(store);
}

/* The mirror of a static pod may have been made anew by now: that one is another object with the same logs.
 */
void pod_store_remove(struct pod_store *store, const struct cJSON *object)
{
	struct pod_facts *facts;
	struct pod_key key;
	struct known *pod;

	must(store->magic == STORE_MAGIC);
	if (pod_facts_read(&facts, object, store->options.choice, NULL) != 0)
		return;
	key = key_of_facts(facts);
	pod = find_pod(store, &key);
	if (pod != NULL && pod->facts != NULL && strcmp(pod->facts->object_uid, facts->object_uid) == 0)
		lose(pod);
	pod_facts_free(facts);
	forget_gone(store, false);
}

uint64_t pod_store_begin_list(struct pod_store *store)
{
	struct known *pod, *next;

	must(store->magic == STORE_MAGIC);
	HASH_ITER (hh, store->pods, pod, next)
		pod->was_seen = false;
	store->is_listing = true;
	return ++store->list_number;
}

/* Nobody who was there when the list began, and is not in it, waits any longer. */
static void settle_absent(struct pod_store *store, uint64_t number)
{
	struct link *link, *next;

	DL_FOREACH_SAFE2 (store->waiting, link, next, waiting_next)
		if (link->number < number && link->pod->facts == NULL)
			give_up_waiting(store, link);
}

void pod_store_end_list(struct pod_store *store, uint64_t number, bool is_final)
{
	struct known *pod, *next;

	must(store->magic == STORE_MAGIC);
	HASH_ITER (hh, store->pods, pod, next)
		if (!pod->was_seen)
			lose(pod);
	forget_gone(store, false);
	if (is_final)
		settle_absent(store, number);
	store->is_listing = false;
	pod_store_hear(store, true);
	review(store);
}

/* ---- namespaces and nodes ----------------------------------------------------------------------- */

/* Containers that these labels concern: all of them, or those of one namespace. */
static void labels_changed(struct pod_store *store, enum metadata_kind kind, const char *name)
{
	struct link *link, *next;

	HASH_ITER (hh, store->links, link, next) {
		const struct pod_facts *facts = link->pod->facts;

		if (facts == NULL)
			continue;
		if (name != NULL && kind == METADATA_NAMESPACE_LABELS &&
		    strcmp(facts->namespace_name, name) != 0)
			continue;
		if (name != NULL)
			renew(store, link);
		if (is_known(store, link->pod))
			begin_reading(store, link);
	}
}

void pod_store_expect(struct pod_store *store, enum metadata_kind kind)
{
	sets_of(store, kind)->is_expected = true;
}

void pod_store_begin_labels(struct pod_store *store, enum metadata_kind kind)
{
	label_sets_begin(sets_of(store, kind));
}

void pod_store_put_labels(struct pod_store *store, enum metadata_kind kind, const struct cJSON *object)
{
	struct label_set *labels;
	struct err err = {.code = 0};

	if (label_set_read(&labels, object, store->options.choice, kind, &err) != 0) {
		if (store->options.counts->unreadable++ == 0)
			log_warn(
			    "an object has no labels, it is passed over", "error=%s", log_quote(err.text));
		return;
	}
	switch (label_sets_put(sets_of(store, kind), labels)) {
	case LABELS_SAME: break;
	case LABELS_NO_ROOM: store->options.counts->no_room++; break;
	case LABELS_NEW:
		store->options.counts->left_out += labels->left_out;
		labels_changed(store, kind, labels->name);
		break;
	}
}

/* What records of its pods carry stays as it is. */
void pod_store_remove_labels(struct pod_store *store, enum metadata_kind kind, const struct cJSON *object)
{
	struct label_set *labels;

	if (label_set_read(&labels, object, store->options.choice, kind, NULL) != 0)
		return;
	label_sets_remove(sets_of(store, kind), labels->name);
	label_set_free(labels);
}

void pod_store_end_labels(struct pod_store *store, enum metadata_kind kind)
{
	label_sets_end(sets_of(store, kind));
	labels_changed(store, kind, NULL);
}

/* ---- containers --------------------------------------------------------------------------------- */

static struct link *find_link(const struct pod_store *store, const struct container *container)
{
	struct link *link;

	HASH_FIND_PTR(store->links, &container, link);
	return link;
}

/* Its pod is known, and not yet by which id its newest run goes. */
static bool lacks_id(const struct pod_store *store, const struct link *link)
{
	return link->metadata != NULL && link->metadata->container_id[0] == '\0' &&
	       metadata_choice_has(store->options.choice, METADATA_CONTAINER_ID);
}

static void begin_link(struct pod_store *store, struct link *link)
{
	const struct known *pod = link->pod;

	if (pod->facts != NULL)
		renew(store, link);
	link->container->is_excluded = pod_store_excludes(store, &link->container->origin);
	if (is_known(store, pod) || store->options.wait_ms == 0)
		return;
	if (is_hopeless(store, link))
		store->options.counts->timed_out++;
	else
		wait_for(store, link);
}

/* Another tail of the container.  If it is the first of a new run, what is known may be the old one's. */
static void add_tail(struct pod_store *store, struct link *link, unsigned restart)
{
	link->tail_count++;
	if (restart <= link->restart)
		return;
	link->restart = restart;
	link->more_count = 0;
	if (link->metadata == NULL)
		return;
	renew(store, link);
	if (lacks_id(store, link))
		store->options.events.unknown(store->options.events.arg);
}

void pod_store_attach(struct pod_store *store, struct container *container, unsigned restart)
{
	struct pod_key key = key_of_origin(&container->origin);
	struct link *link = find_link(store, container);

	must(store->magic == STORE_MAGIC);
	if (link != NULL) {
		add_tail(store, link, restart);
		return;
	}
	link = x_new(link);
	*link = (struct link){
	    .container = container,
	    .pod = get_pod(store, &key),
	    .tail_count = 1,
	    .restart = restart,
	    .since_ms = clock_monotonic_ms(),
	    .number = store->list_number,
	};
	DL_APPEND(link->pod->links, link);
	HASH_ADD_PTR(store->links, container, link);
	begin_link(store, link);
	if (link->pod->facts == NULL || lacks_id(store, link))
		store->options.events.unknown(store->options.events.arg);
}

/* The container goes on without. */
static void free_link(struct pod_store *store, struct link *link)
{
	struct known *pod = link->pod;

	begin_reading(store, link);
	link->container->is_excluded = false;
	link->container->origin.metadata = NULL;
	link->container->origin.metadata_version++;
	pod_metadata_free(link->metadata);
	HASH_DEL(store->links, link);
	DL_DELETE(pod->links, link);
	free(link);
	if (pod->links == NULL && pod->facts == NULL)
		free_pod(store, pod);
}

void pod_store_detach(struct pod_store *store, struct container *container)
{
	struct link *link = find_link(store, container);

	must(store->magic == STORE_MAGIC && link != NULL && link->tail_count > 0);
	if (--link->tail_count == 0)
		free_link(store, link);
}

bool pod_store_excludes(const struct pod_store *store, const struct origin *origin)
{
	struct pod_key key = key_of_origin(origin);
	const struct known *pod = find_pod(store, &key);

	return pod != NULL && pod->facts != NULL && pod_facts_excludes(pod->facts, origin->container);
}

bool pod_store_wants_more(struct pod_store *store)
{
	struct link *link, *next;
	bool wants = false;

	HASH_ITER (hh, store->links, link, next) {
		if (!lacks_id(store, link) || link->more_count == MORE_MAX)
			continue;
		link->more_count++;
		wants = true;
	}
	return wants;
}

/* ---- to be asked -------------------------------------------------------------------------------- */

size_t pod_store_pods(const struct pod_store *store)
{
	return store->pod_count;
}

size_t pod_store_waiting(const struct pod_store *store)
{
	return store->waiting_count;
}

void pod_store_each(
    const struct pod_store *store, void (*visit)(void *arg, const struct pod_facts *facts), void *arg)
{
	struct known *pod, *next;

	HASH_ITER (hh, store->pods, pod, next)
		if (pod->is_listed && (pod_facts_has_exclusion(pod->facts) || pod->facts->refused[0] != '\0'))
			visit(arg, pod->facts);
}

/* ---- life --------------------------------------------------------------------------------------- */

struct pod_store *pod_store_new(uv_loop_t *loop, const struct pod_store_options *options)
{
	struct pod_store *store = x_new(store);

	store->magic = STORE_MAGIC;
	store->options = *options;
	store->silent_since_ms = clock_monotonic_ms();
	store->namespaces = (struct label_sets){.kind = METADATA_NAMESPACE_LABELS, .limit = NAMESPACES_MAX};
	store->nodes = (struct label_sets){.kind = METADATA_NODE_LABELS, .limit = 1};
	must(uv_timer_init(loop, &store->tick) == 0);
	store->tick.data = store;
	return store;
}

static void on_closed(uv_handle_t *handle)
{
	struct pod_store *store = store_of(handle->data);

	store->magic = 0;
	free(store);
}

void pod_store_close(struct pod_store *store)
{
	struct link *link, *next_link;
	struct known *pod, *next_pod;

	must(store->magic == STORE_MAGIC);
	HASH_ITER (hh, store->links, link, next_link)
		free_link(store, link);
	HASH_ITER (hh, store->pods, pod, next_pod)
		free_pod(store, pod);
	label_sets_release(&store->namespaces);
	label_sets_release(&store->nodes);
	uv_close((uv_handle_t *)&store->tick, on_closed);
}
