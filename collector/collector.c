/* Collector.  The wiring, and the order in which things begin and end.
 *
 *     STANDBY --lock--> RUNNING --signal, or --once has read all--> DRAINING --drained or timed out--> CLOSING (pipelines, then a last FULL
 *     commit, then everything else) --> the loop ends
 *
 * Stands at the top.  Owns the loop, the stages and the signals.  Decides nothing about records. */
#include "config.h"
#include "collector/collector.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "collector/checkpoint.h"
#include "collector/conf_watch.h"
#include "collector/follower.h"
#include "collector/gaps.h"
#include "collector/identity.h"
#include "collector/lock.h"
#include "collector/metadata_feed.h"
#include "collector/pages.h"
#include "collector/roster.h"
#include "common/admin.h"
#include "common/clock.h"
#include "common/code_pages.h"
#include "common/http.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE      "collector"
#define STANDBY_MS      100  /* how soon a free lock is noticed */
#define LISTEN_RETRY_MS 1000
#define WATCH_MS        10   /* while draining or reloading: how often it is asked whether that is over */
#define STATUS_BYTES    (16u << 20)

enum collector_state { STATE_STANDBY, STATE_RUNNING, STATE_DRAINING, STATE_CLOSING };
static const char *const state_names[] = {"standby", "running", "draining", "closing"};

struct collector {
	uv_loop_t loop;
	struct collector_args args;
	struct collector_conf *conf;
	struct conf_watch *conf_watch; /* NULL: it is read once */
	enum collector_state state;
	int exit_code;
	struct lock lock;
	struct checkpoint *checkpoint;
	struct http *http;
	struct follower *follower;
	struct metadata_feed *feed; /* NULL: nothing is known but what paths say */
	struct metadata_totals metadata_totals;
	struct admin *admin;
	struct metric_table *metrics;
	struct pages pages;
	struct roster roster;
	struct read_buffer buffer;
	uv_idle_t turn;
	uv_timer_t standby, listen_retry, watch;
	uv_signal_t signals[5];
	uint64_t deadline_ms;
	uint64_t acked_bytes;    /* --once: as of the last progress */
	uint64_t progress_ms;
	bool owes_gaps;          /* the first look is over, and what it missed is not counted yet */
	bool has_told_lock, has_told_port; /* what is tried again and again is complained about once */
	bool read_all;           /* --once: everything was read; now it is only waited for */
};

static const int signal_numbers[5] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

static void begin_drain(struct collector *collector);
static void begin_close(struct collector *collector);
static void close_everything(void *arg);
static void start_watch(struct collector *collector);

static bool is_following(const struct collector *collector)
{
	return collector->args.mode == COLLECTOR_FOLLOW;
}

static void enter(struct collector *collector, enum collector_state state)
{
	collector->state = state;
	collector->pages.state = state_names[state];
	collector->pages.is_ready = state == STATE_STANDBY || state == STATE_RUNNING;
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

static void on_turn(uv_idle_t *idle)
{
	struct collector *collector = idle->data;

	if (!roster_turn(&collector->roster, clock_monotonic_ms()))
		uv_idle_stop(idle);
}

static void on_wake(void *arg)
{
	struct collector *collector = arg;

	if (!uv_is_closing((uv_handle_t *)&collector->turn))
		uv_idle_start(&collector->turn, on_turn);
}

/* ---- tails and their segments ------------------------------------------------------------------------------------- */

static bool on_wanted(void *arg, const struct origin *origin)
{
	const struct collector *collector = arg;

	if (collector->feed != NULL && metadata_feed_excludes(collector->feed, origin))
		return false;
	return roster_wants(&collector->roster, origin);
}

static bool on_may_resume(void *arg, const struct container *container, unsigned restart, bool is_first_look)
{
	const struct collector *collector = arg;

	return collector->checkpoint != NULL && identity_may_resume(collector->checkpoint, container, restart, is_first_look);
}

static bool on_resumes(void *arg, struct tail *tail, bool is_first_look)
{
	return identity_resumes(((struct collector *)arg)->checkpoint, tail, is_first_look);
}

static void on_adopted(void *arg, struct tail *tail)
{
	struct collector *collector = arg;

	if (collector->feed != NULL)
		metadata_feed_attach(collector->feed, tail);
	roster_adopt(&collector->roster, tail, collector->checkpoint != NULL ? identity_claim(collector->checkpoint, tail) : NULL);
}

/* Once it is known who asks not to be read: what they do not want to have read is no gap. */
static void count_gaps(struct collector *collector, bool at_once)
{
	if (!collector->owes_gaps ||
	    (collector->feed != NULL && !at_once && !metadata_feed_has_settled(collector->feed)))
		return;
	collector->owes_gaps = false;
	gaps_count(collector->checkpoint, &collector->roster, collector->feed);
}

static void on_looked(void *arg)
{
	struct collector *collector = arg;

	roster_end_stock(&collector->roster);
	collector->owes_gaps = collector->checkpoint != NULL;
	count_gaps(collector, false);
}

static void on_changed(void *arg, struct tail *tail)
{
	identity_update(((struct collector *)arg)->checkpoint, tail);
}

static void on_released(void *arg, struct tail *tail)
{
	struct collector *collector = arg;

	identity_release(collector->checkpoint, tail);
	if (collector->feed != NULL)
		metadata_feed_detach(collector->feed, tail->container);
}

/* ---- metadata ----------------------------------------------------------------------------------------------------- */

static void on_excluded(void *arg, struct container *container)
{
	roster_dismiss(&((struct collector *)arg)->roster, container);
}

static void on_included(void *arg, struct container *container)
{
	roster_readopt(&((struct collector *)arg)->roster, container);
}

static void on_review(void *arg)
{
	struct collector *collector = arg;

	if (collector->state == STATE_RUNNING && collector->follower != NULL)
		follower_review(collector->follower);
}

static void on_settled(void *arg)
{
	count_gaps(arg, false);
}

static void attach_tail(void *arg, struct tail *tail)
{
	metadata_feed_attach(arg, tail);
}

static void open_feed(struct collector *collector)
{
	const struct metadata_feed_env env = {
		.loop = &collector->loop,
		.http = collector->http,
		.totals = &collector->metadata_totals,
		.events = {on_excluded, on_included, on_review, on_settled, collector},
	};

	collector->feed = metadata_feed_open(&env, collector->conf);
	collector->pages.feed = collector->feed;
	collector->roster.env.expects_metadata = collector->feed != NULL;
	if (collector->feed != NULL && collector->follower != NULL)
		follower_each(collector->follower, attach_tail, collector->feed);
}

static void close_feed(struct collector *collector)
{
	if (collector->feed != NULL)
		metadata_feed_close(collector->feed);
	collector->feed = NULL;
	collector->pages.feed = NULL;
}

/* Another source, or other labels: everything is asked for again, and waited for once more. */
static void renew_feed(struct collector *collector)
{
	if (collector->feed != NULL && metadata_feed_fits(collector->feed, collector->conf))
		return;
	close_feed(collector);
	open_feed(collector);
	count_gaps(collector, false);
}

/* ---- beginning ---------------------------------------------------------------------------------------------------- */

static void retire_outputs(struct collector *collector)
{
	const char **names = xcalloc(collector->conf->output_count, sizeof names[0]);
	size_t count = 0;

	for (const struct output_conf *output = collector->conf->outputs; output != NULL; output = output->next)
		names[count++] = output->name;
	checkpoint_retire(collector->checkpoint, names, count, clock_wall_ns());
	free(names);
}

static int open_follower(struct collector *collector, struct err *err)
{
	const struct input_options *input = &collector->conf->input;
	struct follower_options options = {
		.path = input->path,
		.docker_root = input->docker_root,
		.node_name = collector->conf->collector.node_name,
		.rescan_interval_ms = input->rescan_interval_ms,
		.hold_limit = input->hold_limit,
		.own_uid = getenv("POD_UID"),
		.own_namespace = getenv("POD_NAMESPACE"),
		.own_pod = getenv("POD_NAME"),
	};
	struct follower_events events = {
		.wanted = on_wanted,
		.may_resume = on_may_resume,
		.resumes = on_resumes,
		.adopted = on_adopted,
		.looked = on_looked,
		.changed = on_changed,
		.released = on_released,
		.arg = collector,
	};

	return follower_new(&collector->follower, &collector->loop, &options, &events, err);
}

static int open_outputs(struct collector *collector, struct err *err)
{
	collector->roster.env = (struct pipeline_env){
		.loop = &collector->loop,
		.http = collector->http,
		.metrics = collector->metrics,
		.checkpoint = collector->checkpoint,
		.buffer = &collector->buffer,
		.expects_metadata = collector->feed != NULL,
		.reads_to_stop = !is_following(collector),
		.wake = on_wake,
		.arg = collector,
	};
	return roster_open(&collector->roster, collector->conf, err);
}

/* Everything that needs the lock.  On an error: the exit code, with the sentence in err. */
static int begin(struct collector *collector, struct err *err)
{
	const char *state_dir = collector->conf->collector.state_dir;
	int status;

	if (collector->args.mode != COLLECTOR_DRY_RUN) {
		status = checkpoint_open(&collector->checkpoint, &collector->loop, state_dir, err);
		if (status != 0)
			return status == -EPROTONOSUPPORT ? EX_CONFIG : EX_CANTCREAT;
		retire_outputs(collector);
	}
	read_buffer_fit(&collector->buffer, collector->conf->input.max_record);
	if (http_new(&collector->http, &collector->loop, "drave-collector/" PACKAGE_VERSION, err) != 0)
		return EX_OSERR;
	open_feed(collector);
	if (open_outputs(collector, err) != 0)
		return EX_CONFIG;
	if (open_follower(collector, err) != 0)
		return EX_OSERR;
	enter(collector, STATE_RUNNING);
	if (follower_start(collector->follower, err) != 0)
		return EX_OSERR;
	collector->roster.follower = collector->pages.follower = collector->follower;
	collector->pages.checkpoint = collector->checkpoint;
	collector->progress_ms = clock_monotonic_ms();
	if (!is_following(collector))
		start_watch(collector);
	log_info("running", "node=%s path=%s outputs=%zu", log_quote(collector->conf->collector.node_name),
		log_quote(collector->conf->input.path), collector->conf->output_count);
	return 0;
}

/* ---- standing by -------------------------------------------------------------------------------------------------- */

static void begin_or_fail(struct collector *collector)
{
	struct err err = {0};
	int code = begin(collector, &err);

	if (code == 0)
		return;
	fprintf(stderr, "drave-collector: %s\n", err.text);
	collector->exit_code = code;
	begin_close(collector);
}

static void on_standby(uv_timer_t *timer)
{
	struct collector *collector = timer->data;
	struct err err = {0};
	bool held = false;

	if (lock_try(&collector->lock, collector->conf->collector.state_dir, &held, &err) != 0) {
		if (!collector->has_told_lock)
			log_warn("cannot try the lock, trying again", "error=%s", log_quote(err.text));
		collector->has_told_lock = true;
		return;
	}
	collector->has_told_lock = false;
	if (!held)
		return;
	uv_timer_stop(timer);
	log_info("the other collector let go, taking over", "state_dir=%s", log_quote(collector->conf->collector.state_dir));
	begin_or_fail(collector);
}

static void take_lock(struct collector *collector)
{
	const char *state_dir = collector->conf->collector.state_dir;
	struct err err = {0};
	bool held = false;

	if (collector->args.mode == COLLECTOR_DRY_RUN) {
		begin_or_fail(collector);
	} else if (lock_try(&collector->lock, state_dir, &held, &err) != 0) {
		fprintf(stderr, "drave-collector: cannot use state_dir '%s': %s\n", state_dir, err.text);
		collector->exit_code = EX_CANTCREAT;
		begin_close(collector);
	} else if (held) {
		begin_or_fail(collector);
	} else if (!is_following(collector)) {
		fprintf(stderr, "drave-collector: another collector has '%s'\n", state_dir);
		collector->exit_code = EX_TEMPFAIL;
		begin_close(collector);
	} else {
		log_info("another collector has the state directory, standing by", "state_dir=%s", log_quote(state_dir));
		enter(collector, STATE_STANDBY);
		uv_timer_start(&collector->standby, on_standby, STANDBY_MS, STANDBY_MS);
	}
}

static void on_listen_retry(uv_timer_t *timer);

static void listen_now(struct collector *collector)
{
	const char *listen = collector->conf->collector.listen;
	struct err err = {0};
	int status = admin_open(&collector->admin, &collector->loop, listen, pages_table, &collector->pages, &err);

	if (status == 0) {
		log_info("listening", "address=%s port=%u", log_quote(listen), admin_port(collector->admin));
	} else if (status == -EADDRINUSE) {
		if (!collector->has_told_port)
			log_warn("port is busy, trying again", "address=%s", log_quote(listen));
		collector->has_told_port = true;
		uv_timer_start(&collector->listen_retry, on_listen_retry, LISTEN_RETRY_MS, 0);
	} else {
		fprintf(stderr, "drave-collector: %s\n", err.text);
		collector->exit_code = EX_CONFIG;
		begin_close(collector);
	}
}

static void on_listen_retry(uv_timer_t *timer)
{
	listen_now(timer->data);
}

/* ---- reloading ---------------------------------------------------------------------------------------------------- */

static void apply(struct collector *collector, struct collector_conf *conf)
{
	collector_conf_unref(collector->conf);
	collector->conf = conf;
	log_setup((enum log_level)conf->collector.log_level, (enum log_format)conf->collector.log_format);
	collector->pages.node_name = conf->collector.node_name;
	if (collector->state != STATE_RUNNING)
		return; /* standing by: it begins with this one */
	read_buffer_fit(&collector->buffer, conf->input.max_record);
	renew_feed(collector);
	follower_tune(collector->follower, conf->input.rescan_interval_ms, conf->input.hold_limit);
	roster_apply(&collector->roster, conf);
	retire_outputs(collector);
}

static void log_complaints(struct ini_complaints *complaints)
{
	char *text = xstrdup(buf_text(&complaints->text)), *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (line[0] != '\0')
			log_error("configuration", "message=%s", log_quote(line));
	free(text);
}

static void watch_conf(struct collector *collector, struct sources *sources)
{
	if (collector->conf_watch != NULL)
		conf_watch_follow(collector->conf_watch, sources);
	if (collector->conf_watch != NULL && collector->conf->collector.reload != RELOAD_AUTO)
		conf_watch_rest(collector->conf_watch);
	sources_release(sources);
}

/* All or nothing: with one error the old configuration stays. */
static void reload(struct collector *collector)
{
	struct ini_complaints complaints;
	struct collector_conf *conf;
	struct sources sources = {.count = 0};
	const char *fixed;

	ini_complaints_init(&complaints);
	conf = collector_conf_load(collector->args.conf_path, collector->args.overrides, &complaints, &sources);
	log_complaints(&complaints);
	fixed = conf != NULL ? collector_conf_fixed_difference(collector->conf, conf) : NULL;
	collector->pages.last_reload_worked = conf != NULL && fixed == NULL;
	collector->pages.refused_reload_count += !collector->pages.last_reload_worked;
	if (conf == NULL) {
		log_error("reload refused, the old configuration stays", "errors=%u", complaints.error_count);
	} else if (fixed != NULL) {
		log_error("reload refused: this key cannot change while the collector runs", "key=%s", fixed);
		collector_conf_unref(conf);
	} else {
		collector->pages.reload_count++;
		collector->pages.last_reload_time = (double)clock_wall_ns() / 1e9;
		log_info("configuration reloaded", "outputs=%zu", conf->output_count);
		apply(collector, conf);
	}
	ini_complaints_release(&complaints);
	watch_conf(collector, &sources);
}

static void on_conf_changed(void *arg)
{
	struct collector *collector = arg;

	if (collector->state != STATE_RUNNING && collector->state != STATE_STANDBY)
		return;
	log_info("the configuration's files have changed", "path=%s", log_quote(collector->args.conf_path));
	reload(collector);
}

/* ---- watching what takes time ------------------------------------------------------------------------------------- */

/* --once: is everything read and acknowledged, or does nothing move any more? */
static void watch_once(struct collector *collector, uint64_t now_ms)
{
	uint64_t acked = roster_acked_bytes(&collector->roster);

	if (acked != collector->acked_bytes || (collector->feed != NULL && metadata_feed_is_waited_for(collector->feed))) {
		collector->acked_bytes = acked;
		collector->progress_ms = now_ms;
	}
	if (!collector->read_all && roster_has_read_all(&collector->roster)) {
		collector->read_all = true;
		roster_flush(&collector->roster);
	}
	if (collector->read_all && roster_is_drained(&collector->roster)) {
		uint64_t pending = roster_lag_bytes(&collector->roster);

		if (pending != 0 && collector->args.mode == COLLECTOR_ONCE)
			log_info("pending: unfinished lines and records are left for the next run", "bytes=%" PRIu64, pending);
		begin_drain(collector);
	} else if (now_ms - collector->progress_ms >= collector->conf->collector.shutdown_timeout_ms) {
		log_error("no acknowledgement within shutdown_timeout", "unacknowledged_bytes=%" PRIu64, roster_lag_bytes(&collector->roster));
		collector->exit_code = EX_UNAVAILABLE;
		begin_close(collector);
	}
}

static void on_watch(uv_timer_t *timer)
{
	struct collector *collector = timer->data;
	uint64_t now_ms = clock_monotonic_ms();
	bool busy = false;

	if (collector->state == STATE_RUNNING) {
		busy = roster_watch(&collector->roster, now_ms);
		if (!is_following(collector)) {
			busy = true;
			watch_once(collector, now_ms);
		}
	} else if (collector->state == STATE_DRAINING) {
		busy = true;
		if (roster_is_drained(&collector->roster) || now_ms >= collector->deadline_ms)
			begin_close(collector);
	}
	if (!busy)
		uv_timer_stop(timer);
}

static void start_watch(struct collector *collector)
{
	if (!uv_is_active((uv_handle_t *)&collector->watch))
		uv_timer_start(&collector->watch, on_watch, WATCH_MS, WATCH_MS);
}

static void on_roster_changed(void *arg)
{
	start_watch(arg);
}

/* ---- ending ------------------------------------------------------------------------------------------------------- */

static void begin_drain(struct collector *collector)
{
	enter(collector, STATE_DRAINING);
	collector->deadline_ms = clock_monotonic_ms() + collector->conf->collector.shutdown_timeout_ms;
	count_gaps(collector, true);
	if (collector->feed != NULL)
		metadata_feed_stop_waiting(collector->feed);
	roster_drain(&collector->roster);
	start_watch(collector);
}

static void begin_close(struct collector *collector)
{
	if (collector->state == STATE_CLOSING)
		return;
	if (collector->state == STATE_DRAINING && !roster_is_drained(&collector->roster))
		log_warn("stopped before everything was acknowledged; it is read again at the next start", "bytes=%" PRIu64,
			roster_lag_bytes(&collector->roster));
	enter(collector, STATE_CLOSING);
	roster_close(&collector->roster, close_everything);
}

static void close_handle(void *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void on_flushed(void *arg, int status)
{
	struct collector *collector = arg;

	if (status != 0)
		log_error("the last checkpoint could not be written; the next start sends some records again", "error=%s",
			log_quote(strerror(-status)));
	close_feed(collector);
	if (collector->conf_watch != NULL)
		conf_watch_close(collector->conf_watch);
	if (collector->follower != NULL) {
		follower_stop(collector->follower);
		follower_close(collector->follower);
		collector->pages.follower = NULL;
	}
	if (collector->checkpoint != NULL)
		checkpoint_close(collector->checkpoint);
	if (collector->http != NULL)
		http_close(collector->http);
	if (collector->admin != NULL)
		admin_close(collector->admin);
	close_handle(&collector->turn);
	close_handle(&collector->standby);
	close_handle(&collector->listen_retry);
	close_handle(&collector->watch);
	for (size_t i = 0; i < sizeof collector->signals / sizeof collector->signals[0]; i++)
		close_handle(&collector->signals[i]);
}

/* All pipelines are closed: their last marks go to disk, then the rest goes. */
static void close_everything(void *arg)
{
	struct collector *collector = arg;

	if (collector->checkpoint != NULL)
		checkpoint_flush(collector->checkpoint, on_flushed, collector);
	else
		on_flushed(collector, 0);
}

/* ---- signals ------------------------------------------------------------------------------------------------------ */

static void stop(struct collector *collector, int number)
{
	if (collector->state == STATE_STANDBY) {
		begin_close(collector);
	} else if (collector->state == STATE_RUNNING) {
		log_info("stopping", "signal=%s", number == SIGTERM ? "TERM" : "INT");
		begin_drain(collector);
	} else {
		log_warn("stopping at once: second signal", "signal=%s", number == SIGTERM ? "TERM" : "INT");
		_exit(EXIT_FAILURE); /* what is not committed is read again: a stop is no different from a crash */
	}
}

static void dump(struct collector *collector)
{
	struct buf text;

	buf_init(&text, STATUS_BYTES);
	pages_write_status(&collector->pages, &text);
	fputs(buf_text(&text), stderr);
	buf_release(&text);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct collector *collector = signal->data;

	switch (number) {
	case SIGTERM:
	case SIGINT: stop(collector, number); break;
	case SIGHUP:
		if (collector->state == STATE_RUNNING || collector->state == STATE_STANDBY)
			reload(collector);
		break;
	case SIGUSR1:
		if (collector->state == STATE_RUNNING) {
			follower_look(collector->follower);
			roster_flush(&collector->roster);
		}
		break;
	case SIGUSR2: dump(collector); break;
	}
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

static void init(struct collector *collector, struct collector_args *args, struct collector_conf *conf)
{
	uv_timer_t *const timers[] = {&collector->standby, &collector->listen_retry, &collector->watch};

	collector->args = *args;
	collector->conf = conf;
	collector->lock.fd = -1;
	must(uv_loop_init(&collector->loop) == 0);
	must(uv_idle_init(&collector->loop, &collector->turn) == 0);
	collector->turn.data = collector;
	for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
		must(uv_timer_init(&collector->loop, timers[i]) == 0);
		timers[i]->data = collector;
	}
	for (size_t i = 0; i < sizeof signal_numbers / sizeof signal_numbers[0]; i++) {
		must(uv_signal_init(&collector->loop, &collector->signals[i]) == 0);
		collector->signals[i].data = collector;
		must(uv_signal_start(&collector->signals[i], on_signal, signal_numbers[i]) == 0);
	}
	collector->roster.changed = on_roster_changed;
	collector->roster.arg = collector;
	collector->metrics = metric_table_new();
	collector->pages = (struct pages){
		.node_name = conf->collector.node_name,
		.started_ms = clock_monotonic_ms(),
		.metrics = collector->metrics,
		.roster = &collector->roster,
		.last_reload_worked = true, .last_reload_time = (double)clock_wall_ns() / 1e9,
	};
	metric_table_on_scrape(collector->metrics, pages_measure, &collector->pages);
	enter(collector, STATE_STANDBY);
	collector->pages.is_ready = false; /* until the lock was tried */
	if (is_following(collector))
		collector->conf_watch = conf_watch_new(&collector->loop, args->conf_path, on_conf_changed, collector);
	watch_conf(collector, &args->sources);
}

static void release(struct collector *collector)
{
	must(uv_loop_close(&collector->loop) == 0);
	lock_release(&collector->lock);
	roster_release(&collector->roster);
	metric_table_free(collector->metrics);
	read_buffer_release(&collector->buffer);
	collector_conf_unref(collector->conf);
}

int collector_run(struct collector_args *args, struct collector_conf *conf)
{
	struct collector *collector = x_new(collector);
	int exit_code;

	if (args->mode != COLLECTOR_DRY_RUN) /* printing into `head` ends as it does for any program */
		(void)signal(SIGPIPE, SIG_IGN);
	init(collector, args, conf);
	take_lock(collector);
	if (is_following(collector) && collector->state != STATE_CLOSING)
		listen_now(collector);
	code_pages_forget();
	uv_run(&collector->loop, UV_RUN_DEFAULT);
	exit_code = collector->exit_code;
	release(collector);
	free(collector);
	return exit_code;
}
