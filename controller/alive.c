/* Alive.  The cache may not know yet that a set is being deleted, or that another one has taken its name;
 * what it adopted then would be lost with it or belong to nobody. */
#include "config.h"
#include "controller/alive.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "controller/actions.h"

int alive_ask(struct kube_client *client, const struct kube_meta *set,
    void (*on_end)(void *arg, const struct kube_answer *answer), void *arg, struct kube_request **ret_request,
    struct err *err)
{
	char *path = actions_set_path(set->namespace_name, set->name);
	const struct kube_call call = {.method = "GET", .path = path, .on_end = on_end, .arg = arg};
	int result = kube_start(client, &call, ret_request, err);

	free(path);
	return result;
}

const char *alive_judge(const struct kube_answer *answer, const char *uid)
{
	const char *complaint = NULL;
	struct kube_meta meta;
	cJSON *tree;

	if (answer->result != KUBE_OK)
		return answer->message;
	tree = answer->body != NULL ? cJSON_ParseWithLength(answer->body, answer->body_len) : NULL;
	if (kube_meta_read(&meta, tree, NULL) != 0) {
		complaint = "the set cannot be read";
	} else {
		if (strcmp(meta.uid, uid) != 0)
			complaint = "the set is another one by now";
		else if (meta.deleted_ms != 0)
			complaint = "the set is being deleted";
		kube_meta_release(&meta);
	}
	cJSON_Delete(tree);
	return complaint;
}
