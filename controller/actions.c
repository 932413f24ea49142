/* Actions.  The words in which a decision is put to the API server.
 *
 * Each change to an object that is there names its UID, in the patch's metadata or in the preconditions of a
 * delete: what has come under the same name since is not touched.  None names a version: that the object
 * changed in other respects is no reason to leave it unowned or undeleted.  Pure. */
#include "config.h"
#include "controller/actions.h"

#include <inttypes.h>
#include <string.h>

#include "common/must.h"
#include "controller/collector_set.h"
#include "controller/pod.h"

static char *path_of(const char *api, const char *namespace_name, const char *plural, const char *name)
{
	return xasprintf("%s/namespaces/%s/%s%s%s", api, namespace_name, plural, name != NULL ? "/" : "",
	    name != NULL ? name : "");
}

char *actions_pod_path(const char *namespace_name, const char *name)
{
	return path_of("/api/v1", namespace_name, "pods", name);
}

char *actions_revision_path(const char *namespace_name, const char *name)
{
	return path_of("/apis/apps/v1", namespace_name, "controllerrevisions", name);
}

char *actions_set_path(const char *namespace_name, const char *name)
{
	return path_of("/apis/" COLLECTOR_SET_API, namespace_name, COLLECTOR_SET_PLURAL, name);
}

char *actions_set_status_path(const char *namespace_name, const char *name)
{
	return xasprintf("/apis/" COLLECTOR_SET_API "/namespaces/%s/" COLLECTOR_SET_PLURAL "/%s/status",
	    namespace_name, name);
}

char *actions_node_path(const char *name)
{
	return xasprintf("/api/v1/nodes/%s", name);
}

void actions_adopt_body(const struct kube_meta *set, const char *uid, struct buf *out)
{
	must(buf_printf(out,
	    "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"" COLLECTOR_SET_API
	    "\",\"kind\":\"" COLLECTOR_SET_KIND "\",\"name\":\"%s\",\"uid\":\"%s\",\"controller\":true,"
	    "\"blockOwnerDeletion\":true}],\"uid\":\"%s\"}}",
	    set->name, set->uid, uid));
}

void actions_release_body(const char *set_uid, const char *uid, struct buf *out)
{
	must(buf_printf(out,
	    "{\"metadata\":{\"ownerReferences\":[{\"$patch\":\"delete\",\"uid\":\"%s\"}],\"uid\":\"%s\"}}",
	    set_uid, uid));
}

void actions_hash_label_body(const char *hash, const char *uid, struct buf *out)
{
	must(buf_printf(
	    out, "{\"metadata\":{\"labels\":{\"" POD_HASH_LABEL "\":\"%s\"},\"uid\":\"%s\"}}", hash, uid));
}

void actions_number_body(int64_t number, const char *uid, struct buf *out)
{
	must(buf_printf(out, "{\"metadata\":{\"uid\":\"%s\"},\"revision\":%" PRId64 "}", uid, number));
}

void actions_delete_body(const char *uid, struct buf *out)
{
	must(buf_printf(out,
	    "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"preconditions\":{\"uid\":\"%s\"}}", uid));
}
