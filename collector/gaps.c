/* Gaps.  kubelet keeps a few rotated files and deletes the oldest, whether anybody has read it or not.  After
 * a stop that was too long, marks stand in files that are gone: what they had not reached yet is lost, and
 * counted once, as far as anyone knows.
 *
 * Stands between the checkpoint, which knows the marks, and those who say what is wanted, the outputs and
 * the pods themselves: a file that nobody wants any more is no loss.  Owns nothing.  Says nothing about files
 * that nobody ever saw. */
#include "config.h"
#include "collector/gaps.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collector/podpath.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE "gaps"

struct search {
	const struct roster *roster;
	const struct metadata_feed *feed;
	const char *output;
	struct pipeline *found;
	const void *last_segment; /* a file's outputs are told one after another */
};

static void compare_name(void *visitor, struct pipeline *pipeline)
{
	struct search *search = visitor;

	if (strcmp(pipeline_name(pipeline), search->output) == 0)
		search->found = pipeline;
}

static struct pipeline *find_pipeline(struct search *search, const char *output)
{
	search->output = output;
	search->found = NULL;
	roster_each(search->roster, compare_name, search);
	return search->found;
}

/* "<namespace>_<pod>_<uid>/<container>/<file>"; docker's paths say nothing of that. */
static bool on_wanted(void *arg, const char *output, const char *path)
{
	struct search *search = arg;
	const struct pipeline *pipeline = find_pipeline(search, output);
	size_t pod_len = strcspn(path, "/"), container_len;
	char *pod = xstrndup(path, pod_len), *container;
	struct podpath parsed;
	struct origin origin;
	bool wanted = false;

	path += pod_len + (path[pod_len] == '/');
	container_len = strcspn(path, "/");
	container = xstrndup(path, container_len);
	if (pipeline != NULL && podpath_parse_pod(pod, &parsed) && podpath_is_container(container)) {
		origin = (struct origin){.namespace_name = parsed.namespace_name,
		    .pod = parsed.pod,
		    .uid = parsed.uid,
		    .container = container};
		wanted = pipeline_wants(pipeline, &origin) &&
			 (search->feed == NULL || !metadata_feed_excludes(search->feed, &origin));
	}
	free(pod);
	free(container);
	return wanted;
}

static void on_missing(void *arg, const struct missing *missing)
{
	struct search *search = arg;
	bool is_new = missing->segment != search->last_segment;

	search->last_segment = missing->segment;
	pipeline_miss(find_pipeline(search, missing->output), missing->bytes, is_new);
	log_warn("file was deleted before all of it was delivered",
	    "output=%s path=%s offset=%" PRIu64 " lost_bytes_at_least=%" PRIu64, missing->output,
	    log_quote(missing->path), missing->offset, missing->bytes);
}

void gaps_count(struct checkpoint *checkpoint, const struct roster *roster, const struct metadata_feed *feed)
{
	struct search search = {.roster = roster, .feed = feed};

	checkpoint_missing(checkpoint, on_wanted, on_missing, &search);
}
