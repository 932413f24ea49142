/* Status page.  Reads the parts and writes text; changes nothing.
 *
 * Stands beside the controller.  Owns no state but the gauges that it keeps up to date at each scrape.  What
 * is told of one set comes from reconcile. */
#include "config.h"
#include "controller/status_page.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/page.h"

static const struct metric_family family_leading = {
    "drave_controller_leading", "1 while this controller acts.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_synced = {
    "drave_controller_synced", "1 once all caches are complete.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_transitions = {
    "drave_controller_lease_transitions", "How often the lease changed hands.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_unserved = {
    "drave_controller_unserved_sets", "Sets in namespaces that are not served.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_objects = {
    "drave_controller_objects", "Objects in the caches.", METRIC_GAUGE, "kind", NULL, 0};
static const struct metric_family family_heard = {"drave_controller_reflector_silence_seconds",
    "Since the last byte of the API server.", METRIC_GAUGE, "kind", NULL, 0};
static const struct metric_family family_reflected = {"drave_controller_reflector_total",
    "What came of lists and watches.", METRIC_COUNTER, "kind,what", NULL, 0};
static const struct metric_family family_requests = {"drave_controller_api_requests_total",
    "Requests to the API server that ended: all, those that failed, and those that it was too busy for.",
    METRIC_COUNTER, "result", NULL, 0};
static const struct metric_family family_credentials = {"drave_controller_credentials_read_total",
    "How often token or CA were read again because they had changed.", METRIC_COUNTER, "", NULL, 0};
static const struct metric_family family_writes = {"drave_controller_writes_total",
    "Writes by what became of them; all = sum of those sent.", METRIC_COUNTER, "result", NULL, 0};
static const struct metric_family family_in_flight = {
    "drave_controller_writes_in_flight", "Writes under way.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_waiting = {
    "drave_controller_writes_waiting", "Writes that wait for room.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_window = {
    "drave_controller_writes_window", "Writes that may be under way at once.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_events = {"drave_controller_events_total",
    "Events about sets: sent, or dropped because there were too many.", METRIC_COUNTER, "result", NULL, 0};

static const char *const object_names[STORE_KINDS] = {
    [STORE_NODES] = "nodes", [STORE_PODS] = "pods", [STORE_SETS] = "sets", [STORE_REVISIONS] = "revisions"};

/* ---- metrics
 * ------------------------------------------------------------------------------------------------------ */

static void measure_reflector(
    struct metric_table *table, const char *kind, const struct reflector_counts *counts)
{
	const struct {
		const char *what;
		uint64_t value;
	} rows[] = {
	    {"list", counts->lists},
	    {"watch", counts->watches},
	    {"event", counts->events},
	    {"bookmark", counts->bookmarks},
	    {"gone", counts->gone},
	    {"error", counts->errors},
	    {"unreadable", counts->unreadable},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		metric_follow(metric_get(table, &family_reflected, kind, rows[i].what), rows[i].value);
	metric_set(metric_get(table, &family_heard, kind),
	    counts->last_heard_ms != 0 ? (double)(clock_monotonic_ms() - counts->last_heard_ms) / 1e3 : 0);
}

static void measure_caches(struct status_page *page)
{
	metric_set(metric_get(page->metrics, &family_synced), store_is_synced(page->store));
	metric_set(metric_get(page->metrics, &family_unserved), (double)strangers_count(page->strangers));
	for (int kind = 0; kind < STORE_KINDS; kind++) {
		struct reflector_counts counts = reflector_counts(page->reflectors[kind]);

		metric_set(metric_get(page->metrics, &family_objects, object_names[kind]),
		    (double)store_count(page->store, (enum store_kind)kind));
		measure_reflector(page->metrics, object_names[kind], &counts);
	}
}

static void measure_writes(struct metric_table *table, const struct writer_counts *counts)
{
	const struct {
		const char *result;
		uint64_t value;
	} rows[] = {
	    {"all", counts->writes},
	    {"failed", counts->failed},
	    {"conflict", counts->conflicts},
	    {"busy", counts->busy},
	    {"unknown", counts->unknown},
	    {"refused", counts->refused},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		metric_follow(metric_get(table, &family_writes, rows[i].result), rows[i].value);
	metric_set(metric_get(table, &family_in_flight), counts->in_flight);
	metric_set(metric_get(table, &family_waiting), counts->waiting);
	metric_set(metric_get(table, &family_window), counts->window);
}

void status_page_measure(void *arg)
{
	struct status_page *page = arg;
	struct metric_table *table = page->metrics;
	struct kube_client_counts requests;
	struct recorder_counts events;
	struct writer_counts writes;

	page_measure_build(table);
	metric_set(metric_get(table, &family_leading), page->is_leading);
	if (page->client == NULL) /* closed */
		return;
	measure_caches(page);
	requests = kube_client_counts(page->client);
	metric_follow(metric_get(table, &family_requests, "all"), requests.requests);
	metric_follow(metric_get(table, &family_requests, "failed"), requests.failed);
	metric_follow(metric_get(table, &family_requests, "busy"), requests.busy);
	metric_follow(metric_get(table, &family_credentials), requests.credentials_read);
	writes = writer_counts(page->writer);
	measure_writes(table, &writes);
	events = recorder_counts(page->recorder);
	metric_follow(metric_get(table, &family_events, "sent"), events.sent);
	metric_follow(metric_get(table, &family_events, "dropped"), events.dropped);
	if (page->lease != NULL)
		metric_set(metric_get(table, &family_transitions), (double)lease_transitions(page->lease));
}

static int write_metrics(void *arg, struct buf *body)
{
	struct status_page *page = arg;

	metric_write(page->metrics, body);
	metric_write_process(body);
	return 200;
}

/* ---- probes
 * ------------------------------------------------------------------------------------------------------- */

/* The loop itself answers, so an answer means that it turns; the rest is the lease (LE-10). */
static int write_livez(void *arg, struct buf *body)
{
	const struct status_page *page = arg;
	bool is_healthy = page->lease == NULL || lease_is_healthy(page->lease);

	buf_add_text(body, is_healthy ? "ok\n" : "claims to lead without a lease\n");
	return is_healthy ? 200 : 503;
}

static int write_readyz(void *arg, struct buf *body)
{
	const struct status_page *page = arg;
	bool is_ready = page->store != NULL && store_is_synced(page->store) && !page->is_stopping;

	buf_printf(body, "%s\n", is_ready ? "ok" : page->state);
	return is_ready ? 200 : 503;
}

/* ---- status
 * ------------------------------------------------------------------------------------------------------- */

static void add_text(struct buf *out, const char *text)
{
	buf_add_json(out, text, strlen(text));
}

static void write_lease(const struct status_page *page, struct buf *out)
{
	buf_add_text(out, ",\"identity\":");
	add_text(out, page->identity);
	if (page->lease == NULL) {
		buf_add_text(out, ",\"lease\":null");
		return;
	}
	buf_add_text(out, ",\"lease\":{\"holder\":");
	add_text(out, lease_holder(page->lease));
	buf_printf(out, ",\"transitions\":%" PRIu64 ",\"leading\":%s,\"fresh\":%s}",
	    lease_transitions(page->lease), lease_is_leading(page->lease) ? "true" : "false",
	    lease_is_fresh(page->lease) ? "true" : "false");
}

static void write_reflector(const struct status_page *page, enum store_kind kind, struct buf *out)
{
	struct reflector_counts counts = reflector_counts(page->reflectors[kind]);

	buf_printf(out, "%s\n\"%s\":{\"objects\":%zu,\"synced\":%s,\"version\":", kind == 0 ? "" : ",",
	    object_names[kind], store_count(page->store, kind), counts.is_synced ? "true" : "false");
	add_text(out, store_version(page->store, kind));
	buf_printf(out,
	    ",\"lists\":%" PRIu64 ",\"watches\":%" PRIu64 ",\"events\":%" PRIu64 ",\"bookmarks\":%" PRIu64
	    ",\"gone\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"unreadable\":%" PRIu64
	    ",\"silent_seconds\":%.3f,\"last_error\":",
	    counts.lists, counts.watches, counts.events, counts.bookmarks, counts.gone, counts.errors,
	    counts.unreadable,
	    counts.last_heard_ms != 0 ? (double)(clock_monotonic_ms() - counts.last_heard_ms) / 1e3 : 0.0);
	add_text(out, counts.last_error);
	buf_add_text(out, "}");
}

static void write_writes(const struct status_page *page, struct buf *out)
{
	struct writer_counts writes = writer_counts(page->writer);
	struct recorder_counts events = recorder_counts(page->recorder);
	struct kube_client_counts requests = kube_client_counts(page->client);

	buf_printf(out,
	    ",\n\"writer\":{\"writes\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"conflicts\":%" PRIu64
	    ",\"busy\":%" PRIu64 ",\"unknown\":%" PRIu64 ",\"refused\":%" PRIu64
	    ",\"in_flight\":%u,\"waiting\":%u,\"window\":%u}",
	    writes.writes, writes.failed, writes.conflicts, writes.busy, writes.unknown, writes.refused,
	    writes.in_flight, writes.waiting, writes.window);
	buf_printf(
	    out, ",\n\"events\":{\"sent\":%" PRIu64 ",\"dropped\":%" PRIu64 "}", events.sent, events.dropped);
	buf_printf(out,
	    ",\n\"requests\":{\"all\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"busy\":%" PRIu64
	    ",\"credentials_read\":%" PRIu64 "}",
	    requests.requests, requests.failed, requests.busy, requests.credentials_read);
}

void status_page_write(struct status_page *page, struct buf *out)
{
	buf_printf(out,
	    "{\"version\":\"%s\",\"revision\":\"%s\",\"state\":\"%s\",\"uptime_seconds\":%.3f,\"server\":",
	    PACKAGE_VERSION, DRAVE_REVISION, page->state,
	    (double)(clock_monotonic_ms() - page->started_ms) / 1e3);
	add_text(out, page->server);
	write_lease(page, out);
	buf_add_text(out, ",\"namespace\":");
	add_text(out, page->served);
	if (page->client != NULL) {
		buf_printf(out, ",\"unserved_count\":%zu,\"unserved\":", strangers_count(page->strangers));
		strangers_write(page->strangers, out);
		buf_add_text(out, ",\n\"caches\":{");
		for (int kind = 0; kind < STORE_KINDS; kind++)
			write_reflector(page, (enum store_kind)kind, out);
		buf_add_text(out, "}");
		write_writes(page, out);
		buf_add_text(out, ",\n\"sets\":");
		reconcile_write_status(page->reconcile, out);
	}
	buf_add_text(out, "}\n");
}

static int write_status(void *arg, struct buf *body)
{
	status_page_write(arg, body);
	return 200;
}

/* ---- for people
 * --------------------------------------------------------------------------------------------------- */

/* Names of objects hold no character that HTML would mind (DNS names). */
static void write_set(const struct collector_set *set, struct buf *out)
{
	const struct set_status *status = &set->status;

	buf_printf(out,
	    "<tr><td>%s<td>%s<td class=n>%" PRId64 "<td class=n>%" PRId64 "<td class=n>%" PRId64
	    "<td class=n>%" PRId64 "<td class=n>%" PRId64 "<td class=n>%" PRId64 "<td>%s\n",
	    set->meta.namespace_name, set->meta.name, status->desired, status->current, status->ready,
	    status->updated, status->available, status->misscheduled,
	    set->complaint != NULL ? "invalid: see /status" : "");
}

static int write_front(void *arg, struct buf *body)
{
	struct status_page *page = arg;
	const struct collector_set *const *sets;
	size_t count = 0;

	page_begin(body, "drave-controller", page->state);
	buf_add_text(body, "<table><tr><th>namespace<th>set<th>desired<th>current<th>ready<th>up to "
			   "date<th>available<th>misplaced<th>\n");
	sets = page->store != NULL ? store_sets(page->store, &count) : NULL;
	for (size_t i = 0; i < count; i++)
		write_set(sets[i], body);
	buf_add_text(body, "</table>\n<p><a href=/status>/status</a> <a href=/metrics>/metrics</a> <a "
			   "href=/livez>/livez</a> "
			   "<a href=/readyz>/readyz</a>\n");
	return 200;
}

const struct admin_page status_page_table[] = {
    {"/", "text/html; charset=utf-8", write_front},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics},
    {"/livez", "text/plain; charset=utf-8", write_livez},
    {"/readyz", "text/plain; charset=utf-8", write_readyz},
    {"/status", "application/json", write_status},
    {NULL, NULL, NULL},
};
