/* Pages.  Reads the stages and writes text; changes nothing.
 *
 * Stands beside the collector.  Owns no state but the gauges that it keeps up to date at each scrape. */
#include "config.h"
#include "collector/pages.h"

#include <inttypes.h>
#include <string.h>

#include "collector/metadata_report.h"
#include "common/clock.h"
#include "common/page.h"

static const struct metric_family family_input_bytes = {
	"drave_input_bytes_total", "Growth seen in all followed files.", METRIC_COUNTER, "", NULL, 0};
static const struct metric_family family_files = {"drave_input_files", "Files held open.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_held_files = {
	"drave_input_held_files", "Deleted files held open until they are acknowledged.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_held_bytes = {
	"drave_input_held_bytes", "Bytes of deleted files that are still needed.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_watches = {"drave_input_watches", "inotify watches.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_events = {
	"drave_input_events_total", "What happened to followed files, and what could not be followed.", METRIC_COUNTER, "event", NULL, 0};
static const struct metric_family family_commits = {
	"drave_checkpoint_commits_total", "Commits of the checkpoint.", METRIC_COUNTER, "kind", NULL, 0};
static const struct metric_family family_reload = {
	"drave_config_last_reload_successful", "1 if the last reload of the configuration was taken.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_reload_time = {"drave_config_last_reload_success_timestamp_seconds",
	"When the configuration in force was loaded.", METRIC_GAUGE, "", NULL, 0};
static const struct metric_family family_reloads = {
	"drave_config_reloads_total", "Times that the configuration was read again.", METRIC_COUNTER, "result", NULL, 0};
static const struct metric_family family_standby = {
	"drave_standby", "1 while another collector has this node's state directory.", METRIC_GAUGE, "", NULL, 0};

/* ---- metrics ------------------------------------------------------------------------------------------------------ */

static void measure_follower(struct pages *pages)
{
	const struct follower_stats *stats = follower_stats(pages->follower);
	const struct {
		const char *event;
		uint64_t value;
	} events[] = {
		{"adopted", stats->adopted},
		{"renamed", stats->renamed},
		{"unlinked", stats->unlinked},
		{"truncated", stats->truncated},
		{"given_up", stats->gave_up},
		{"inotify_overflow", stats->overflows},
		{"refused_link", stats->refused_links},
		{"bad_name", stats->bad_names},
		{"open_failure", stats->open_failures},
	};
	struct metric_table *table = pages->metrics;

	metric_follow(metric_get(table, &family_input_bytes), stats->input_bytes);
	metric_follow(metric_get(table, &pipeline_lost_segments, "hold_limit"), stats->gave_up);
	metric_set(metric_get(table, &family_files), (double)stats->tails);
	metric_set(metric_get(table, &family_held_files), (double)stats->held_unlinked);
	metric_set(metric_get(table, &family_held_bytes), (double)stats->held_unlinked_bytes);
	metric_set(metric_get(table, &family_watches), (double)stats->watches);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		metric_follow(metric_get(table, &family_events, events[i].event), events[i].value);
}

static void measure_checkpoint(struct pages *pages)
{
	const struct checkpoint_stats *stats = checkpoint_stats(pages->checkpoint);

	metric_follow(metric_get(pages->metrics, &family_commits, "normal"), stats->commits - stats->full_commits);
	metric_follow(metric_get(pages->metrics, &family_commits, "full"), stats->full_commits);
	metric_follow(metric_get(pages->metrics, &family_commits, "failed"), stats->failures);
}

static void measure_pipeline(void *visitor, struct pipeline *pipeline)
{
	(void)visitor;
	pipeline_measure(pipeline);
}

void pages_measure(void *arg)
{
	struct pages *pages = arg;

	page_measure_build(pages->metrics);
	metric_set(metric_get(pages->metrics, &family_reload), pages->last_reload_worked);
	metric_set(metric_get(pages->metrics, &family_reload_time), pages->last_reload_time);
	metric_follow(metric_get(pages->metrics, &family_reloads, "taken"), pages->reload_count);
	metric_follow(metric_get(pages->metrics, &family_reloads, "refused"), pages->refused_reload_count);
	metric_set(metric_get(pages->metrics, &family_standby), pages->follower == NULL);
	if (pages->follower != NULL)
		measure_follower(pages);
	if (pages->checkpoint != NULL)
		measure_checkpoint(pages);
	if (pages->feed != NULL)
		metadata_report_measure(pages->feed, pages->metrics);
	roster_each(pages->roster, measure_pipeline, NULL);
}

static int write_metrics(void *arg, struct buf *body)
{
	struct pages *pages = arg;

	metric_write(pages->metrics, body);
	metric_write_process(body);
	return 200;
}

/* ---- probes ------------------------------------------------------------------------------------------------------- */

/* The loop itself answers, so an answer means that it turns. */
static int write_livez(void *arg, struct buf *body)
{
	(void)arg;
	buf_add_text(body, "ok\n");
	return 200;
}

static int write_readyz(void *arg, struct buf *body)
{
	const struct pages *pages = arg;

	buf_printf(body, "%s\n", pages->is_ready ? "ok" : pages->state);
	return pages->is_ready ? 200 : 503;
}

/* ---- status ------------------------------------------------------------------------------------------------------- */

struct list {
	struct buf *out;
	bool first;
};

static void write_pipeline_status(void *visitor, struct pipeline *pipeline)
{
	struct list *list = visitor;

	buf_add_text(list->out, list->first ? "\n" : ",\n");
	list->first = false;
	pipeline_write_status(pipeline, list->out);
}

static void write_follower_status(const struct follower_stats *stats, struct buf *out)
{
	buf_printf(out, "\"files\":{\"followed\":%zu,\"containers\":%zu,\"watches\":%zu,\"held_deleted\":%zu,\"held_deleted_bytes\":%" PRIu64,
		stats->tails, stats->containers, stats->watches, stats->held_unlinked, stats->held_unlinked_bytes);
	buf_printf(out,
		",\"bytes\":%" PRIu64 ",\"adopted\":%" PRIu64 ",\"renamed\":%" PRIu64 ",\"truncated\":%" PRIu64 ",\"given_up\":%" PRIu64
		",\"refused_links\":%" PRIu64 ",\"bad_names\":%" PRIu64 ",\"open_failures\":%" PRIu64 ",\"inotify_overflows\":%" PRIu64 "},",
		stats->input_bytes, stats->adopted, stats->renamed, stats->truncated, stats->gave_up, stats->refused_links, stats->bad_names,
		stats->open_failures, stats->overflows);
}

static void write_checkpoint_status(const struct checkpoint_stats *stats, struct buf *out)
{
	buf_printf(out, "\"checkpoint\":{\"commits\":%" PRIu64 ",\"full_commits\":%" PRIu64 ",\"failures\":%" PRIu64 ",\"damaged\":%" PRIu64
			",\"failing\":%s,\"last_error\":",
		stats->commits, stats->full_commits, stats->failures, stats->damaged, stats->failing ? "true" : "false");
	buf_add_json(out, stats->last_error, strlen(stats->last_error));
	buf_add_text(out, "},");
}

void pages_write_status(struct pages *pages, struct buf *out)
{
	struct list list = {out, true};

	buf_printf(out, "{\"version\":\"%s\",\"revision\":\"%s\",\"state\":\"%s\",\"node\":", PACKAGE_VERSION, DRAVE_REVISION, pages->state);
	buf_add_json(out, pages->node_name, strlen(pages->node_name));
	buf_printf(out, ",\"uptime_seconds\":%.3f,\"reloads\":%" PRIu64 ",\"last_reload_successful\":%s,",
		(double)(clock_monotonic_ms() - pages->started_ms) / 1e3, pages->reload_count, pages->last_reload_worked ? "true" : "false");
	if (pages->follower != NULL)
		write_follower_status(follower_stats(pages->follower), out);
	if (pages->checkpoint != NULL)
		write_checkpoint_status(checkpoint_stats(pages->checkpoint), out);
	buf_add_text(out, "\"metadata\":");
	if (pages->feed != NULL)
		metadata_report_status(pages->feed, out);
	else
		buf_add_text(out, "{\"source\":\"none\"}");
	buf_add_text(out, ",\"outputs\":[");
	roster_each(pages->roster, write_pipeline_status, &list);
	buf_add_text(out, "]}\n");
}

static int write_status(void *arg, struct buf *body)
{
	pages_write_status(arg, body);
	return 200;
}

static void write_pipeline_streams(void *visitor, struct pipeline *pipeline)
{
	struct list *list = visitor;

	pipeline_write_streams(pipeline, list->out, &list->first);
}

static int write_streams(void *arg, struct buf *body)
{
	struct pages *pages = arg;
	struct list list = {body, true};

	buf_add_text(body, "[");
	roster_each(pages->roster, write_pipeline_streams, &list);
	if (pages->feed != NULL)
		metadata_report_streams(pages->feed, body, &list.first);
	buf_add_text(body, "]\n");
	return 200;
}

/* ---- for people --------------------------------------------------------------------------------------------------- */

static void write_row(void *visitor, struct pipeline *pipeline)
{
	static const char *const words[] = {[PIPELINE_OK] = "ok", [PIPELINE_RETRYING] = "retrying", [PIPELINE_HELD] = "held: someone must act"};
	const struct account *account = pipeline_account(pipeline);
	struct buf *out = visitor;

	buf_printf(out,
		"<tr><td>%s<td>%s<td class=n>%" PRIu64 "<td class=n>%" PRIu64 "<td class=n>%" PRIu64 "<td class=n>%" PRIu64 "<td class=n>%" PRIu64
		"\n",
		pipeline_name(pipeline), words[pipeline_health(pipeline)], pipeline_lag_bytes(pipeline), account->read,
		account->terms[ACCOUNT_ACKED], account->terms[ACCOUNT_OPEN] + account->terms[ACCOUNT_IN_FLIGHT],
		account->terms[ACCOUNT_PARTIAL]);
}

static int write_front(void *arg, struct buf *body)
{
	struct pages *pages = arg;

	page_begin(body, "drave-collector", pages->state);
	buf_add_text(body,
		"<table><tr><th>output<th>state<th>lag, bytes<th>read<th>acknowledged<th>under way<th>partial\n");
	roster_each(pages->roster, write_row, body);
	buf_add_text(body, "</table>\n<p><a href=/status>/status</a> <a href=/streams>/streams</a> <a href=/metrics>/metrics</a> "
			   "<a href=/livez>/livez</a> <a href=/readyz>/readyz</a>\n");
	return 200;
}

const struct admin_page pages_table[] = {
	{"/", "text/html; charset=utf-8", write_front},
	{"/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics},
	{"/livez", "text/plain; charset=utf-8", write_livez},
	{"/readyz", "text/plain; charset=utf-8", write_readyz},
	{"/status", "application/json", write_status},
	{"/streams", "application/json", write_streams},
	{NULL, NULL, NULL},
};
