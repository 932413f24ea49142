/* Metadata report.  Reads the feed and its store and writes numbers and text; changes nothing.
 *
 * Stands beside the pages.  Owns nothing. */
#include "config.h"
#include "collector/metadata_report.h"

#include <inttypes.h>
#include <string.h>

static const struct metric_family family_pods = {
    "drave_metadata_pods", "Pods whose metadata are known.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_waiting = {"drave_metadata_waiting_containers",
    "Containers that wait for their metadata before they are read.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_excluded = {"drave_metadata_excluded_pods",
    "Pods that ask not to be read, whole or in part.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_up = {
    "drave_metadata_source_up", "1 while the source of metadata answers.", METRIC_GAUGE, "source", NULL, 0};
static const struct metric_family family_requests = {"drave_metadata_requests_total",
    "Requests to the source of metadata.", METRIC_COUNTER, "result", NULL, 0};
static const struct metric_family family_events = {"drave_metadata_events_total",
    "What could not be known, or was not taken.", METRIC_COUNTER, "event", NULL, 0};

struct tally {
	size_t excluded;
	struct buf *out;
	bool *first;
};

static void count_excluded(void *arg, const struct pod_facts *facts)
{
	((struct tally *)arg)->excluded += pod_facts_has_exclusion(facts);
}

void metadata_report_measure(const struct metadata_feed *feed, struct metric_table *metrics)
{
	const struct metadata_state state = metadata_feed_state(feed);
	const struct metadata_totals *totals = state.totals;
	const struct {
		const char *event;
		uint64_t value;
	} events[] = {
	    {"unreadable", totals->store.unreadable},
	    {"left_out", totals->store.left_out},
	    {"no_room", totals->store.no_room},
	    {"began_without", totals->store.timed_out},
	    {"excluded", totals->store.excluded},
	    {"refused_annotation", totals->store.refused},
	};
	struct tally tally = {.excluded = 0};

	pod_store_each(state.store, count_excluded, &tally);
	metric_set(metric_get(metrics, &family_pods), (double)pod_store_pods(state.store));
	metric_set(metric_get(metrics, &family_waiting), (double)pod_store_waiting(state.store));
	metric_set(metric_get(metrics, &family_excluded), (double)tally.excluded);
	metric_set(metric_get(metrics, &family_up, "kubelet"),
	    state.is_answering && strcmp(state.source, "kubelet") == 0);
	metric_set(
	    metric_get(metrics, &family_up, "api"), state.is_answering && strcmp(state.source, "api") == 0);
	metric_follow(metric_get(metrics, &family_requests, "ok"), totals->requests - totals->failures);
	metric_follow(metric_get(metrics, &family_requests, "failed"), totals->failures);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		metric_follow(metric_get(metrics, &family_events, events[i].event), events[i].value);
}

static void add_text(struct buf *out, const char *before, const char *text)
{
	buf_add_text(out, before);
	buf_add_json(out, text, strlen(text));
}

static void write_pod(struct buf *out, const struct pod_facts *facts)
{
	add_text(out, "\"namespace\":", facts->namespace_name);
	add_text(out, ",\"pod\":", facts->name);
	add_text(out, ",\"uid\":", facts->uid);
}

static void write_excluded(void *arg, const struct pod_facts *facts)
{
	struct tally *tally = arg;

	for (size_t i = 0; i < facts->container_count; i++) {
		if (!facts->containers[i].is_excluded)
			continue;
		buf_add_text(tally->out, *tally->first ? "{" : ",{");
		*tally->first = false;
		write_pod(tally->out, facts);
		add_text(tally->out, ",\"container\":", facts->containers[i].name);
		buf_add_text(tally->out, "}");
	}
}

static void write_refused(void *arg, const struct pod_facts *facts)
{
	struct tally *tally = arg;

	if (facts->refused[0] == '\0')
		return;
	buf_add_text(tally->out, *tally->first ? "{" : ",{");
	*tally->first = false;
	write_pod(tally->out, facts);
	add_text(tally->out, ",\"annotation\":", facts->refused);
	buf_add_text(tally->out, ",\"reason\":\"not in this version, not a value that it takes, or no "
				 "container of the pod; it has no effect\"}");
}

void metadata_report_status(const struct metadata_feed *feed, struct buf *out)
{
	const struct metadata_state state = metadata_feed_state(feed);
	bool first = true;
	struct tally tally = {.out = out, .first = &first};

	buf_printf(out, "{\"source\":\"%s\",\"answering\":%s,\"pods\":%zu,\"waiting_containers\":%zu",
	    state.source, state.is_answering ? "true" : "false", pod_store_pods(state.store),
	    pod_store_waiting(state.store));
	buf_printf(out, ",\"requests\":%" PRIu64 ",\"failures\":%" PRIu64 ",\"began_without\":%" PRIu64,
	    state.totals->requests, state.totals->failures, state.totals->store.timed_out);
	add_text(out, ",\"error\":", state.error);
	buf_add_text(out, ",\"excluded\":[");
	pod_store_each(state.store, write_excluded, &tally);
	buf_add_text(out, "],\"refused\":[");
	first = true;
	pod_store_each(state.store, write_refused, &tally);
	buf_add_text(out, "]}");
}

static void write_stream(void *arg, const struct pod_facts *facts)
{
	struct tally *tally = arg;

	for (size_t i = 0; i < facts->container_count; i++) {
		if (!facts->containers[i].is_excluded)
			continue;
		buf_printf(tally->out, "%s\n{\"output\":null,\"path\":null,", *tally->first ? "" : ",");
		*tally->first = false;
		write_pod(tally->out, facts);
		add_text(tally->out, ",\"container\":", facts->containers[i].name);
		buf_add_text(tally->out, ",\"excluded\":true}");
	}
}

void metadata_report_streams(const struct metadata_feed *feed, struct buf *out, bool *first)
{
	struct tally tally = {.out = out, .first = first};

	pod_store_each(metadata_feed_state(feed).store, write_stream, &tally);
}
