/* The collector's configuration: its option rows, and the structs that they fill.  Immutable once loaded; a reload makes a new one. */
#ifndef DRAVE_COLLECTOR_COLLECTOR_CONF_H
#define DRAVE_COLLECTOR_COLLECTOR_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/metadata_choice.h"
#include "common/buf.h"
#include "conf/bind.h"
#include "conf/ini.h"
#include "conf/sources.h"
#include "outputs/output.h"

struct collector_options { /* [collector] */
	char *node_name;
	char *state_dir;
	char *listen;
	int log_level;
	int log_format;
	uint64_t shutdown_timeout_ms;
	uint64_t memory_limit;
	int reload;
};

enum reload { RELOAD_AUTO, RELOAD_SIGNAL };

enum read_from { READ_FROM_HEAD, READ_FROM_TAIL };

struct input_options { /* [input:pods] */
	char *path;
	char *docker_root;
	int read_from;
	struct bind_list include_namespaces, exclude_namespaces, include_pods, exclude_pods, include_containers, exclude_containers;
	uint64_t max_record;
	uint64_t partial_timeout_ms;
	int hold;
	uint64_t hold_limit;
	uint64_t rescan_interval_ms;
};

enum metadata_source { METADATA_SOURCE_NONE, METADATA_SOURCE_KUBELET, METADATA_SOURCE_API, METADATA_SOURCE_AUTO };

struct kubernetes_options { /* [kubernetes] */
	int metadata_source;
	struct bind_list metadata, annotations;
	uint64_t metadata_wait_ms;
	char *kubeconfig;
	char *kubelet_url, *kubelet_ca_file, *kubelet_server_name;
	bool kubelet_insecure;
};

enum on_reject { ON_REJECT_DEAD_LETTER, ON_REJECT_DROP };

struct output_options { /* the keys that every [output:NAME] has */
	int type;
	struct bind_list match;
	int metadata_schema;
	bool record_id;
	uint64_t batch_size;
	uint64_t batch_age_ms;
	uint64_t batch_records;
	uint64_t lanes;
	int compression;
	uint64_t compression_level;
	int on_reject;
	uint64_t dead_letter_limit;
};

struct output_conf {
	char *name;
	struct output_options common;
	const struct output_ops *ops;
	void *options;        /* of ops->options_size bytes, filled by ops->rows */
	uint64_t memory_share; /* bytes of batches: memory_limit in equal parts */
	struct output_conf *next;
};

struct collector_conf {
	struct collector_options collector;
	struct input_options input;
	struct kubernetes_options kubernetes;
	struct output_conf *outputs; /* in the order of the file */
	size_t output_count;
	unsigned ref_count;
};

/* Reads path, puts the overrides ("section.key=value", NULL-terminated) on top, binds and checks.  With errors in the complaints (empty before) the result is
 * NULL. The caller has one reference.  sources (empty before, released by the caller): what was read, in both cases; changes since then show in its stamp. */
struct collector_conf *collector_conf_load(
	const char *path, const char *const *overrides, struct ini_complaints *complaints, struct sources *sources);
/* The same from a text; name stands in the places. */
struct collector_conf *collector_conf_load_text(const char *name, const char *text, const char *const *overrides, struct ini_complaints *complaints);
struct collector_conf *collector_conf_ref(struct collector_conf *conf);
void collector_conf_unref(struct collector_conf *conf);
/* For --dry-run: puts one output of type stdout, which takes everything, in place of all outputs, with the first one's metadata_schema. */
void collector_conf_make_dry(struct collector_conf *conf);

/* What may not change while the program runs: NULL = fine, else the key that differs. */
const char *collector_conf_fixed_difference(const struct collector_conf *a, const struct collector_conf *b);
/* Do their records know the same of pods, from the same source? */
bool collector_conf_same_kubernetes(const struct collector_conf *a, const struct collector_conf *b);
/* What is wanted of metadata: by the option rows, which are borrowed, and by all templates.  Released with metadata_choice_release. */
void collector_conf_choose(const struct collector_conf *conf, struct metadata_choice *ret_choice);
/* Does this output say the same in both, together with the rows of input and metadata that its records depend on? */
bool collector_conf_same_output(const struct collector_conf *a, const struct output_conf *output_a, const struct collector_conf *b,
	const struct output_conf *output_b);
struct output_conf *collector_conf_output(const struct collector_conf *conf, const char *name);

/* The effective configuration, secrets masked; the sample file; the option tables of the man page (mdoc). */
void collector_conf_print(const struct collector_conf *conf, struct buf *out);
void collector_conf_print_sample(struct buf *out);
void collector_conf_print_man(struct buf *out);

#endif
