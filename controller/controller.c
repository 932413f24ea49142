/* Controller.  The wiring, and the order in which things begin and end.
 *
 *   SYNCING --caches complete--> STANDBY --lease taken, lists read once more--> LEADING --TERM--> STOPPING
 * --writes done, lease given back--> CLOSED without election STANDBY is left at once; a lease that is lost,
 * or a second signal, ends from anywhere
 *
 * Caches are kept warm while standing by.  On taking over every cache is listed again, consistently: what
 * another leader did just before must be seen before anything is decided (P-6, C3).  Only then reconcile may
 * act.
 *
 * Stands at the top.  Owns the loop, the parts and the signals.  Decides nothing about pods. */
#include "config.h"
#include "controller/controller.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "common/admin.h"
#include "common/clock.h"
#include "common/code_pages.h"
#include "common/http.h"
#include "common/kube_client.h"
#include "common/kube_config.h"
#include "common/log.h"
#include "common/must.h"
#include "common/reflector.h"
#include "controller/lease.h"
#include "controller/reconcile.h"
#include "controller/recorder.h"
#include "controller/status_page.h"
#include "controller/store.h"
#include "controller/strangers.h"
#include "controller/writer.h"

#define LOG_MODULE      "controller"
#define LISTEN_RETRY_MS 1000
#define STOP_WATCH_MS   10
#define STOP_LIMIT_MS   5000 /* for writes that are under way at a stop */
#define STATUS_BYTES    (16u << 20)
#define PAGE_SIZE       500
#define IDENTITY_BYTES  96

enum controller_state {
	CONTROLLER_SYNCING,
	CONTROLLER_STANDBY,
	CONTROLLER_LEADING,
	CONTROLLER_STOPPING,
	CONTROLLER_CLOSED
};
static const char *const state_names[] = {"syncing", "standby", "leading", "stopping", "closed"};

/* One reflector on its way into the store: the list that taking over waits for is noticed here. */
struct inlet {
	struct controller *controller;
	const struct reflector_ops *ops;
	void *arg;
	bool must_begin, must_end; /* a consistent list has to begin, and to end, before reconcile may act */
};

struct controller {
	uv_loop_t loop;
	struct controller_args args;
	struct controller_conf *conf;
	struct kube_config config;
	char identity[IDENTITY_BYTES];
	enum controller_state state;
	int exit_code;
	struct http *http;
	struct kube_client *client;
	struct metric_table *metrics;
	struct store *store;
	struct strangers *strangers;
	struct reflector *reflectors[STORE_KINDS];
	struct inlet inlets[STORE_KINDS];
	struct writer *writer;
	struct recorder *recorder;
	struct reconcile *reconcile;
	struct lease *lease; /* NULL: no election */
	bool may_lead;       /* the lease is ours, or there is no election */
	struct admin *admin;
	struct status_page page;
	uv_timer_t listen_retry, stop_watch;
	uint64_t deadline_ms;
	uv_signal_t signals[4];
};

static const int signal_numbers[4] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};

static void close_everything(struct controller *controller, int exit_code);

static const char *served_namespace(const struct controller *controller)
{
	return controller->conf->namespace_name != NULL ? controller->conf->namespace_name
							: controller->config.namespace_name;
}

static void enter(struct controller *controller, enum controller_state state)
{
	controller->state = state;
	controller->page.state = state_names[state];
	controller->page.is_leading = state == CONTROLLER_LEADING;
	controller->page.is_stopping = state >= CONTROLLER_STOPPING;
}

/* ---- taking over
 * -------------------------------------------------------------------------------------------------- */

/* Each step that may be the last one missing comes by here. */
static void lead_if_all_is_known(struct controller *controller)
{
	if (controller->state == CONTROLLER_SYNCING && store_is_synced(controller->store))
		enter(controller, CONTROLLER_STANDBY);
	if (controller->state != CONTROLLER_STANDBY || !controller->may_lead)
		return;
	for (int kind = 0; kind < STORE_KINDS; kind++)
		if (controller->inlets[kind].must_end)
			return;
	enter(controller, CONTROLLER_LEADING);
	log_info("acting", "namespace=%s nodes=%zu pods=%zu sets=%zu",
	    log_quote(served_namespace(controller)), store_count(controller->store, STORE_NODES),
	    store_count(controller->store, STORE_PODS), store_count(controller->store, STORE_SETS));
	reconcile_enable(controller->reconcile, true);
}

static void on_leading(void *arg)
{
	struct controller *controller = arg;

	controller->may_lead = true;
	for (int kind = 0; kind < STORE_KINDS; kind++) {
		controller->inlets[kind].must_begin = controller->inlets[kind].must_end = true;
		reflector_relist(controller->reflectors[kind]);
	}
}

static void on_lost_turn(uv_timer_t *timer)
{
	close_everything(timer->data, EX_TEMPFAIL);
}

/* What is cached is no guide any more, and who holds the lease may act already: a supervisor starts a new
 * process (LE-5).  It is told from within an answer, so the client that brought it is closed in the next turn. */
static void on_lost(void *arg)
{
	struct controller *controller = arg;

	enter(controller, CONTROLLER_STOPPING);
	reconcile_enable(controller->reconcile, false);
	uv_timer_start(&controller->stop_watch, on_lost_turn, 0, 0);
}

static bool may_write(void *arg)
{
	const struct controller *controller = arg;

	return controller->lease == NULL ? controller->may_lead : lease_is_fresh(controller->lease);
}

/* ---- from the reflectors into the store
 * --------------------------------------------------------------------------- */

static void on_list_begin(void *arg)
{
	struct inlet *inlet = arg;

	inlet->must_begin = false;
	inlet->ops->on_list_begin(inlet->arg);
}

static bool on_object(void *arg, const struct cJSON *object)
{
	struct inlet *inlet = arg;

	return inlet->ops->on_object(inlet->arg, object);
}

static void on_deleted(void *arg, const struct cJSON *object)
{
	struct inlet *inlet = arg;

	inlet->ops->on_deleted(inlet->arg, object);
}

static bool on_list_end(void *arg, bool is_consistent)
{
	struct inlet *inlet = arg;

	if (!inlet->ops->on_list_end(inlet->arg, is_consistent))
		return false;
	if (is_consistent && !inlet->must_begin)
		inlet->must_end = false;
	lead_if_all_is_known(inlet->controller);
	return true;
}

static void on_version(void *arg, const char *version)
{
	struct inlet *inlet = arg;

	inlet->ops->on_version(inlet->arg, version);
}

static const struct reflector_ops inlet_ops = {on_list_begin, on_object, on_deleted, on_list_end, on_version};

static void on_node(void *arg, const struct node *before, const struct node *after)
{
	reconcile_on_node(((struct controller *)arg)->reconcile, before, after);
}

static void on_pod(void *arg, const struct pod *before, const struct pod *after)
{
	reconcile_on_pod(((struct controller *)arg)->reconcile, before, after);
}

static void on_set(void *arg, const struct collector_set *before, const struct collector_set *after)
{
	reconcile_on_set(((struct controller *)arg)->reconcile, before, after);
}

static void on_revision(void *arg, const struct revision *before, const struct revision *after)
{
	reconcile_on_revision(((struct controller *)arg)->reconcile, before, after);
}

static void on_synced(void *arg)
{
	log_info("all caches are complete");
	lead_if_all_is_known(arg);
}

/* ---- beginning
 * ---------------------------------------------------------------------------------------------------- */

static int open_reflector(struct controller *controller, enum store_kind kind, struct err *err)
{
	static const struct {
		const char *name, *api, *plural;
		bool is_of_namespace;
	} kinds[STORE_KINDS] = {
	    [STORE_NODES] = {"nodes", "/api/v1", "nodes", false},
	    [STORE_PODS] = {"pods", "/api/v1", "pods", true},
	    [STORE_SETS] = {"sets", "/apis/" COLLECTOR_SET_API, COLLECTOR_SET_PLURAL,
		false}, /* all, to tell of those not served */
	    [STORE_REVISIONS] = {"revisions", "/apis/apps/v1", "controllerrevisions", true},
	};
	struct inlet *inlet = &controller->inlets[kind];
	struct reflector_options options = {.name = kinds[kind].name, .page_size = PAGE_SIZE};
	bool is_narrow = kinds[kind].is_of_namespace && strcmp(served_namespace(controller), "*") != 0;
	char *path = xasprintf("%s%s%s/%s", kinds[kind].api, is_narrow ? "/namespaces/" : "",
	    is_narrow ? served_namespace(controller) : "", kinds[kind].plural);
	int status;

	*inlet = (struct inlet){.controller = controller,
	    .ops = store_reflector_ops(kind),
	    .arg = store_reflector_arg(controller->store, kind)};
	if (kind == STORE_SETS) {
		controller->strangers = strangers_new(served_namespace(controller), inlet->ops, inlet->arg);
		inlet->ops = &strangers_ops;
		inlet->arg = controller->strangers;
	}
	options.path = path;
	options.seed = (uint64_t)clock_wall_ns() + (uint64_t)kind;
	status = reflector_new(&controller->reflectors[kind], &controller->loop, controller->client, &options,
	    &inlet_ops, inlet, err);
	free(path);
	return status;
}

static int open_lease(struct controller *controller, struct err *err)
{
	const struct controller_conf *conf = controller->conf;
	static const struct lease_hooks hooks = {on_leading, on_lost};
	const struct lease_options options = {
	    .namespace_name =
		conf->lease_namespace != NULL ? conf->lease_namespace : controller->config.namespace_name,
	    .name = conf->lease_name,
	    .identity = controller->identity,
	    .duration_ms = conf->lease_duration_ms,
	    .renew_deadline_ms = conf->renew_deadline_ms,
	    .retry_period_ms = conf->retry_period_ms,
	};

	if (!conf->leader_election) {
		log_warn("no leader election: there must never be a second controller");
		controller->may_lead = true;
		return 0;
	}
	return lease_start(
	    &controller->lease, &controller->loop, controller->client, &options, &hooks, controller, err);
}

static void connect_page(struct controller *controller)
{
	controller->page.client = controller->client;
	controller->page.store = controller->store;
	controller->page.strangers = controller->strangers;
	controller->page.reflectors = controller->reflectors;
	controller->page.lease = controller->lease;
	controller->page.writer = controller->writer;
	controller->page.recorder = controller->recorder;
	controller->page.reconcile = controller->reconcile;
}

/* Builds what speaks with the API server.  The exit code, with the sentence in err; what was built until then
 * is closed with the rest. */
static int begin(struct controller *controller, struct err *err)
{
	static const struct store_hooks hooks = {on_node, on_pod, on_set, on_revision, on_synced};
	struct reconcile_parts parts;

	if (http_new(&controller->http, &controller->loop, "drave-controller/" PACKAGE_VERSION, err) != 0)
		return EX_OSERR;
	if (kube_client_new(
		&controller->client, &controller->loop, controller->http, &controller->config, err) != 0)
		return EX_CONFIG;
	controller->store = store_new(&hooks, controller);
	controller->writer = writer_new(&controller->loop, controller->client, may_write, controller);
	controller->recorder =
	    recorder_new(&controller->loop, controller->client, controller->identity, may_write, controller);
	parts = (struct reconcile_parts){.loop = &controller->loop,
	    .client = controller->client,
	    .writer = controller->writer,
	    .recorder = controller->recorder,
	    .store = controller->store,
	    .metrics = controller->metrics};
	controller->reconcile = reconcile_new(&parts);
	for (int kind = 0; kind < STORE_KINDS; kind++)
		if (open_reflector(controller, (enum store_kind)kind, err) != 0)
			return EX_OSERR;
	if (open_lease(controller, err) != 0)
		return EX_CONFIG;
	connect_page(controller);
	return EX_OK;
}

static void on_listen_retry(uv_timer_t *timer);

static void listen_now(struct controller *controller)
{
	const char *listen = controller->conf->listen;
	struct err err = {0};
	int status = admin_open(
	    &controller->admin, &controller->loop, listen, status_page_table, &controller->page, &err);

	if (status == 0) {
		log_info("listening", "address=%s port=%u", log_quote(listen), admin_port(controller->admin));
	} else if (status == -EADDRINUSE) {
		log_warn("port is busy, trying again", "address=%s", log_quote(listen));
		uv_timer_start(&controller->listen_retry, on_listen_retry, LISTEN_RETRY_MS, 0);
	} else {
		fprintf(stderr, "drave-controller: %s\n", err.text);
		close_everything(controller, EX_CONFIG);
	}
}

static void on_listen_retry(uv_timer_t *timer)
{
	listen_now(timer->data);
}

/* ---- ending
 * ------------------------------------------------------------------------------------------------------- */

static void close_handle(void *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void close_parts(struct controller *controller)
{
	if (controller->lease != NULL)
		lease_close(controller->lease);
	for (int kind = 0; kind < STORE_KINDS; kind++)
		if (controller->reflectors[kind] != NULL)
			reflector_close(controller->reflectors[kind]);
	if (controller->reconcile != NULL)
		reconcile_close(controller->reconcile);
	if (controller->recorder != NULL)
		recorder_close(controller->recorder);
	if (controller->writer != NULL)
		writer_close(controller->writer);
	if (controller->client != NULL)
		kube_client_close(controller->client);
	if (controller->http != NULL)
		http_close(controller->http);
}

/* Ends the program; what is under way is cancelled. */
static void close_everything(struct controller *controller, int exit_code)
{
	if (controller->state == CONTROLLER_CLOSED)
		return;
	enter(controller, CONTROLLER_CLOSED);
	controller->exit_code = exit_code;
	controller->page.client = NULL;
	controller->page.store = NULL;
	controller->page.lease = NULL;
	close_parts(controller);
	if (controller->admin != NULL)
		admin_close(controller->admin);
	close_handle(&controller->listen_retry);
	close_handle(&controller->stop_watch);
	for (size_t i = 0; i < sizeof controller->signals / sizeof controller->signals[0]; i++)
		close_handle(&controller->signals[i]);
}

static void on_released(void *arg)
{
	close_everything(arg, EX_OK);
}

/* No write is under way any more, or they were waited for long enough: the lease may go. */
static void on_stop_watch(uv_timer_t *timer)
{
	struct controller *controller = timer->data;
	struct writer_counts counts = writer_counts(controller->writer);

	if (counts.in_flight + counts.waiting > 0 && clock_monotonic_ms() < controller->deadline_ms)
		return;
	uv_timer_stop(timer);
	if (counts.in_flight + counts.waiting > 0)
		log_warn("stopped before all writes were answered", "in_flight=%u waiting=%u",
		    counts.in_flight, counts.waiting);
	if (controller->lease != NULL)
		lease_release(controller->lease, on_released, controller);
	else
		close_everything(controller, EX_OK);
}

static void stop(struct controller *controller, int number)
{
	if (controller->state >= CONTROLLER_STOPPING) {
		log_warn("stopping at once: second signal", "signal=%s", number == SIGTERM ? "TERM" : "INT");
		_exit(EXIT_FAILURE); /* a stop is no different from a crash: the next leader looks at what is
					there */
	}
	log_info("stopping", "signal=%s", number == SIGTERM ? "TERM" : "INT");
	enter(controller, CONTROLLER_STOPPING);
	reconcile_enable(controller->reconcile, false);
	controller->deadline_ms = clock_monotonic_ms() + STOP_LIMIT_MS;
	uv_timer_start(&controller->stop_watch, on_stop_watch, 0, STOP_WATCH_MS);
}

/* ---- signals
 * ------------------------------------------------------------------------------------------------------ */

/* Only the log changes; everything else needs a new process, which the standby makes cheap.  All or nothing.
 */
static void reload(struct controller *controller)
{
	struct ini_complaints complaints;
	struct controller_conf *conf;
	const char *fixed;

	ini_complaints_init(&complaints);
	conf = controller_conf_load(controller->args.conf_path, controller->args.may_be_missing,
	    controller->args.overrides, &complaints);
	fixed = conf != NULL ? controller_conf_fixed_difference(controller->conf, conf) : NULL;
	if (conf == NULL) {
		log_error("reload refused, the old configuration stays", "errors=%u message=%s",
		    complaints.error_count, log_quote(buf_text(&complaints.text)));
	} else if (fixed != NULL) {
		log_error("reload refused: this key cannot change while the controller runs, start it anew",
		    "key=%s", fixed);
	} else {
		controller->conf->log_level = conf->log_level;
		controller->conf->log_format = conf->log_format;
		log_setup((enum log_level)conf->log_level, (enum log_format)conf->log_format);
		log_info("log reloaded: only log_level and log_format can change while the controller runs");
	}
	controller_conf_free(conf);
	ini_complaints_release(&complaints);
}

static void dump(struct controller *controller)
{
	struct buf text;

	buf_init(&text, STATUS_BYTES);
	status_page_write(&controller->page, &text);
	fputs(buf_text(&text), stderr);
	buf_release(&text);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct controller *controller = signal->data;

	switch (number) {
	case SIGTERM:
	case SIGINT: stop(controller, number); break;
	case SIGHUP: reload(controller); break;
	case SIGUSR2: dump(controller); break;
	}
}

/* ---- running
 * ------------------------------------------------------------------------------------------------------ */

/* The host's name (the pod's, in a cluster), and what makes it unique to this process. */
static void make_identity(char out[IDENTITY_BYTES])
{
	char host[IDENTITY_BYTES - 18] = "localhost";
	uint64_t random = 0;

	(void)gethostname(host, sizeof host - 1); /* a cut name is still a name */
	must(uv_random(NULL, NULL, &random, sizeof random, 0, NULL) == 0);
	(void)snprintf(out, IDENTITY_BYTES, "%s_%016" PRIx64, host, random);
}

static void init(
    struct controller *controller, const struct controller_args *args, struct controller_conf *conf)
{
	uv_timer_t *const timers[] = {&controller->listen_retry, &controller->stop_watch};

	controller->args = *args;
	controller->conf = conf;
	make_identity(controller->identity);
	must(uv_loop_init(&controller->loop) == 0);
	for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
		must(uv_timer_init(&controller->loop, timers[i]) == 0);
		timers[i]->data = controller;
	}
	for (size_t i = 0; i < sizeof signal_numbers / sizeof signal_numbers[0]; i++) {
		must(uv_signal_init(&controller->loop, &controller->signals[i]) == 0);
		controller->signals[i].data = controller;
		must(uv_signal_start(&controller->signals[i], on_signal, signal_numbers[i]) == 0);
	}
	controller->metrics = metric_table_new();
	controller->page = (struct status_page){.served = served_namespace(controller),
	    .identity = controller->identity,
	    .server = controller->config.server,
	    .started_ms = clock_monotonic_ms(),
	    .metrics = controller->metrics};
	metric_table_on_scrape(controller->metrics, status_page_measure, &controller->page);
	enter(controller, CONTROLLER_SYNCING);
}

static void release(struct controller *controller)
{
	must(uv_loop_close(&controller->loop) == 0);
	if (controller->store != NULL)
		store_free(controller->store);
	strangers_free(controller->strangers);
	metric_table_free(controller->metrics);
}

static int run(
    struct controller *controller, const struct controller_args *args, struct controller_conf *conf)
{
	struct err err = {0};
	int code;

	(void)signal(SIGPIPE, SIG_IGN);
	init(controller, args, conf);
	log_info("starting", "version=%s server=%s credentials=%s", PACKAGE_VERSION,
	    log_quote(controller->config.server), log_quote(controller->config.source));
	code = begin(controller, &err);
	if (code != EX_OK) {
		fprintf(stderr, "drave-controller: %s\n", err.text);
		close_everything(controller, code);
	} else {
		listen_now(controller);
	}
	code_pages_forget();
	uv_run(&controller->loop, UV_RUN_DEFAULT);
	release(controller);
	return controller->exit_code;
}

int controller_run(const struct controller_args *args, struct controller_conf *conf)
{
	struct controller *controller = x_new(controller);
	struct err err = {0};
	int code = EX_CONFIG;

	if (kube_config_load(&controller->config, conf->kubeconfig, getenv, &err) == 0)
		code = run(controller, args, conf);
	else
		fprintf(stderr, "drave-controller: %s\n", err.text);
	kube_config_release(&controller->config);
	controller_conf_free(conf);
	free(controller);
	return code;
}
