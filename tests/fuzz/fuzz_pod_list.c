/* A kubelet's list of pods, as any bytes in any pieces, on its way into a store that a container waits for.
 *
 * Beyond not crashing: the pieces make no difference; whoever was there before a whole list waits no longer
 * than for it; a list that was cut takes nobody away. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "collector/pod_store.h"
#include "common/clock.h"
#include "common/event_stream.h"
#include "common/log.h"
#include "common/must.h"
#include "common/table.h"

static const char *const all_words[] = {"labels", "annotations", "owner", "image", "container_id"};
static const char *const all_globs[] = {"*"};
static const struct bind_list every_word = {(char **)(uintptr_t)all_words, 5}; /* nobody writes to them */
static const struct bind_list every_glob = {(char **)(uintptr_t)all_globs, 1};
static const struct metadata_choice choice = {.words = &every_word, .annotations = &every_glob};

#define KNOWN                                                                                                \
	"{\"items\":[{\"metadata\":{\"name\":\"known\",\"namespace\":\"ns\",\"uid\":\"u-0\",\"labels\":{\"app\":\"a\"}}}],"       \
	"\"metadata\":{}}"

/* What can be seen of a store from outside. */
struct outcome {
	size_t pods, waiting, labels;
	bool is_whole, is_excluded;
};

static void on_event(void *arg)
{
	(void)arg;
}

static void on_container(void *arg, struct container *container)
{
	(void)arg;
	(void)container;
}

static bool on_item(void *arg, const struct cJSON *pod)
{
	pod_store_put(arg, pod);
	return true;
}

static bool take_list(struct pod_store *store, const char *bytes, size_t len, size_t piece)
{
	uint64_t number = pod_store_begin_list(store);
	struct list_stream *list = list_stream_new(on_item, store);
	struct err err;
	bool is_whole = true;

	for (size_t at = 0; is_whole && at < len; at += piece)
		is_whole = list_stream_feed(list, bytes + at, len - at < piece ? len - at : piece, &err) == 0;
	is_whole = is_whole && list_stream_check(list, &err) == 0;
	list_stream_free(list);
	if (is_whole)
		pod_store_end_list(store, number, true);
	return is_whole;
}

static struct outcome run(uv_loop_t *loop, const char *bytes, size_t len, size_t piece)
{
	struct container known = {.origin = {"ns", "known", "u-0", "main", "node"}},
			 waiting = {.origin = {"ns", "web", "u-1", "main", "node"}};
	struct pod_store_counts counts = {.refused = 0};
	const struct pod_store_options options = {.choice = &choice,
	    .wait_ms = 5000,
	    .counts = &counts,
	    .events = {on_event, on_container, on_container, on_event, NULL}};
	struct pod_store *store = pod_store_new(loop, &options);
	struct outcome outcome;

	must(take_list(store, KNOWN, sizeof KNOWN - 1, 7));
	pod_store_attach(store, &known, 0);
	pod_store_attach(store, &waiting, 0);
	must(known.origin.metadata != NULL && waiting.awaits_metadata);
	outcome.is_whole = take_list(store, bytes, len, piece);
	outcome.pods = pod_store_pods(store);
	outcome.waiting = pod_store_waiting(store);
	outcome.is_excluded = pod_store_excludes(store, &waiting.origin);
	outcome.labels = waiting.origin.metadata != NULL ? waiting.origin.metadata->labels.count : 0;
	must(known.origin.metadata != NULL && outcome.pods >= 1);
	must(outcome.waiting == (waiting.awaits_metadata ? 1 : 0));
	must(!outcome.is_whole || !waiting.awaits_metadata);
	must(waiting.is_excluded == outcome.is_excluded);
	pod_store_detach(store, &waiting);
	pod_store_detach(store, &known);
	must(waiting.origin.metadata == NULL && !waiting.is_excluded);
	pod_store_close(store);
	(void)uv_run(loop, UV_RUN_DEFAULT);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *text = (const char *)bytes;
	struct outcome whole;
	uv_loop_t loop;

	log_setup(LOG_ERROR, LOG_TEXT);
	must(uv_loop_init(&loop) == 0);
	clock_hold(100000, 0);
	whole = run(&loop, text, len, len + 1);
	for (size_t piece = 1; piece <= 64; piece *= 8) {
		struct outcome outcome = run(&loop, text, len, piece);

		must(outcome.pods == whole.pods && outcome.waiting == whole.waiting);
		must(outcome.labels == whole.labels);
		must(outcome.is_whole == whole.is_whole && outcome.is_excluded == whole.is_excluded);
	}
	clock_release();
	must(uv_loop_close(&loop) == 0);
	return 0;
}
