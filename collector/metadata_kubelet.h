/* The kubelet's list of its pods, asked again and again: every 30 seconds, and when a container came whose
 * pod is not known, at most once a second.  It has no watch. */
#ifndef DRAVE_COLLECTOR_METADATA_KUBELET_H
#define DRAVE_COLLECTOR_METADATA_KUBELET_H

#include <stdint.h>
#include <uv.h>

#include "collector/pod_store.h"
#include "common/kube_client.h"

struct metadata_kubelet;

/* A longer list is none of a kubelet. */
#define METADATA_LIST_BYTES (64u << 20)

struct metadata_kubelet_events {
	/* A request ended: KUBE_OK, or why not, for a person.  Not to be closed from inside. */
	void (*answered)(void *arg, enum kube_result result, const char *message);
	void *arg;
};

/* Asks at once.  client and store are borrowed. */
struct metadata_kubelet *metadata_kubelet_new(uv_loop_t *loop, struct kube_client *client,
    struct pod_store *store, const struct metadata_kubelet_events *events);
/* Something is not known: asks as soon as it may. */
void metadata_kubelet_ask(struct metadata_kubelet *kubelet);
/* Cancels; frees in the last close callback. */
void metadata_kubelet_close(struct metadata_kubelet *kubelet);

#endif
