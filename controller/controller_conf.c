/* Configuration of the controller: the rows of [controller], and what takes two keys to see.
 *
 * Stands between conf/ and the controller, which gets a plain struct.  Owns what it bound.  Refuses half a
 * configuration: with one error there is none.  All but the file may be left out: a pod in the cluster needs
 * no file at all. */
#include "config.h"
#include "controller/controller_conf.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/admin.h"
#include "common/must.h"
#include "controller/lease.h"

#define CONTROLLER(field) offsetof(struct controller_conf, field)
#define LABEL_BYTES       63
#define NAME_BYTES        253

static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const format_words[] = {"text", "json", NULL};

static bool is_name(const char *text, size_t limit, const char *letters)
{
	size_t len = strlen(text);

	return len > 0 && len <= limit && strspn(text, letters) == len && strchr("-.", text[0]) == NULL &&
	       strchr("-.", text[len - 1]) == NULL;
}

static const char *check_namespace(const char *text)
{
	return is_name(text, LABEL_BYTES, "abcdefghijklmnopqrstuvwxyz0123456789-")
		   ? NULL
		   : "is no name of a namespace";
}

static const char *check_served(const char *text)
{
	return strcmp(text, "*") == 0 || check_namespace(text) == NULL
		   ? NULL
		   : "is neither the name of a namespace nor *";
}

static const char *check_lease_name(const char *text)
{
	return is_name(text, NAME_BYTES, "abcdefghijklmnopqrstuvwxyz0123456789-.")
		   ? NULL
		   : "is no name of an object";
}

static const struct bind_row rows[] = {
    {.key = "kubeconfig",
	.kind = BIND_FILE,
	.offset = CONTROLLER(kubeconfig),
	.help = "How to reach the API server.  Default: the pod's service account, else the variable "
		"KUBECONFIG, else "
		"~/.kube/config."},
    {.key = "namespace",
	.kind = BIND_TEXT,
	.offset = CONTROLLER(namespace_name),
	.check = check_served,
	.help = "The namespace whose CollectorSets are served; * = all.  Default: its own (of the service "
		"account, or of the "
		"kubeconfig's context)."},
    {.key = "listen",
	.kind = BIND_TEXT,
	.offset = CONTROLLER(listen),
	.fallback = "127.0.0.1:9819",
	.check = admin_check_listen,
	.help = "Address and port of /metrics, /livez, /readyz and /status.  Port 0 takes a free one and "
		"tells it in the log."},
    {.key = "log_level",
	.kind = BIND_WORD,
	.offset = CONTROLLER(log_level),
	.words = level_words,
	.fallback = "info",
	.help = "How much the controller says about itself on standard error."},
    {.key = "log_format",
	.kind = BIND_WORD,
	.offset = CONTROLLER(log_format),
	.words = format_words,
	.fallback = "text",
	.help = "Lines of key=value, or one JSON object a line."},
    {.key = "leader_election",
	.kind = BIND_BOOL,
	.offset = CONTROLLER(leader_election),
	.fallback = "on",
	.help = "Act only while holding a Lease, so that several controllers may run and one of them acts.  "
		"Turn it off only "
		"where there never is a second one, not even during an update."},
    {.key = "lease_name",
	.kind = BIND_TEXT,
	.offset = CONTROLLER(lease_name),
	.fallback = "drave-controller",
	.check = check_lease_name,
	.help = "Name of the Lease."},
    {.key = "lease_namespace",
	.kind = BIND_TEXT,
	.offset = CONTROLLER(lease_namespace),
	.check = check_namespace,
	.help = "Namespace of the Lease.  Default: the controller's own."},
    {.key = "lease_duration",
	.kind = BIND_DURATION,
	.offset = CONTROLLER(lease_duration_ms),
	.fallback = "15s",
	.min = 1000,
	.max = 3600000,
	.help = "How long a lease must have been left alone before another controller takes it, in whole "
		"seconds."},
    {.key = "renew_deadline",
	.kind = BIND_DURATION,
	.offset = CONTROLLER(renew_deadline_ms),
	.fallback = "10s",
	.min = 100,
	.max = 3600000,
	.help = "A leader that could not renew its lease for so long stops.  Shorter than lease_duration."},
    {.key = "retry_period",
	.kind = BIND_DURATION,
	.offset = CONTROLLER(retry_period_ms),
	.fallback = "2s",
	.min = 10,
	.max = 3600000,
	.help = "How often the lease is renewed, or looked at.  Less than renew_deadline / 1.2."},
    {.key = NULL},
};

/* ---- loading
 * ------------------------------------------------------------------------------------------------------ */

static const struct ini_section *find_section(const struct ini *ini)
{
	const struct ini_section *section = ini->sections;

	while (section != NULL && strcmp(section->name, "controller") != 0)
		section = section->next;
	return section;
}

static void check_sections(const struct ini *ini, struct ini_complaints *complaints)
{
	static const char *const names[] = {"controller"};

	for (const struct ini_section *section = ini->sections; section != NULL; section = section->next) {
		const char *near = bind_nearest(section->name, names, 1);

		if (strcmp(section->name, "controller") != 0)
			ini_error(complaints, section->place, "unknown section [%s]%s%s%s", section->name,
			    near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
			    near != NULL ? "'?" : "");
	}
}

static void check_lease(
    const struct controller_conf *conf, const struct ini_section *section, struct ini_complaints *complaints)
{
	const char *complaint =
	    lease_check(conf->lease_duration_ms, conf->renew_deadline_ms, conf->retry_period_ms);
	static const char *const keys[] = {"lease_duration", "renew_deadline", "retry_period"};
	struct ini_place place = {"(defaults)", 0};

	if (complaint == NULL)
		return;
	if (section != NULL) { /* at the last of the three that is there */
		place = section->place;
		for (const struct ini_setting *setting = section->settings; setting != NULL;
		     setting = setting->next)
			for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
				if (strcmp(setting->key, keys[i]) == 0)
					place = setting->place;
	}
	ini_error(complaints, place, "%s", complaint);
}

struct controller_conf *controller_conf_load(
    const char *path, bool may_be_missing, const char *const *overrides, struct ini_complaints *complaints)
{
	struct controller_conf *conf = x_new(conf);
	struct bind_target target = {rows, conf};
	struct ini ini = {0};

	if (path != NULL && !(may_be_missing && access(path, F_OK) != 0))
		ini_read_file(&ini, path, getenv, complaints);
	for (size_t i = 0; overrides != NULL && overrides[i] != NULL; i++)
		ini_override(&ini, overrides[i], complaints);
	check_sections(&ini, complaints);
	bind_section(find_section(&ini), "controller", &target, 1, complaints);
	if (complaints->error_count == 0)
		check_lease(conf, find_section(&ini), complaints);
	ini_release(&ini);
	if (complaints->error_count == 0)
		return conf;
	controller_conf_free(conf);
	return NULL;
}

void controller_conf_free(struct controller_conf *conf)
{
	if (conf == NULL)
		return;
	bind_release(rows, conf);
	free(conf);
}

static bool is_reloadable(const struct bind_row *row)
{
	return row->offset == CONTROLLER(log_level) || row->offset == CONTROLLER(log_format);
}

const char *controller_conf_fixed_difference(const struct controller_conf *a, const struct controller_conf *b)
{
	for (const struct bind_row *row = rows; row->key != NULL; row++) {
		const struct bind_row one[] = {*row, {.key = NULL}};

		if (!is_reloadable(row) && !bind_equal(one, a, b))
			return row->key;
	}
	return NULL;
}

/* ---- printing
 * ----------------------------------------------------------------------------------------------------- */

void controller_conf_print(const struct controller_conf *conf, struct buf *out)
{
	buf_add_text(out, "[controller]\n");
	bind_print(rows, conf, out);
}

void controller_conf_print_sample(struct buf *out)
{
	buf_add_text(out, "; Every option of drave-controller, commented out at its default.  See "
			  "drave-controller.ini(5).\n"
			  "; In a cluster, with the rights of its service account, it needs none of "
			  "them.\n\n[controller]\n");
	bind_print_sample(rows, out);
	buf_add_text(out, "; include = conf.d/*.ini\n;   Further files, relative to this one.\n");
}

void controller_conf_print_man(struct buf *out)
{
	buf_add_text(out, ".Ss [controller]\n.Bl -tag -width Ds\n");
	bind_print_man(rows, out);
	buf_add_text(out, ".El\n");
}
