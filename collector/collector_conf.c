/* Configuration of the collector.  The rows of [collector], [input:pods], [kubernetes] and of what all outputs share stand here; each output's own rows
 * stand with the output.  What takes two keys to see is checked here too.
 *
 * Stands between conf/ and the stages, which get plain structs.  Owns the bound structs.  Refuses half a configuration: with one error there is none. */
#include "config.h"
#include "collector/collector_conf.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/match.h"
#include "collector/pack.h"
#include "common/admin.h"
#include "common/must.h"
#include "outputs/template.h"

#define COLLECTOR(field)  offsetof(struct collector_options, field)
#define INPUT(field)      offsetof(struct input_options, field)
#define KUBERNETES(field) offsetof(struct kubernetes_options, field)
#define OUTPUT(field)     offsetof(struct output_options, field)
#define LOADS_MAX         4

#define NODE_NAME_BYTES 253

static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_format_words[] = {"text", "json", NULL};
static const char *const reload_words[] = {"auto", "signal", NULL};
static const char *const read_from_words[] = {"head", "tail", NULL};
static const char *const hold_words[] = {"descriptor", "link", NULL};
static const char *const source_words[] = {"none", "kubelet", "api", "auto", NULL};
static const char *const on_reject_words[] = {"dead_letter", "drop", NULL};

static const struct bind_row collector_rows[] = {
	{.key = "node_name", .kind = BIND_TEXT, .offset = COLLECTOR(node_name),
		.help = "The node's name in every record.  Default: the variable NODE_NAME, else the host's name."},
	{.key = "state_dir", .kind = BIND_TEXT, .offset = COLLECTOR(state_dir), .fallback = "/var/lib/drave",
		.help = "Directory of the checkpoints, the lock and the dead letters; on a local file system, for this collector alone."},
	{.key = "listen", .kind = BIND_TEXT, .offset = COLLECTOR(listen), .fallback = "127.0.0.1:9818", .check = admin_check_listen,
		.help = "Address and port of /metrics, /livez, /readyz, /status and /streams.  Port 0 takes a free one and tells it in the log."},
	{.key = "log_level", .kind = BIND_WORD, .offset = COLLECTOR(log_level), .words = level_words, .fallback = "info",
		.help = "How much the collector says about itself on standard error."},
	{.key = "log_format", .kind = BIND_WORD, .offset = COLLECTOR(log_format), .words = log_format_words, .fallback = "text",
		.help = "Lines of key=value, or one JSON object a line."},
	{.key = "shutdown_timeout", .kind = BIND_DURATION, .offset = COLLECTOR(shutdown_timeout_ms), .fallback = "30s", .max = 3600000,
		.help = "How long a stop, or the change of an output by a reload, waits for acknowledgements."},
	{.key = "memory_limit", .kind = BIND_SIZE, .offset = COLLECTOR(memory_limit), .fallback = "32MiB", .min = 1 << 16,
		.max = UINT64_C(1) << 40,
		.help = "Bytes of open, packing and in-flight batches of all outputs together, in equal fixed shares."},
	{.key = "reload", .kind = BIND_WORD, .offset = COLLECTOR(reload), .words = reload_words, .fallback = "auto",
		.help = "When the configuration is read again. auto: when its files have changed (this one, included ones, those that *_file keys name), and by HUP. "
			"signal: by HUP alone.  With one error in it, the old one stays."},
	{.key = NULL},
};

static const struct bind_row input_rows[] = {
	{.key = "path", .kind = BIND_TEXT, .offset = INPUT(path), .fallback = "/var/log/pods",
		.help = "Root of the container log files, as the kubelet lays them out."},
	{.key = "docker_root", .kind = BIND_TEXT, .offset = INPUT(docker_root), .fallback = "/var/lib/docker/containers",
		.help = "Where links from the log root may lead (docker's json-file logs).  No other link is followed."},
	{.key = "read_from", .kind = BIND_WORD, .offset = INPUT(read_from), .words = read_from_words, .fallback = "head",
		.help = "Where an output that has no checkpoint yet begins in the files that are already there.  Later files are read from their head."},
	{.key = "include_namespaces", .kind = BIND_LIST, .offset = INPUT(include_namespaces), .check = match_check_name, .help = "Globs; none = all."},
	{.key = "exclude_namespaces", .kind = BIND_LIST, .offset = INPUT(exclude_namespaces), .check = match_check_name, .help = "Globs; they win over include_namespaces."},
	{.key = "include_pods", .kind = BIND_LIST, .offset = INPUT(include_pods), .check = match_check_name, .help = "Globs; none = all."},
	{.key = "exclude_pods", .kind = BIND_LIST, .offset = INPUT(exclude_pods), .check = match_check_name, .help = "Globs; they win over include_pods."},
	{.key = "include_containers", .kind = BIND_LIST, .offset = INPUT(include_containers), .check = match_check_name, .help = "Globs; none = all."},
	{.key = "exclude_containers", .kind = BIND_LIST, .offset = INPUT(exclude_containers), .check = match_check_name, .help = "Globs; they win over include_containers."},
	{.key = "max_record", .kind = BIND_SIZE, .offset = INPUT(max_record), .fallback = "900KiB", .min = 1024, .max = 16 << 20,
		.help = "Longest text of a record, joined from its pieces.  What is longer is cut, marked \"truncated\" and counted."},
	{.key = "partial_timeout", .kind = BIND_DURATION, .offset = INPUT(partial_timeout_ms), .fallback = "10s", .min = 100, .max = 3600000,
		.help = "A record whose last piece does not come for so long is delivered as it is, marked \"partial\"."},
	{.key = "multiline", .kind = BIND_TEXT, .offset = INPUT(hold), .later = "*", .help = "Joining of stack traces."},
	{.key = "hold", .kind = BIND_WORD, .offset = INPUT(hold), .words = hold_words, .fallback = "descriptor", .later = "link",
		.help = "How bytes are kept that are rotated away before they were acknowledged: by the open descriptor."},
	{.key = "hold_limit", .kind = BIND_SIZE, .offset = INPUT(hold_limit), .fallback = "1GiB", .max = UINT64_C(1) << 50,
		.help = "Bytes of deleted files that are held open until they are acknowledged.  Beyond it the oldest is given up and counted as lost."},
	{.key = "rescan_interval", .kind = BIND_DURATION, .offset = INPUT(rescan_interval_ms), .fallback = "2s", .min = 50, .max = 60000,
		.help = "How often files and directories are looked at without any hint from inotify."},
	{.key = "rate_limit_per_container", .kind = BIND_SIZE, .offset = INPUT(hold_limit), .later = "*", .help = "Bytes a second."},
	{.key = NULL},
};

static const char *check_kubelet_url(const char *url)
{
	const char *host = strncmp(url, "https://", 8) == 0 ? url + 8 : strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;

	if (host == NULL)
		return "the kubelet's address begins with https:// (or http://)";
	return *host == '\0' || strpbrk(host, "/?#@ ") != NULL ? "the kubelet's address is https://HOST:PORT and nothing behind it" : NULL;
}

static const struct bind_row kubernetes_rows[] = {
	{.key = "metadata_source", .kind = BIND_WORD, .offset = KUBERNETES(metadata_source), .words = source_words, .fallback = "auto",
		.help = "Where labels and the like come from.  none: namespace, pod, uid and container from the file's path, which need no rights.  "
			"kubelet: the node's own, which needs a right on nodes/pods.  api: the API server, which needs rights to list and watch pods (and "
			"namespaces and nodes for their labels).  "
			"auto: the kubelet if it answers, else the API server, and that one alone where records carry labels of namespaces or nodes; outside of a "
			"cluster, none."},
	{.key = "metadata", .kind = BIND_LIST, .offset = KUBERNETES(metadata), .fallback = "labels, annotations, owner, image, container_id",
		.check = metadata_choice_check,
		.help = "What records carry: labels, annotations, namespace_labels, node_labels, owner, image, image_id, container_id, pod_ip.  Labels may "
			"be chosen by a pattern over their names, as in labels:app*.  Labels of namespaces and nodes come from the API server alone."},
	{.key = "annotations", .kind = BIND_LIST, .offset = KUBERNETES(annotations), .check = metadata_choice_check_glob,
		.help = "Globs over the names of annotations that records carry; none by default."},
	{.key = "metadata_wait", .kind = BIND_DURATION, .offset = KUBERNETES(metadata_wait_ms), .fallback = "5s", .max = 300000,
		.help = "How long a container waits for its metadata before it is read without.  What went without is counted."},
	{.key = "kubeconfig", .kind = BIND_FILE, .offset = KUBERNETES(kubeconfig),
		.help = "Who we are for the API server and the kubelet.  Default: the pod's service account."},
	{.key = "kubelet_url", .kind = BIND_TEXT, .offset = KUBERNETES(kubelet_url), .check = check_kubelet_url,
		.help = "Address of the kubelet.  Default: https://ADDRESS:10250, with the variable NODE_IP, else 127.0.0.1.  Credentials are sent over "
			"https alone."},
	{.key = "kubelet_ca_file", .kind = BIND_FILE, .offset = KUBERNETES(kubelet_ca_file),
		.help = "Authority of the kubelet's certificate.  Default: the cluster's.  For a self-signed one, the certificate itself "
			"(/var/lib/kubelet/pki/kubelet.crt on the node)."},
	{.key = "kubelet_server_name", .kind = BIND_TEXT, .offset = KUBERNETES(kubelet_server_name),
		.help = "Name that the kubelet's certificate must carry.  Default: node_name, or where kubelet_url is given, its host.  A self-signed "
			"certificate carries only the node's name."},
	{.key = "kubelet_insecure", .kind = BIND_BOOL, .offset = KUBERNETES(kubelet_insecure), .fallback = "off",
		.help = "on: any certificate is taken for the kubelet's, which gives our credentials to whoever answers.  Warned about at each start."},
	{.key = NULL},
};

static const struct bind_row output_rows[] = {
	{.key = "type", .kind = BIND_WORD, .offset = OUTPUT(type), .words = output_words, .required = true, .help = "What kind of output it is."},
	{.key = "match", .kind = BIND_LIST, .offset = OUTPUT(match), .fallback = "*", .check = match_check,
		.help = "Globs over namespace/pod/container, several by comma; missing parts match all, ! excludes."},
	{.key = "metadata_schema", .kind = BIND_WORD, .offset = OUTPUT(metadata_schema), .words = metadata_schema_words,
		.fallback = "fluentbit",
		.help = "Names of the fields in a record: those of Fluent Bit, of Vector, of the Elastic Common Schema or of OpenTelemetry."},
	{.key = "record_id", .kind = BIND_BOOL, .offset = OUTPUT(record_id), .fallback = "off",
		.help = "Adds \"id\", the same on every re-send, so that a consumer can drop duplicates exactly."},
	{.key = "message_key", .kind = BIND_TEXT, .offset = OUTPUT(type), .later = "*", .help = "Name of the text's field."},
	{.key = "batch_size", .kind = BIND_SIZE, .offset = OUTPUT(batch_size), .fallback = "1MiB", .min = 4096, .max = 64 << 20,
		.help = "A batch is sent when it has so many bytes, encoded and before compression; a longer record travels alone."},
	{.key = "batch_age", .kind = BIND_DURATION, .offset = OUTPUT(batch_age_ms), .fallback = "1s", .min = 1, .max = 86400000,
		.help = "... or when its first record is so old ..."},
	{.key = "batch_records", .kind = BIND_COUNT, .offset = OUTPUT(batch_records), .fallback = "10000", .min = 1, .max = 1000000,
		.help = "... or when it has so many records."},
	{.key = "lanes", .kind = BIND_COUNT, .offset = OUTPUT(lanes), .fallback = "2", .min = 1, .max = 64,
		.help = "Batches of one destination that may be under way at once.  A container always uses the same lane, so its order holds."},
	{.key = "compression", .kind = BIND_WORD, .offset = OUTPUT(compression), .words = pack_words, .fallback = "zstd",
		.help = "Codec of what is sent."},
	{.key = "compression_level", .kind = BIND_COUNT, .offset = OUTPUT(compression_level), .fallback = "1", .min = 1, .max = 19,
		.help = "Level of the codec: 1 to 19 for zstd, 1 to 9 for gzip."},
	{.key = "on_reject", .kind = BIND_WORD, .offset = OUTPUT(on_reject), .words = on_reject_words, .fallback = "dead_letter",
		.help = "What becomes of a record that is refused although it was sent alone: kept in state_dir/dead_letter/NAME.ndjson, or dropped; counted both ways."},
	{.key = "dead_letter_limit", .kind = BIND_SIZE, .offset = OUTPUT(dead_letter_limit), .fallback = "100MiB", .max = UINT64_C(1) << 50,
		.help = "Size of that file; when it is reached, the next refused record holds its lane."},
	{.key = NULL},
};

/* ---- loading ------------------------------------------------------------------------------------------------------ */

static const char *after_prefix(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 ? name + len : NULL;
}

static bool is_output_name(const char *name)
{
	return name[0] != '\0' && strlen(name) <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(name);
}

static const char *setting(const struct ini_section *section, const char *key)
{
	const char *value = NULL;

	for (const struct ini_setting *each = section->settings; each != NULL; each = each->next)
		if (strcmp(each->key, key) == 0)
			value = each->value;
	return value;
}

/* The output's type decides which rows its section has, so it is looked up before binding. */
static const struct output_ops *type_of(const struct ini_section *section)
{
	const char *type = setting(section, "type");

	for (int i = 0; type != NULL && output_words[i] != NULL; i++)
		if (strcmp(type, output_words[i]) == 0)
			return output_by_index(i);
	return NULL;
}

static void complain_of_type(const struct ini_section *section, struct ini_complaints *complaints)
{
	const char *type = setting(section, "type"), *near;
	size_t count = 0;

	if (type == NULL) {
		ini_error(complaints, section->place, "key 'type' is missing in [%s]", section->name);
		return;
	}
	while (output_words[count] != NULL)
		count++;
	near = bind_nearest(type, output_words, count);
	ini_error(complaints, bind_place(section, "type"), "unknown type '%s'%s%s%s", type, near != NULL ? ", did you mean '" : "",
		near != NULL ? near : "", near != NULL ? "'?" : "");
}

static void load_output(struct collector_conf *conf, const struct ini_section *section, const char *name, struct ini_complaints *complaints)
{
	struct output_conf *output = x_new(output), **end = &conf->outputs;
	struct bind_target targets[2] = {{output_rows, &output->common}};
	size_t target_count = 1;

	output->name = xstrdup(name);
	output->ops = type_of(section);
	if (!is_output_name(name))
		ini_error(complaints, section->place, "output name '%s' must be 1 to 63 of a-z 0-9 - _", name);
	if (output->ops != NULL && output->ops->rows != NULL) {
		output->options = xcalloc(1, output->ops->options_size);
		targets[target_count++] = (struct bind_target){output->ops->rows, output->options};
	}
	while (*end != NULL)
		end = &(*end)->next;
	*end = output;
	conf->output_count++;
	if (output->ops == NULL) { /* its own keys are unknown: complain of the type alone */
		complain_of_type(section, complaints);
		return;
	}
	bind_section(section, section->name, targets, target_count, complaints);
	if (output->ops->check != NULL)
		output->ops->check(output->options, section, section->name, complaints);
	if (output->common.compression == PACK_GZIP && output->common.compression_level > 9)
		ini_error(complaints, bind_place(section, "compression_level"), "compression_level of gzip is 1 to 9");
}

static void check_memory(struct collector_conf *conf, const struct ini *ini, struct ini_complaints *complaints)
{
	for (struct output_conf *output = conf->outputs; output != NULL; output = output->next) {
		uint64_t least = 3 * output->common.lanes * output->common.batch_size;
		struct ini_place place = {"(defaults)", 0};

		output->memory_share = conf->collector.memory_limit / conf->output_count;
		for (const struct ini_section *section = ini->sections; section != NULL; section = section->next)
			if (after_prefix(section->name, "output:") != NULL && strcmp(after_prefix(section->name, "output:"), output->name) == 0)
				place = section->place;
		if (output->memory_share < least)
			ini_error(complaints, place,
				"memory_limit is too small: its share for output '%s' is %llu bytes, 3 x lanes x batch_size = %llu are needed",
				output->name, (unsigned long long)output->memory_share, (unsigned long long)least);
	}
}

static void default_node_name(struct collector_options *options)
{
	const char *variable = getenv("NODE_NAME");
	char host[256] = "localhost";

	if (options->node_name != NULL)
		return;
	if (variable == NULL || variable[0] == '\0')
		(void)gethostname(host, sizeof host - 1); /* a cut name is still a name */
	options->node_name = xstrdup(variable != NULL && variable[0] != '\0' ? variable : host);
}

static const struct ini_section *find_section(const struct ini *ini, const char *name)
{
	for (const struct ini_section *section = ini->sections; section != NULL; section = section->next)
		if (strcmp(section->name, name) == 0)
			return section;
	return NULL;
}

static void check_section_name(const struct ini_section *section, struct ini_complaints *complaints)
{
	static const char *const known[] = {"collector", "input:pods", "kubernetes"};
	static const char *const later[] = {"parser:", "filter:", "input:"};
	static const char *const kinds[] = {"collector", "input", "kubernetes", "output", "parser", "filter"};
	char *kind = xstrndup(section->name, strcspn(section->name, ":"));
	const char *near = bind_nearest(kind, kinds, sizeof kinds / sizeof kinds[0]);

	free(kind);
	for (size_t i = 0; i < 3; i++)
		if (strcmp(section->name, known[i]) == 0)
			return;
	for (size_t i = 0; i < 3; i++) {
		if (after_prefix(section->name, later[i]) != NULL) {
			ini_error(complaints, section->place, "section [%s] is not in this version", section->name);
			return;
		}
	}
	ini_error(complaints, section->place, "unknown section [%s]%s%s%s", section->name, near != NULL ? ", did you mean '" : "",
		near != NULL ? near : "", near != NULL ? "'?" : "");
}

static void bind_one(const struct ini *ini, const char *name, const struct bind_row *rows, void *into, struct ini_complaints *complaints)
{
	struct bind_target target = {rows, into};

	bind_section(find_section(ini, name), name, &target, 1, complaints);
}

/* What no other answer of the world could mend. */
static void check_kubernetes(const struct kubernetes_options *options, const struct ini *ini, struct ini_complaints *complaints)
{
	const struct ini_section *section = find_section(ini, "kubernetes");
	const struct metadata_choice choice = {.words = &options->metadata, .annotations = &options->annotations};
	const char *host = getenv("KUBERNETES_SERVICE_HOST");

	if (options->metadata_source == METADATA_SOURCE_API && options->kubeconfig == NULL && (host == NULL || host[0] == '\0'))
		ini_error(complaints, bind_place(section, "metadata_source"),
			"metadata_source = api needs a kubeconfig outside of a cluster (KUBERNETES_SERVICE_HOST is not set)");
	if (options->metadata_source == METADATA_SOURCE_KUBELET &&
	    (metadata_choice_has(&choice, METADATA_NAMESPACE_LABELS) || metadata_choice_has(&choice, METADATA_NODE_LABELS)))
		ini_error(complaints, bind_place(section, "metadata"),
			"a kubelet does not know labels of namespaces and nodes: metadata_source = api does");
}

/* The names of nodes are not longer, and records, keys and URLs count on it. */
static void check_node_name(const struct collector_options *options, const struct ini *ini, struct ini_complaints *complaints)
{
	const struct ini_section *section = find_section(ini, "collector");

	if (strlen(options->node_name) > NODE_NAME_BYTES)
		ini_error(complaints, section != NULL ? bind_place(section, "node_name") : (struct ini_place){"(defaults)", 0},
			"node_name is longer than %d bytes", NODE_NAME_BYTES);
}

/* A template that nothing will ever fill is a slip; one that says what stands then gets a warning. */
static void check_template(const struct ini_setting *template, bool has_fallback, struct ini_complaints *complaints)
{
	struct template *compiled;

	if (template->value == NULL || template_check(template->value) != NULL)
		return;
	compiled = template_new(template->value, TEMPLATE_PLAIN);
	has_fallback = has_fallback || !template_can_fail(compiled);
	if (template_needs_metadata(compiled) && has_fallback)
		ini_warning(complaints, template->place, "'%s' names labels or annotations, which metadata_source = none never knows", template->key);
	else if (template_needs_metadata(compiled))
		ini_error(complaints, template->place,
			"'%s' names labels or annotations, which metadata_source = none never knows; {label:NAME:-TEXT} says what stands for them",
			template->key);
	template_free(compiled);
}

static void check_templates(const struct ini *ini, struct ini_complaints *complaints)
{
	for (const struct ini_section *section = ini->sections; section != NULL; section = section->next) {
		bool has_topic = setting(section, "fallback_topic") != NULL;

		if (after_prefix(section->name, "output:") == NULL)
			continue;
		for (const struct ini_setting *each = section->settings; each != NULL; each = each->next)
			check_template(each, has_topic && strcmp(each->key, "topic") == 0, complaints);
	}
}

static struct collector_conf *load(struct ini *ini, const char *name, const char *const *overrides, struct ini_complaints *complaints)
{
	struct collector_conf *conf = x_new(conf);

	conf->ref_count = 1;
	for (size_t i = 0; overrides != NULL && overrides[i] != NULL; i++)
		ini_override(ini, overrides[i], complaints);
	bind_one(ini, "collector", collector_rows, &conf->collector, complaints);
	bind_one(ini, "input:pods", input_rows, &conf->input, complaints);
	bind_one(ini, "kubernetes", kubernetes_rows, &conf->kubernetes, complaints);
	check_kubernetes(&conf->kubernetes, ini, complaints);
	default_node_name(&conf->collector);
	check_node_name(&conf->collector, ini, complaints);
	if (conf->kubernetes.metadata_source == METADATA_SOURCE_NONE)
		check_templates(ini, complaints);
	for (const struct ini_section *section = ini->sections; section != NULL; section = section->next) {
		const char *output = after_prefix(section->name, "output:");

		if (output != NULL)
			load_output(conf, section, output, complaints);
		else
			check_section_name(section, complaints);
	}
	if (conf->output_count == 0)
		ini_error(complaints, (struct ini_place){name, 0}, "there is no [output:NAME] section");
	else if (complaints->error_count == 0)
		check_memory(conf, ini, complaints);
	ini_release(ini);
	if (complaints->error_count == 0)
		return conf;
	collector_conf_unref(conf);
	return NULL;
}

/* The stamp has to be taken before the files are read, and it is known only then which ones that are: so they are read until these stay the same. */
struct collector_conf *collector_conf_load(
	const char *path, const char *const *overrides, struct ini_complaints *complaints, struct sources *sources)
{
	struct collector_conf *conf = NULL;
	bool is_settled = false;

	sources_add(sources, path);
	for (int i = 0; i < LOADS_MAX && !is_settled; i++) {
		struct sources found = {.count = 0};
		struct ini ini = {0};

		collector_conf_unref(conf);
		ini_complaints_clear(complaints);
		found.stamp = sources_stamp(sources);
		ini_read_file(&ini, path, getenv, complaints);
		sources_add_ini(&found, &ini);
		conf = load(&ini, path, overrides, complaints);
		is_settled = sources_equal(sources, &found);
		sources_release(sources);
		*sources = found;
	}
	return conf;
}

struct collector_conf *collector_conf_load_text(
	const char *name, const char *text, const char *const *overrides, struct ini_complaints *complaints)
{
	struct ini ini = {0};

	ini_read_text(&ini, name, text, strlen(text), getenv, complaints);
	return load(&ini, name, overrides, complaints);
}

static void free_outputs(struct collector_conf *conf)
{
	while (conf->outputs != NULL) {
		struct output_conf *output = conf->outputs;

		conf->outputs = output->next;
		bind_release(output_rows, &output->common);
		if (output->options != NULL)
			bind_release(output->ops->rows, output->options);
		free(output->options);
		free(output->name);
		free(output);
	}
	conf->output_count = 0;
}

struct collector_conf *collector_conf_ref(struct collector_conf *conf)
{
	conf->ref_count++;
	return conf;
}

void collector_conf_unref(struct collector_conf *conf)
{
	if (conf == NULL || --conf->ref_count != 0)
		return;
	free_outputs(conf);
	bind_release(collector_rows, &conf->collector);
	bind_release(input_rows, &conf->input);
	bind_release(kubernetes_rows, &conf->kubernetes);
	free(conf);
}

void collector_conf_make_dry(struct collector_conf *conf)
{
	static const char text[] = "[output:dry-run]\ntype = stdout\n";
	int schema = conf->outputs != NULL ? conf->outputs->common.metadata_schema : 0;
	struct ini ini = {0};
	struct ini_complaints complaints;

	ini_complaints_init(&complaints);
	free_outputs(conf);
	ini_read_text(&ini, "dry-run", text, strlen(text), getenv, &complaints);
	load_output(conf, ini.sections, "dry-run", &complaints);
	conf->outputs->memory_share = conf->collector.memory_limit;
	conf->outputs->common.metadata_schema = schema;
	must(complaints.error_count == 0);
	ini_release(&ini);
	ini_complaints_release(&complaints);
}

/* ---- comparing ---------------------------------------------------------------------------------------------------- */

const char *collector_conf_fixed_difference(const struct collector_conf *a, const struct collector_conf *b)
{
	if (strcmp(a->collector.state_dir, b->collector.state_dir) != 0)
		return "state_dir";
	if (strcmp(a->collector.node_name, b->collector.node_name) != 0)
		return "node_name";
	if (strcmp(a->collector.listen, b->collector.listen) != 0)
		return "listen";
	if (strcmp(a->input.path, b->input.path) != 0)
		return "path";
	if (strcmp(a->input.docker_root, b->input.docker_root) != 0)
		return "docker_root";
	return NULL;
}

bool collector_conf_same_kubernetes(const struct collector_conf *a, const struct collector_conf *b)
{
	return bind_equal(kubernetes_rows, &a->kubernetes, &b->kubernetes);
}

static void choose_template(void *arg, const char *text)
{
	metadata_choice_add_template(arg, text);
}

void collector_conf_choose(const struct collector_conf *conf, struct metadata_choice *ret_choice)
{
	*ret_choice = (struct metadata_choice){.words = &conf->kubernetes.metadata, .annotations = &conf->kubernetes.annotations};
	for (const struct output_conf *output = conf->outputs; output != NULL; output = output->next)
		if (output->options != NULL)
			bind_each_text(output->ops->rows, output->options, choose_template, ret_choice);
}

/* Where the source is asked, and how long it is waited for, changes nothing in what a record says. */
static bool same_metadata(const struct kubernetes_options *a, const struct kubernetes_options *b)
{
	static const char *const encoded[] = {"metadata_source", "metadata", "annotations"};
	struct bind_row rows[sizeof encoded / sizeof encoded[0] + 1] = {{.key = NULL}};
	size_t count = 0;

	for (const struct bind_row *row = kubernetes_rows; row->key != NULL; row++)
		for (size_t i = 0; i < sizeof encoded / sizeof encoded[0]; i++)
			if (strcmp(row->key, encoded[i]) == 0)
				rows[count++] = *row;
	must(count == sizeof encoded / sizeof encoded[0]);
	return bind_equal(rows, a, b);
}

bool collector_conf_same_output(const struct collector_conf *a, const struct output_conf *output_a, const struct collector_conf *b,
	const struct output_conf *output_b)
{
	return bind_equal(input_rows, &a->input, &b->input) && same_metadata(&a->kubernetes, &b->kubernetes) && output_a->ops == output_b->ops &&
	       output_a->memory_share == output_b->memory_share &&
	       bind_equal(output_rows, &output_a->common, &output_b->common) &&
	       (output_a->options == NULL || bind_equal(output_a->ops->rows, output_a->options, output_b->options));
}

struct output_conf *collector_conf_output(const struct collector_conf *conf, const char *name)
{
	struct output_conf *output = conf->outputs;

	while (output != NULL && strcmp(output->name, name) != 0)
		output = output->next;
	return output;
}

/* ---- printing ----------------------------------------------------------------------------------------------------- */

void collector_conf_print(const struct collector_conf *conf, struct buf *out)
{
	buf_add_text(out, "[collector]\n");
	bind_print(collector_rows, &conf->collector, out);
	buf_add_text(out, "\n[input:pods]\n");
	bind_print(input_rows, &conf->input, out);
	buf_add_text(out, "\n[kubernetes]\n");
	bind_print(kubernetes_rows, &conf->kubernetes, out);
	for (const struct output_conf *output = conf->outputs; output != NULL; output = output->next) {
		buf_printf(out, "\n[output:%s]\n", output->name);
		bind_print(output_rows, &output->common, out);
		if (output->options != NULL)
			bind_print(output->ops->rows, output->options, out);
	}
}

void collector_conf_print_sample(struct buf *out)
{
	buf_add_text(out, "; Every option of drave-collector, commented out at its default.  See drave-collector.ini(5).\n"
			  "; The smallest useful configuration is one [output:NAME] section with type and address.\n\n[collector]\n");
	bind_print_sample(collector_rows, out);
	buf_add_text(out, "; include = conf.d/*.ini\n;   Further files, relative to this one.\n\n[input:pods]\n");
	bind_print_sample(input_rows, out);
	buf_add_text(out, "\n[kubernetes]\n");
	bind_print_sample(kubernetes_rows, out);
	buf_add_text(out, "\n; ---- what every [output:NAME] has ----\n;[output:main]\n");
	bind_print_sample(output_rows, out);
	for (int i = 0; output_words[i] != NULL; i++) {
		const struct output_ops *ops = output_by_index(i);

		if (ops->rows == NULL)
			continue;
		buf_printf(out, "\n; ---- type = %s ----\n", ops->name);
		bind_print_sample(ops->rows, out);
	}
}

static void print_man_section(const char *title, const struct bind_row *rows, struct buf *out)
{
	buf_printf(out, ".Ss %s\n.Bl -tag -width Ds\n", title);
	bind_print_man(rows, out);
	buf_add_text(out, ".El\n");
}

void collector_conf_print_man(struct buf *out)
{
	print_man_section("[collector]", collector_rows, out);
	print_man_section("[input:pods]", input_rows, out);
	print_man_section("[kubernetes]", kubernetes_rows, out);
	print_man_section("[output:NAME], all types", output_rows, out);
	for (int i = 0; output_words[i] != NULL; i++) {
		const struct output_ops *ops = output_by_index(i);
		char title[64];

		if (ops->rows == NULL)
			continue;
		snprintf(title, sizeof title, "[output:NAME], type = %s", ops->name);
		print_man_section(title, ops->rows, out);
	}
}
