/* Metadata feed.  One source of the two that there are.
 *
 *   none            no feed at all
 *   kubelet | api   that one, for ever
 *   auto            the first one that answers, for ever:
 *
 *       kubelet --fails--> api --silent for 10 s, then 20, 40 ... 320--> kubelet --fails--> ...
 *
 *                   api alone, if records carry what only it has: labels of namespaces and nodes
 *
 * auto means a cluster: without credentials of one there is nothing to ask, and that is no mistake.  Only one
 * source fills the store at a time: what one of them lists says who is gone for the other, too.
 *
 * Stands between the sources and the collector.  Owns the credentials, the clients, the sources and the
 * store.  Nothing here ends the program: a source that fails is told of once and tried for ever, while
 * records go on without. */
#include "config.h"
#include "collector/metadata_feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/metadata_api.h"
#include "collector/metadata_kubelet.h"
#include "common/clock.h"
#include "common/kube_config.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE   "metadata"
#define FEED_MAGIC   MAGIC('f', 'e', 'e', 'd')
#define TICK_MS      1000
#define REOPEN_TICKS 10 /* until credentials that could not be read are tried again */
#define KUBELET_PORT 10250
#define PATIENCE_MIN 10 /* ticks for the API server to answer, while another source may do so */
#define PATIENCE_MAX 320

struct trouble {
	const char *source;
	char text[ERR_TEXT_BYTES]; /* "" = none */
};

struct metadata_feed {
	unsigned magic;
	struct metadata_feed_env env;
	struct collector_conf *conf; /* counted */
	struct metadata_choice choice;
	struct pod_store *store;
	struct kube_config credentials, at_kubelet;
	bool has_credentials;
	struct kube_client *api_client, *kubelet_client;
	struct metadata_kubelet *kubelet; /* NULL: is not asked */
	struct metadata_api *api;         /* likewise */
	bool is_undecided;                /* auto, and none has answered yet */
	bool has_failed;                  /* the kubelet, in its last answer */
	bool is_answering, has_settled;
	uint64_t requests, failures;                 /* of the API that were counted */
	struct trouble kubelet_trouble, api_trouble; /* as they were told last */
	const struct trouble *trouble;               /* the last one of these; NULL = none */
	uint64_t began_ms;
	unsigned ticks, patience, waited; /* ticks: for the API server, and how many of them are over */
	uv_timer_t tick;
};

static struct metadata_feed *feed_of(void *pointer)
{
	struct metadata_feed *feed = pointer;

	must(feed->magic == FEED_MAGIC);
	return feed;
}

static const struct kubernetes_options *options_of(const struct metadata_feed *feed)
{
	return &feed->conf->kubernetes;
}

/* ---- what it says of itself --------------------------------------------------------------------- */

static const char *source_name(const struct metadata_feed *feed)
{
	return feed->kubelet != NULL ? "kubelet" : feed->api != NULL ? "api" : "unreachable";
}

/* A failure is told of when it begins, and when it has another reason. */
static void fail(struct metadata_feed *feed, struct trouble *trouble, const char *reason)
{
	feed->is_answering = false;
	feed->trouble = trouble;
	if (strcmp(trouble->text, reason) == 0)
		return;
	(void)snprintf(trouble->text, sizeof trouble->text, "%s", reason);
	log_warn("no metadata from their source, records go on without if they must", "source=%s error=%s",
	    trouble->source, log_quote(reason));
}

static void succeed(struct metadata_feed *feed)
{
	if (feed->trouble != NULL)
		log_info("metadata come again", "source=%s", source_name(feed));
	feed->kubelet_trouble.text[0] = feed->api_trouble.text[0] = '\0';
	feed->trouble = NULL;
	feed->is_answering = true;
}

/* ---- the kubelet -------------------------------------------------------------------------------- */

static char *copy_of(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

static char *default_url(void)
{
	const char *ip = getenv("NODE_IP");

	if (ip == NULL || ip[0] == '\0')
		ip = "127.0.0.1";
	return xasprintf(strchr(ip, ':') != NULL ? "https://[%s]:%u" : "https://%s:%u", ip, KUBELET_PORT);
}

/* Who we are goes to a kubelet that proves who it is, or where an operator said that it need not. */
static void describe_kubelet(struct metadata_feed *feed)
{
	const struct kubernetes_options *options = options_of(feed);
	const struct kube_config *from = &feed->credentials;
	struct kube_config *to = &feed->at_kubelet;
	const char *name = options->kubelet_server_name;

	if (name == NULL && options->kubelet_url == NULL)
		name = feed->conf->collector.node_name; /* what a kubelet's own certificate carries */
	*to = (struct kube_config){
	    .server = options->kubelet_url != NULL ? xstrdup(options->kubelet_url) : default_url(),
	    .ca_file = copy_of(options->kubelet_ca_file != NULL ? options->kubelet_ca_file : from->ca_file),
	    .ca_data = options->kubelet_ca_file != NULL ? NULL : copy_of(from->ca_data),
	    .server_name = copy_of(name),
	    .insecure = options->kubelet_insecure,
	    .source = xstrdup("kubelet"),
	};
	if (strncmp(to->server, "https://", 8) != 0)
		return;
	to->token = copy_of(from->token);
	to->token_file = copy_of(from->token_file);
	to->cert_file = copy_of(from->cert_file);
	to->key_file = copy_of(from->key_file);
	to->cert_data = copy_of(from->cert_data);
	to->key_data = copy_of(from->key_data);
}

static void on_tick(uv_timer_t *timer);

static void hurry(struct metadata_feed *feed)
{
	must(uv_timer_start(&feed->tick, on_tick, 0, TICK_MS) == 0);
}

static void on_kubelet_answered(void *arg, enum kube_result result, const char *message)
{
	struct metadata_feed *feed = feed_of(arg);

	feed->env.totals->requests++;
	feed->env.totals->failures += result != KUBE_OK;
	feed->has_failed = result != KUBE_OK;
	if (result == KUBE_OK)
		succeed(feed);
	else
		fail(feed, &feed->kubelet_trouble, message);
	if (feed->is_undecided || !feed->has_settled)
		hurry(feed); /* not from inside of its answer */
}

static bool start_kubelet(struct metadata_feed *feed, struct err *err)
{
	const struct metadata_kubelet_events events = {.answered = on_kubelet_answered, .arg = feed};

	if (feed->kubelet != NULL)
		return true;
	if (feed->kubelet_client == NULL) {
		kube_config_release(&feed->at_kubelet);
		describe_kubelet(feed);
		if (kube_client_new(
			&feed->kubelet_client, feed->env.loop, feed->env.http, &feed->at_kubelet, err) != 0)
			return false;
	}
	feed->has_failed = false;
	feed->kubelet = metadata_kubelet_new(feed->env.loop, feed->kubelet_client, feed->store, &events);
	return true;
}

static void stop_kubelet(struct metadata_feed *feed)
{
	if (feed->kubelet != NULL)
		metadata_kubelet_close(feed->kubelet);
	feed->kubelet = NULL;
}

/* ---- the API server ----------------------------------------------------------------------------- */

/* Are we in a pod?  Whether it has a service account is another matter. */
static bool is_in_pod(void)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");

	return host != NULL && host[0] != '\0';
}

/* Reads the credentials, if there are any.  false: there are none, or they cannot be read. */
static bool load_credentials(struct metadata_feed *feed, struct err *err)
{
	const char *path = options_of(feed)->kubeconfig;

	if (feed->has_credentials)
		return true;
	if (path == NULL && !is_in_pod()) {
		(void)err_set(err, -1, "no kubeconfig is given, and this is no pod with a service account");
		return false;
	}
	kube_config_release(&feed->credentials);
	if (kube_config_load(&feed->credentials, path, getenv, err) != 0 ||
	    kube_client_new(&feed->api_client, feed->env.loop, feed->env.http, &feed->credentials, err) != 0)
		return false;
	feed->has_credentials = true;
	return true;
}

static bool start_api(struct metadata_feed *feed, struct err *err)
{
	if (feed->api != NULL)
		return true;
	feed->requests = feed->failures = 0;
	return metadata_api_new(&feed->api, feed->env.loop, feed->api_client, feed->store, &feed->choice,
		   feed->conf->collector.node_name, err) == 0;
}

static void count_api(struct metadata_feed *feed)
{
	struct metadata_api_state state = metadata_api_state(feed->api);

	feed->env.totals->requests += state.requests - feed->requests;
	feed->env.totals->failures += state.failures - feed->failures;
	feed->requests = state.requests;
	feed->failures = state.failures;
}

static void stop_api(struct metadata_feed *feed)
{
	if (feed->api == NULL)
		return;
	count_api(feed);
	metadata_api_close(feed->api);
	feed->api = NULL;
}

static void look_at_api(struct metadata_feed *feed)
{
	struct metadata_api_state state = metadata_api_state(feed->api);

	count_api(feed);
	pod_store_hear(feed->store, state.is_answering);
	if (state.error[0] != '\0')
		fail(feed, &feed->api_trouble, state.error);
	else if (state.is_answering)
		succeed(feed);
}

/* ---- which one ---------------------------------------------------------------------------------- */

/* What only the API server has. */
static bool needs_api(const struct metadata_feed *feed)
{
	return metadata_choice_has(&feed->choice, METADATA_NAMESPACE_LABELS) ||
	       metadata_choice_has(&feed->choice, METADATA_NODE_LABELS);
}

/* auto, and none has answered yet.  The API server is asked more and more patiently: a node whose both
 * sources refuse it is no reason to ask them every second. */
static void decide(struct metadata_feed *feed)
{
	struct err err = {.code = 0};

	if (feed->is_answering) {
		feed->is_undecided = false;
		log_info("metadata source chosen", "source=%s", source_name(feed));
	} else if (feed->kubelet != NULL && feed->has_failed) {
		stop_kubelet(feed);
		feed->waited = 0;
		if (!start_api(feed, &err))
			fail(feed, &feed->api_trouble, err.text);
	} else if (feed->api != NULL && ++feed->waited >= feed->patience) {
		stop_api(feed);
		if (feed->patience < PATIENCE_MAX)
			feed->patience *= 2;
		if (!start_kubelet(feed, &err))
			fail(feed, &feed->kubelet_trouble, err.text);
	}
}

/* false: something could not be read or opened; it is tried again. */
static bool start(struct metadata_feed *feed)
{
	int source = options_of(feed)->metadata_source;
	bool wants_kubelet =
	    source == METADATA_SOURCE_KUBELET || (source == METADATA_SOURCE_AUTO && !needs_api(feed));
	struct err err = {.code = 0};
	bool works;

	feed->is_undecided = source == METADATA_SOURCE_AUTO && wants_kubelet;
	feed->patience = PATIENCE_MIN;
	works = load_credentials(feed, &err);
	if (!works && source == METADATA_SOURCE_KUBELET && options_of(feed)->kubeconfig == NULL &&
	    !is_in_pod())
		works = true; /* a kubelet may let in whoever asks */
	works = works && (wants_kubelet ? start_kubelet(feed, &err) : start_api(feed, &err));
	if (!works)
		fail(feed, wants_kubelet ? &feed->kubelet_trouble : &feed->api_trouble, err.text);
	return works;
}

/* Once: the source has told, or has had its time.  Until then nobody knows who asks not to be read. */
static void settle(struct metadata_feed *feed)
{
	if (feed->has_settled || (!feed->is_answering && clock_monotonic_ms() - feed->began_ms <
							     options_of(feed)->metadata_wait_ms))
		return;
	feed->has_settled = true;
	feed->env.events.settled(feed->env.events.arg);
}

static void on_tick(uv_timer_t *timer)
{
	struct metadata_feed *feed = feed_of(timer->data);

	if (feed->kubelet == NULL && feed->api == NULL && ++feed->ticks % REOPEN_TICKS == 0)
		(void)start(feed);
	if (feed->api != NULL)
		look_at_api(feed);
	if (feed->is_undecided)
		decide(feed);
	settle(feed);
}

static void on_unknown(void *arg)
{
	struct metadata_feed *feed = feed_of(arg);

	if (feed->kubelet != NULL)
		metadata_kubelet_ask(feed->kubelet);
}

static void on_excluded(void *arg, struct container *container)
{
	const struct metadata_feed *feed = feed_of(arg);

	feed->env.events.excluded(feed->env.events.arg, container);
}

static void on_included(void *arg, struct container *container)
{
	const struct metadata_feed *feed = feed_of(arg);

	feed->env.events.included(feed->env.events.arg, container);
}

static void on_review(void *arg)
{
	const struct metadata_feed *feed = feed_of(arg);

	feed->env.events.review(feed->env.events.arg);
}

/* ---- life --------------------------------------------------------------------------------------- */

static struct pod_store *open_store(struct metadata_feed *feed)
{
	struct pod_store_options options = {
	    .choice = &feed->choice,
	    .wait_ms = options_of(feed)->metadata_wait_ms,
	    .counts = &feed->env.totals->store,
	    .events = {on_unknown, on_excluded, on_included, on_review, feed},
	};

	return pod_store_new(feed->env.loop, &options);
}

/* auto: is there a cluster at all?  In a pod it is worth a line that there is not.  Who names a kubeconfig
 * means one, also where it cannot be read yet. */
static bool has_cluster(struct metadata_feed *feed)
{
	struct err err = {.code = 0};

	if (options_of(feed)->kubeconfig != NULL || load_credentials(feed, &err))
		return true;
	if (is_in_pod())
		log_warn("no source of metadata: records carry what their path says", "reason=%s",
		    log_quote(err.text));
	else if (feed->choice.template_labels.count + feed->choice.template_annotations.count != 0)
		log_warn("no source of metadata: templates that name labels cannot be filled", "reason=%s",
		    log_quote(err.text));
	else
		log_debug("no source of metadata", "reason=%s", log_quote(err.text));
	return false;
}

struct metadata_feed *metadata_feed_open(const struct metadata_feed_env *env, struct collector_conf *conf)
{
	struct metadata_feed *feed;

	if (conf->kubernetes.metadata_source == METADATA_SOURCE_NONE)
		return NULL;
	feed = x_new(feed);
	feed->magic = FEED_MAGIC;
	feed->env = *env;
	feed->conf = collector_conf_ref(conf);
	collector_conf_choose(conf, &feed->choice);
	feed->store = open_store(feed);
	feed->kubelet_trouble.source = "kubelet";
	feed->api_trouble.source = "api";
	feed->began_ms = clock_monotonic_ms();
	must(uv_timer_init(env->loop, &feed->tick) == 0);
	feed->tick.data = feed;
	if (conf->kubernetes.metadata_source == METADATA_SOURCE_AUTO && !has_cluster(feed)) {
		metadata_feed_close(feed);
		return NULL;
	}
	(void)start(feed);
	must(uv_timer_start(&feed->tick, on_tick, TICK_MS, TICK_MS) == 0);
	return feed;
}

bool metadata_feed_fits(const struct metadata_feed *feed, const struct collector_conf *conf)
{
	struct metadata_choice choice;
	bool fits;

	collector_conf_choose(conf, &choice);
	fits = collector_conf_same_kubernetes(feed->conf, conf) &&
	       metadata_choice_same_templates(&feed->choice, &choice);
	metadata_choice_release(&choice);
	return fits;
}

void metadata_feed_attach(struct metadata_feed *feed, const struct tail *tail)
{
	pod_store_attach(feed->store, tail->container, tail->name.restart);
}

void metadata_feed_detach(struct metadata_feed *feed, struct container *container)
{
	pod_store_detach(feed->store, container);
}

bool metadata_feed_excludes(const struct metadata_feed *feed, const struct origin *origin)
{
	return pod_store_excludes(feed->store, origin);
}

bool metadata_feed_has_settled(const struct metadata_feed *feed)
{
	return feed->has_settled;
}

bool metadata_feed_is_waited_for(const struct metadata_feed *feed)
{
	return pod_store_waiting(feed->store) != 0;
}

void metadata_feed_stop_waiting(struct metadata_feed *feed)
{
	pod_store_stop_waiting(feed->store);
}

static void on_closed(uv_handle_t *handle)
{
	struct metadata_feed *feed = feed_of(handle->data);

	metadata_choice_release(&feed->choice);
	kube_config_release(&feed->credentials);
	kube_config_release(&feed->at_kubelet);
	collector_conf_unref(feed->conf);
	feed->magic = 0;
	free(feed);
}

void metadata_feed_close(struct metadata_feed *feed)
{
	must(feed->magic == FEED_MAGIC);
	stop_kubelet(feed);
	stop_api(feed);
	if (feed->kubelet_client != NULL)
		kube_client_close(feed->kubelet_client);
	if (feed->api_client != NULL)
		kube_client_close(feed->api_client);
	pod_store_close(feed->store);
	uv_close((uv_handle_t *)&feed->tick, on_closed);
}

struct metadata_state metadata_feed_state(const struct metadata_feed *feed)
{
	return (struct metadata_state){
	    .source = source_name(feed),
	    .error = feed->trouble != NULL ? feed->trouble->text : "",
	    .is_answering = feed->is_answering,
	    .store = feed->store,
	    .totals = feed->env.totals,
	};
}
