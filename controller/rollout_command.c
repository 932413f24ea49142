/* Rollout command.  The four verbs that kubectl keeps for the kinds that it knows, in kubectl's words as far
 * as they fit.
 *
 *   status   asks until the update is through, and says so when something has changed
 *   history  the revisions that the set's controller keeps, or the template of one
 *   undo     writes the template of an older revision back
 *   restart  writes an annotation into the template, so that all pods are made anew
 *
 * What is written carries the version that was read, and is tried again after a conflict, since the
 * controller writes the status meanwhile.
 *
 * Stands beside the controller, as a command of its own with the user's rights.  Never touches a pod: the
 * controller does that. */
#include "config.h"
#include "controller/rollout_command.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/clock.h"
#include "common/must.h"
#include "conf/units.h"
#include "controller/collector_set.h"
#include "controller/revision.h"
#include "controller/session.h"

#define SET_RESOURCE  "collectorset.drave.dev"
#define RESTARTED_KEY "kubectl.kubernetes.io/restartedAt"
#define CAUSE_KEY     "kubernetes.io/change-cause"
#define ASK_MS        500 /* how often status asks */
#define WRITES_MAX    5
#define PATH_BYTES    4096
#define BODY_BYTES    (4u << 20)
#define LINE_BYTES    512

static const char usage_text[] =
    "Usage: drave-controller rollout status  NAME [--watch=false] [--timeout DURATION]\n"
    "       drave-controller rollout history NAME [--revision NUMBER]\n"
    "       drave-controller rollout undo    NAME [--to-revision NUMBER]\n"
    "       drave-controller rollout restart NAME\n"
    "Looks after the update of a CollectorSet; NAME may be written cset/NAME.\n"
    "\n"
    "  -n, --namespace NAME    the set's namespace; default: of the kubeconfig's context\n"
    "      --kubeconfig FILE   how to reach the API server\n"
    "      --context NAME      a context of the kubeconfig other than its current one\n"
    "  -w, --watch[=false]     status: wait for the end (default), or say how it stands\n"
    "      --timeout DURATION  status: give up after so long (30s, 5m)\n"
    "      --revision NUMBER   history: print the template of this revision\n"
    "      --to-revision NUMBER\n"
    "                          undo: go back to this one; default: the one before\n"
    "  -h, --help              this text\n";

enum { OPT_KUBECONFIG = 256, OPT_CONTEXT, OPT_TIMEOUT, OPT_REVISION, OPT_TO_REVISION };

static const struct option long_options[] = {
    {"namespace", required_argument, NULL, 'n'},
    {"kubeconfig", required_argument, NULL, OPT_KUBECONFIG},
    {"context", required_argument, NULL, OPT_CONTEXT},
    {"watch", optional_argument, NULL, 'w'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"revision", required_argument, NULL, OPT_REVISION},
    {"to-revision", required_argument, NULL, OPT_TO_REVISION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct rollout {
	const char *action, *name, *namespace_name, *kubeconfig, *context_name;
	bool watches;
	uint64_t timeout_ms; /* 0 = none */
	int64_t number;      /* 0 = not given */
	struct session *session;
	char now[KUBE_TIME_BYTES];     /* restart */
	const struct revision *target; /* undo */
};

static int complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int complain(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("drave-controller: ", stderr);
	(void)vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return code;
}

/* ---- the set
 * ------------------------------------------------------------------------------------------------------ */

static void set_path(const struct rollout *rollout, struct buf *out)
{
	buf_init(out, PATH_BYTES);
	buf_add_text(out, "/apis/" COLLECTOR_SET_API "/namespaces/");
	session_add_escaped(out, rollout->namespace_name);
	buf_add_text(out, "/" COLLECTOR_SET_PLURAL "/");
	session_add_escaped(out, rollout->name);
}

/* Returns the exit code; *ret_set is freed by the caller. */
static int get_set(const struct rollout *rollout, struct collector_set **ret_set)
{
	struct session_reply reply;
	struct err err = {0};
	struct buf path;
	int code = EX_OK;

	set_path(rollout, &path);
	session_ask(rollout->session, "GET", buf_text(&path), NULL, NULL, &reply);
	if (reply.result == KUBE_NOT_FOUND)
		code = complain(EX_NOINPUT, "there is no CollectorSet '%s' in namespace '%s'", rollout->name,
		    rollout->namespace_name);
	else if (reply.result != KUBE_OK)
		code = complain(
		    EX_UNAVAILABLE, "cannot read CollectorSet '%s': %s", rollout->name, reply.message);
	else if (collector_set_read(ret_set, reply.tree, &err) != 0)
		code = complain(EX_DATAERR, "cannot read CollectorSet '%s': %s", rollout->name, err.text);
	session_reply_release(&reply);
	buf_release(&path);
	return code;
}

/* ---- status
 * ------------------------------------------------------------------------------------------------------- */

enum progress { PROGRESS_WAITING, PROGRESS_DONE, PROGRESS_FAILED };

/* What is to be said of it now. */
static enum progress judge(const struct collector_set *set, char line[LINE_BYTES])
{
	const struct set_status *status = &set->status;
	enum progress progress = PROGRESS_WAITING;

	if (set->complaint != NULL) {
		(void)snprintf(line, LINE_BYTES, "collector set \"%s\" cannot be rolled out: %s",
		    set->meta.name, set->complaint);
		progress = PROGRESS_FAILED;
	} else if (set->strategy == ON_DELETE) {
		(void)snprintf(
		    line, LINE_BYTES, "rollout status is only available for RollingUpdate strategy type");
		progress = PROGRESS_FAILED;
	} else if (status->observed_generation < set->meta.generation) {
		(void)snprintf(line, LINE_BYTES, "Waiting for collector set spec update to be observed...");
	} else if (status->updated < status->desired) {
		(void)snprintf(line, LINE_BYTES,
		    "Waiting for collector set \"%s\" rollout to finish: %" PRId64 " out of %" PRId64
		    " new pods have been updated...",
		    set->meta.name, status->updated, status->desired);
	} else if (status->available < status->desired) {
		(void)snprintf(line, LINE_BYTES,
		    "Waiting for collector set \"%s\" rollout to finish: %" PRId64 " of %" PRId64
		    " updated pods are available...",
		    set->meta.name, status->available, status->desired);
	} else {
		(void)snprintf(
		    line, LINE_BYTES, "collector set \"%s\" successfully rolled out", set->meta.name);
		progress = PROGRESS_DONE;
	}
	return progress;
}

static int run_status(struct rollout *rollout)
{
	uint64_t began_ms = clock_monotonic_ms();
	char shown[LINE_BYTES] = "", line[LINE_BYTES];

	for (;;) {
		struct collector_set *set;
		enum progress progress;
		int code = get_set(rollout, &set);

		if (code != EX_OK)
			return code;
		progress = judge(set, line);
		collector_set_free(set);
		if (progress == PROGRESS_FAILED)
			return complain(EXIT_FAILURE, "%s", line);
		if (strcmp(line, shown) != 0)
			printf("%s\n", line);
		fflush(stdout);
		(void)snprintf(shown, sizeof shown, "%s", line);
		if (progress == PROGRESS_DONE || !rollout->watches)
			return EX_OK;
		if (rollout->timeout_ms != 0 && clock_monotonic_ms() - began_ms >= rollout->timeout_ms)
			return complain(EXIT_FAILURE, "timed out waiting for the rollout");
		session_sleep(rollout->session, ASK_MS);
	}
}

/* ---- history
 * ------------------------------------------------------------------------------------------------------ */

struct past {
	const struct collector_set *set;
	struct revision **revisions; /* the set's, oldest first */
	char **causes;               /* beside them; NULL = none said */
	size_t count;
	struct err err;
};

static bool on_revision(void *arg, const cJSON *item)
{
	struct past *past = arg;
	const cJSON *meta, *annotations = NULL;
	const char *cause = NULL;
	struct revision *revision;

	if (revision_read(&revision, item, &past->err) != 0)
		return false;
	if (revision->meta.controller.uid == NULL ||
	    strcmp(revision->meta.controller.uid, past->set->meta.uid) != 0) {
		revision_free(revision);
		return true;
	}
	if (kube_child(item, "metadata", &meta, NULL) &&
	    kube_child(meta, "annotations", &annotations, NULL) && annotations != NULL)
		(void)kube_text(annotations, CAUSE_KEY, &cause, NULL);
	past->revisions = xrealloc(past->revisions, (past->count + 1) * sizeof past->revisions[0]);
	past->causes = xrealloc(past->causes, (past->count + 1) * sizeof past->causes[0]);
	past->revisions[past->count] = revision;
	past->causes[past->count++] = cause != NULL ? xstrdup(cause) : NULL;
	return true;
}

/* Insertion sort: there are some ten, and causes go with them. */
static void sort(struct past *past)
{
	for (size_t i = 1; i < past->count; i++) {
		for (size_t j = i;
		     j > 0 && revision_compare(&past->revisions[j - 1], &past->revisions[j]) > 0; j--) {
			struct revision *revision = past->revisions[j];
			char *cause = past->causes[j];

			past->revisions[j] = past->revisions[j - 1];
			past->causes[j] = past->causes[j - 1];
			past->revisions[j - 1] = revision;
			past->causes[j - 1] = cause;
		}
	}
}

static int get_past(const struct rollout *rollout, const struct collector_set *set, struct past *ret_past)
{
	struct err err = {0};
	struct buf path;
	int code = EX_OK;

	*ret_past = (struct past){.set = set};
	buf_init(&path, PATH_BYTES);
	buf_add_text(&path, "/apis/apps/v1/namespaces/");
	session_add_escaped(&path, rollout->namespace_name);
	buf_add_text(&path, "/controllerrevisions");
	if (session_list(rollout->session, buf_text(&path), on_revision, ret_past, &err) != KUBE_OK)
		code = complain(EX_UNAVAILABLE, "cannot list the revisions: %s",
		    ret_past->err.code != 0 ? ret_past->err.text : err.text);
	sort(ret_past);
	buf_release(&path);
	return code;
}

static void past_release(struct past *past)
{
	for (size_t i = 0; i < past->count; i++) {
		revision_free(past->revisions[i]);
		free(past->causes[i]);
	}
	free(past->revisions);
	free(past->causes);
}

static const struct revision *find_number(const struct past *past, int64_t number)
{
	for (size_t i = 0; i < past->count; i++)
		if (past->revisions[i]->number == number)
			return past->revisions[i];
	return NULL;
}

/* The template in a revision's data, to be deleted by the caller; NULL if there is none. */
static cJSON *template_of(const struct revision *revision)
{
	cJSON *data = cJSON_ParseWithLength(revision->data, revision->data_len);
	cJSON *spec = cJSON_GetObjectItemCaseSensitive(data, "spec");
	cJSON *template = cJSON_DetachItemFromObjectCaseSensitive(spec, "template");

	cJSON_DeleteItemFromObjectCaseSensitive(
	    template, "$patch"); /* says how to apply it, and is no part of it */
	cJSON_Delete(data);
	return template;
}

static int print_template(const struct rollout *rollout, const struct past *past)
{
	const struct revision *revision = find_number(past, rollout->number);
	cJSON *template = revision != NULL ? template_of(revision) : NULL;
	char *text;

	if (revision == NULL)
		return complain(
		    EX_NOINPUT, "unable to find revision %" PRId64 " in the history", rollout->number);
	if (template == NULL)
		return complain(EX_DATAERR, "revision %" PRId64 " has no template", rollout->number);
	text = cJSON_Print(template);
	must(text != NULL);
	printf("%s/%s with revision #%" PRId64 "\nPod Template:\n%s\n", SET_RESOURCE, rollout->name,
	    revision->number, text);
	cJSON_free(text);
	cJSON_Delete(template);
	return EX_OK;
}

static void print_past(const struct rollout *rollout, const struct past *past)
{
	printf("%s/%s\n%-10s%-18s%-22s%s\n", SET_RESOURCE, rollout->name, "REVISION", "HASH", "CREATED",
	    "CHANGE-CAUSE");
	for (size_t i = 0; i < past->count; i++) {
		const struct revision *revision = past->revisions[i];
		char created[KUBE_TIME_BYTES];

		kube_time_format(created, revision->meta.created_ms);
		printf("%-10" PRId64 "%-18s%-22s%s\n", revision->number, revision_hash(revision), created,
		    past->causes[i] != NULL ? past->causes[i] : "<none>");
	}
}

static int run_history(struct rollout *rollout)
{
	struct collector_set *set;
	struct past past;
	int code = get_set(rollout, &set);

	if (code != EX_OK)
		return code;
	code = get_past(rollout, set, &past);
	if (code == EX_OK && rollout->number != 0)
		code = print_template(rollout, &past);
	else if (code == EX_OK)
		print_past(rollout, &past);
	past_release(&past);
	collector_set_free(set);
	return code;
}

/* ---- writing
 * ------------------------------------------------------------------------------------------------------ */

/* The body of the change for this state of the set; false: nothing is to be changed, which was said. */
typedef bool (*make_change)(const struct rollout *rollout, const struct collector_set *set, struct buf *body);

/* Reads, changes, and begins anew after a conflict. */
static int change(const struct rollout *rollout, const char *content_type, make_change make, const char *done)
{
	struct session_reply reply = {.result = KUBE_CONFLICT};
	int code = EX_OK;

	for (int i = 0; i < WRITES_MAX && code == EX_OK && reply.result == KUBE_CONFLICT; i++) {
		struct collector_set *set;
		struct buf path, body;

		code = get_set(rollout, &set);
		if (code != EX_OK)
			break;
		buf_init(&body, BODY_BYTES);
		set_path(rollout, &path);
		session_reply_release(&reply);
		reply.result = KUBE_OK;
		if (make(rollout, set, &body)) {
			session_ask(rollout->session, "PATCH", buf_text(&path), content_type, buf_text(&body),
			    &reply);
			if (reply.result == KUBE_OK)
				printf("%s/%s %s\n", SET_RESOURCE, rollout->name, done);
		}
		buf_release(&path);
		buf_release(&body);
		collector_set_free(set);
	}
	if (code == EX_OK && reply.result != KUBE_OK)
		code = complain(
		    EX_UNAVAILABLE, "cannot change CollectorSet '%s': %s", rollout->name, reply.message);
	session_reply_release(&reply);
	return code;
}

static void add_json(struct buf *out, const char *text)
{
	buf_add_json(out, text, strlen(text));
}

static bool make_restart(const struct rollout *rollout, const struct collector_set *set, struct buf *body)
{
	buf_add_text(body, "{\"metadata\":{\"resourceVersion\":");
	add_json(body, set->meta.resource_version);
	buf_add_text(body, "},\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"" RESTARTED_KEY "\":");
	add_json(body, rollout->now);
	buf_add_text(body, "}}}}}");
	return true;
}

static int run_restart(struct rollout *rollout)
{
	kube_time_format(rollout->now, clock_wall_ns() / 1000000);
	return change(rollout, "application/merge-patch+json", make_restart, "restarted");
}

static bool has_template_of(const struct collector_set *set, const struct revision *revision)
{
	struct buf data;
	bool is_same;

	if (set->pod_template == NULL)
		return false;
	buf_init(&data, BODY_BYTES);
	pod_template_data(set->pod_template, &data);
	is_same = data.len == revision->data_len && memcmp(data.data, revision->data, data.len) == 0;
	buf_release(&data);
	return is_same;
}

/* The newest one that is not what the set has now. */
static const struct revision *find_previous(const struct past *past)
{
	for (size_t i = past->count; i > 0; i--)
		if (!has_template_of(past->set, past->revisions[i - 1]))
			return past->revisions[i - 1];
	return NULL;
}

/* A merge patch would keep what only the new template has: the old one replaces it whole. */
static bool make_undo(const struct rollout *rollout, const struct collector_set *set, struct buf *body)
{
	const struct revision *revision = rollout->target;
	cJSON *template = template_of(revision);
	char *text;

	if (has_template_of(set, revision)) {
		printf("%s/%s skipped rollback (current template already matches revision %" PRId64 ")\n",
		    SET_RESOURCE, rollout->name, revision->number);
		cJSON_Delete(template);
		return false;
	}
	text = cJSON_PrintUnformatted(template);
	must(text != NULL);
	buf_add_text(body, "[{\"op\":\"replace\",\"path\":\"/metadata/resourceVersion\",\"value\":");
	add_json(body, set->meta.resource_version);
	buf_printf(body, "},{\"op\":\"replace\",\"path\":\"/spec/template\",\"value\":%s}]", text);
	cJSON_free(text);
	cJSON_Delete(template);
	return true;
}

static int undo_to(struct rollout *rollout, const struct revision *revision)
{
	cJSON *template = template_of(revision);
	bool has_template = template != NULL;

	cJSON_Delete(template);
	if (!has_template)
		return complain(EX_DATAERR, "revision %" PRId64 " has no template", revision->number);
	rollout->target = revision;
	return change(rollout, "application/json-patch+json", make_undo, "rolled back");
}

static int run_undo(struct rollout *rollout)
{
	const struct revision *revision;
	struct collector_set *set;
	struct past past;
	int code = get_set(rollout, &set);

	if (code != EX_OK)
		return code;
	code = get_past(rollout, set, &past);
	revision = rollout->number != 0 ? find_number(&past, rollout->number) : find_previous(&past);
	if (code == EX_OK && revision == NULL && rollout->number != 0)
		code = complain(
		    EX_NOINPUT, "unable to find revision %" PRId64 " in the history", rollout->number);
	else if (code == EX_OK && revision == NULL)
		code = complain(EXIT_FAILURE, "there is no revision to roll back to");
	else if (code == EX_OK)
		code = undo_to(rollout, revision);
	past_release(&past);
	collector_set_free(set);
	return code;
}

/* ---- the command line
 * --------------------------------------------------------------------------------------------- */

static bool read_number(const char *text, int64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	return errno == 0 && *text != '\0' && *end == '\0' && *ret_number > 0;
}

/* "cset/NAME" -> "NAME". */
static const char *bare_name(const char *name)
{
	static const char *const kinds[] = {"cset/", "collectorset/", "collectorsets/",
	    "collectorset.drave.dev/", "collectorsets.drave.dev/"};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strncmp(name, kinds[i], strlen(kinds[i])) == 0)
			return name + strlen(kinds[i]);
	return name;
}

/* Returns -1 to go on, else the exit code. */
static int take_option(struct rollout *rollout, int option)
{
	const char *complaint;

	switch (option) {
	case 'n': rollout->namespace_name = optarg; return -1;
	case OPT_KUBECONFIG: rollout->kubeconfig = optarg; return -1;
	case OPT_CONTEXT: rollout->context_name = optarg; return -1;
	case 'w': rollout->watches = optarg == NULL || strcmp(optarg, "false") != 0; return -1;
	case OPT_TIMEOUT:
		if (units_parse_duration(optarg, &rollout->timeout_ms, &complaint))
			return -1;
		return complain(EX_USAGE, "--timeout '%s' %s", optarg, complaint);
	case OPT_REVISION:
	case OPT_TO_REVISION:
		return read_number(optarg, &rollout->number)
			   ? -1
			   : complain(EX_USAGE, "'%s' is no number of a revision", optarg);
	case 'h': fputs(usage_text, stdout); return EX_OK;
	default: fputs("Try drave-controller rollout --help.\n", stderr); return EX_USAGE;
	}
}

/* words: the program's name first, for getopt's complaints. */
static int parse(struct rollout *rollout, int count, char **words)
{
	int option, code = -1;

	optind = 0; /* begins anew: the words before were read already */
	while (code == -1 && (option = getopt_long(count, words, "n:wh", long_options, NULL)) != -1)
		code = take_option(rollout, option);
	if (code != -1)
		return code;
	if (count - optind != 2 || bare_name(words[optind + 1])[0] == '\0') {
		fputs("drave-controller: rollout takes a verb and the name of a set\nTry drave-controller "
		      "rollout --help.\n",
		    stderr);
		return EX_USAGE;
	}
	rollout->action = words[optind];
	rollout->name = bare_name(words[optind + 1]);
	return -1;
}

int rollout_command_run(const struct controller_conf *conf, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct rollout *rollout);
	} actions[] = {
	    {"status", run_status}, {"history", run_history}, {"undo", run_undo}, {"restart", run_restart}};
	struct rollout rollout = {.kubeconfig = conf->kubeconfig, .watches = true};
	char name[] = "drave-controller rollout", **words = xcalloc((size_t)argc + 2, sizeof words[0]);
	int (*run)(struct rollout * rollout) = NULL;
	struct err err = {0};
	int code;

	words[0] = name;
	memcpy(words + 1, argv, (size_t)argc * sizeof argv[0]);
	code = parse(&rollout, argc + 1, words);
	for (size_t i = 0; code == -1 && i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(rollout.action, actions[i].name) == 0)
			run = actions[i].run;
	if (code == -1 && run == NULL)
		code = complain(EX_USAGE, "rollout has no verb '%s', but status, history, undo and restart",
		    rollout.action);
	if (code == -1 && session_open(&rollout.session, rollout.kubeconfig, rollout.context_name, &err) != 0)
		code = complain(EX_UNAVAILABLE, "%s", err.text);
	if (code == -1) {
		if (rollout.namespace_name == NULL)
			rollout.namespace_name = session_namespace(rollout.session);
		code = run(&rollout);
	}
	session_close(rollout.session);
	free(words);
	return code;
}
