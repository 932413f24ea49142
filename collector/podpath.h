/* Names below the log root -> who writes there.  Pure.
 *
 *   <namespace>_<pod>_<uid>/<container>/<restart>.log[.<rotation>]
 *
 * Names are checked against the Kubernetes grammar, so that nothing else ever becomes metadata. */
#ifndef DRAVE_COLLECTOR_PODPATH_H
#define DRAVE_COLLECTOR_PODPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PODPATH_NAMESPACE_BYTES 64
#define PODPATH_POD_BYTES       254
#define PODPATH_UID_BYTES       64
#define PODPATH_CONTAINER_BYTES 64

struct podpath { /* the pod's directory */
	char namespace_name[PODPATH_NAMESPACE_BYTES];
	char pod[PODPATH_POD_BYTES];
	char uid[PODPATH_UID_BYTES];
};

/* False: no pod directory's name (also with names that Kubernetes refuses); *ret_pod is then as it was. */
bool podpath_parse_pod(const char *name, struct podpath *ret_pod);
/* A container's name: DNS label, at most 63 bytes. */
bool podpath_is_container(const char *name);

enum logfile_kind {
	LOGFILE_NONE,    /* not one of ours: .tmp and whatever else */
	LOGFILE_LIVE,    /* 0.log */
	LOGFILE_ROTATED, /* 0.log.20260131-123456 */
	LOGFILE_GZIP,    /* 0.log.20260131-123456.gz */
};

struct logfile_name {
	enum logfile_kind kind;
	unsigned restart;
	char rotation[32]; /* "20260131-123456" or "" */
};

/* The meaning of a file name in a container's directory. */
struct logfile_name podpath_parse_file(const char *name);
/* Order of the files of one container: by restart, then rotated ones by their suffix, the live one last.
 * Below, equal to or above 0.  A rotated file and its .gz are equal: they hold the same bytes. */
int podpath_compare(const struct logfile_name *a, const struct logfile_name *b);

/* docker: <id>-json.log[.N[.gz]] -> kind; higher N is older.  In *ret_age: 0 live, N rotated (untouched if it
 * is none). */
enum logfile_kind podpath_parse_docker(const char *name, unsigned *ret_age);

#endif
