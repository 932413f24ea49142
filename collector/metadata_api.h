/* The node's pods from the API server: listed and watched with a field selector, so that one node costs it
 * little.  If records carry them, the labels of all namespaces and of this node, too. */
#ifndef DRAVE_COLLECTOR_METADATA_API_H
#define DRAVE_COLLECTOR_METADATA_API_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "collector/pod_store.h"
#include "common/kube_client.h"

struct metadata_api;

/* Begins at once.  client, store and choice are borrowed. */
int metadata_api_new(struct metadata_api **ret_api, uv_loop_t *loop, struct kube_client *client,
    struct pod_store *store, const struct metadata_choice *choice, const char *node_name, struct err *err);
/* Nothing more comes; frees in the last close callback. */
void metadata_api_close(struct metadata_api *api);

struct metadata_api_state {
	bool is_answering; /* the pods were listed, and are watched without complaint */
	const char *error; /* "" = all is well; lent until the next turn */
	uint64_t requests, failures;
};
struct metadata_api_state metadata_api_state(const struct metadata_api *api);

#endif
