/* One log record and where it comes from: what the collector reads and what the wire formats write. */
#ifndef DRAVE_OUTPUTS_RECORD_H
#define DRAVE_OUTPUTS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A label or an annotation, as the API has it. */
struct label {
	const char *name;
	const char *value;
	bool is_for_templates_only; /* nobody chose it for the records; a template names it */
};

struct labels {
	const struct label *items; /* by name, each once */
	size_t count;
};

/* What an API knows of a container beyond the path of its files.  Never changes: news are a new struct.  Texts are "" where the API has none. */
struct metadata {
	struct labels labels;
	struct labels annotations; /* the chosen ones, and those that templates name */
	struct labels namespace_labels;
	struct labels node_labels; /* the chosen ones */
	const char *owner_kind;    /* the controlling owner, "Deployment" where that owns the ReplicaSet */
	const char *owner_name;
	const char *pod_ip;
	const char *image;         /* of this container */
	const char *image_id;
	const char *container_id;  /* without "containerd://" */
};

/* A container of a pod: the unit within which order holds. */
struct origin {
	const char *namespace_name; /* all texts are the maker's and outlive every record that names them */
	const char *pod;
	const char *uid;
	const char *container;
	const char *node;
	const struct metadata *metadata; /* NULL = not known */
	unsigned metadata_version;       /* another one whenever `metadata` is: what was prepared from it is stale then */
};

/* One log file of that container: one run (restart) of it, one segment between two rotations. */
struct source {
	const struct origin *origin;
	uint64_t first_line_hash; /* XXH3-64 of the first SOURCE_HASHED_BYTES of its first line, no newline */
	unsigned restart;         /* the number before ".log" */
};
#define SOURCE_HASHED_BYTES 4096

enum record_stream { RECORD_STDOUT, RECORD_STDERR, RECORD_UNKNOWN };
/* "stdout", "stderr", "unknown" */
const char *record_stream_name(enum record_stream stream);

/* A view: its texts are borrowed from the reader and valid only during the call that gets it. */
struct record {
	const char *time; /* RFC 3339 as it stands in the file, of the record's first piece */
	size_t time_len;
	int64_t time_ns;  /* the same as nanoseconds since 1970 UTC */
	const char *text; /* the joined text without its final newline */
	size_t len;
	uint64_t offset;       /* in the uncompressed file: where its first piece begins */
	uint64_t source_bytes; /* what it stands for in the file: every piece with prefix and newline */
	enum record_stream stream;
	bool truncated; /* text was cut at max_record; what was cut is already counted by whoever cut it */
	bool partial;   /* its end never came */
	bool unparsed;  /* neither CRI nor docker: text is the whole line, time is when it was read */
};

#endif
