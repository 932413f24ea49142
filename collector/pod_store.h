/* The pods of this node, by namespace, name and uid as their log directories have them, and which containers'
 * records carry what is known of them.
 *
 * A container waits (container->awaits_metadata) until its pod is known, or known not to be there, or it has
 * waited for metadata_wait; then its tails are woken.  Also nobody waits for a source that has been silent
 * for as long.  News become a new version of the container's metadata at once.  What is known of a pod stays
 * until its last container is detached, also when the pod is gone. */
#ifndef DRAVE_COLLECTOR_POD_STORE_H
#define DRAVE_COLLECTOR_POD_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "collector/pod_facts.h"
#include "collector/tail.h"

struct pod_store;

struct pod_store_events {
	/* A container came whose pod is not known, or the id of its newest run is not: a source that can be asked
	 * is to be asked. */
	void (*unknown)(void *arg);
	/* A container that is followed is excluded, or is not any more. */
	void (*excluded)(void *arg, struct container *container);
	void (*included)(void *arg, struct container *container);
	/* After all of these: what pod_store_excludes says has changed. */
	void (*review)(void *arg);
	void *arg;
};

struct pod_store_counts {    /* they only grow; the owner keeps them, so that they outlive a reload */
	uint64_t unreadable; /* objects that are none of their kind */
	uint64_t left_out;   /* labels and annotations without room */
	uint64_t timed_out;  /* containers that began without metadata */
	uint64_t no_room;    /* pods and namespaces beyond what is kept */
	uint64_t excluded, refused;
};

struct pod_store_options {
	const struct metadata_choice *choice; /* borrowed */
	uint64_t wait_ms;
	struct pod_store_counts *counts;
	struct pod_store_events events;
};

struct pod_store *pod_store_new(uv_loop_t *loop, const struct pod_store_options *options);
/* Leaves the containers that are still attached without metadata.  Frees in the last close callback. */
void pod_store_close(struct pod_store *store);

/* ---- for whoever follows files: once for each tail ---- */

/* From now on container->origin.metadata is kept true.  restart: the number of the tail's run. */
void pod_store_attach(struct pod_store *store, struct container *container, unsigned restart);
void pod_store_detach(struct pod_store *store, struct container *container);
/* Of the origin, what it is asked about: namespace, pod, uid and container. */
bool pod_store_excludes(const struct pod_store *store, const struct origin *origin);
/* Nobody waits any more (the end is near). */
void pod_store_stop_waiting(struct pod_store *store);

/* ---- for sources ---- */

/* A list comes (again): what is not named until pod_store_end_list is gone.  A number that says which
 * containers were there when it began. */
uint64_t pod_store_begin_list(struct pod_store *store);
/* Added or changed.  What cannot be read is counted and passed over. */
void pod_store_put(struct pod_store *store, const struct cJSON *pod);
void pod_store_remove(struct pod_store *store, const struct cJSON *pod);
/* is_final: who is not in the list is no pod of this node, so nobody who was there when it began waits any
 * longer. */
void pod_store_end_list(struct pod_store *store, uint64_t number, bool is_final);
/* Labels of namespaces and of the node: from now on a pod is known when these are, too. */
void pod_store_expect(struct pod_store *store, enum metadata_kind kind);
void pod_store_begin_labels(struct pod_store *store, enum metadata_kind kind);
void pod_store_put_labels(struct pod_store *store, enum metadata_kind kind, const struct cJSON *object);
void pod_store_remove_labels(struct pod_store *store, enum metadata_kind kind, const struct cJSON *object);
void pod_store_end_labels(struct pod_store *store, enum metadata_kind kind);
/* Does the source answer?  Until it did once, and while it does not, it counts as silent. */
void pod_store_hear(struct pod_store *store, bool is_answering);
/* Is something of an attached container still missing that kubelet tells a little later (its id)?  True a few
 * times for each. */
bool pod_store_wants_more(struct pod_store *store);

/* ---- to be asked ---- */

size_t pod_store_pods(const struct pod_store *store);
size_t pod_store_waiting(const struct pod_store *store);
/* Those of which something is excluded, and those with an annotation of ours that is refused. */
void pod_store_each(
    const struct pod_store *store, void (*visit)(void *arg, const struct pod_facts *facts), void *arg);

#endif
