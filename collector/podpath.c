/* Names below the log root.  Strict: what Kubernetes would refuse as a name never becomes metadata, and what is no log file's name is none of ours.  Pure.
 *
 * Stands beside the finder.  Sources: the kubelet's log manager (pod directory, rotation suffix), RFC 1123 labels and subdomains as Kubernetes uses them. */
#include "config.h"
#include "collector/podpath.h"

#include <ctype.h>
#include <string.h>

#define ROTATION_LEN 15 /* "20260131-123456" */

/* ---- the grammar of names ------------------------------------------------------------------------------------------ */

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* RFC 1123 label: a-z 0-9 -, no dash at either end. */
static bool is_label(const char *text, size_t len, size_t max)
{
	if (len == 0 || len > max || !is_lower_alnum(text[0]) || !is_lower_alnum(text[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_lower_alnum(text[i]) && text[i] != '-')
			return false;
	return true;
}

/* RFC 1123 subdomain: labels with dots between them. */
static bool is_subdomain(const char *text, size_t len, size_t max)
{
	if (len == 0 || len > max)
		return false;
	while (len > 0) {
		const char *dot = memchr(text, '.', len);
		size_t label = dot != NULL ? (size_t)(dot - text) : len;

		if (!is_label(text, label, max) || (dot != NULL && label + 1 == len))
			return false;
		text += label + (dot != NULL);
		len -= label + (dot != NULL);
	}
	return true;
}

/* A UUID, or the hash that static pods have in its place: hexadecimal digits and dashes. */
static bool is_uid(const char *text, size_t len)
{
	if (len == 0 || len >= PODPATH_UID_BYTES)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)text[i]) && !(text[i] >= 'a' && text[i] <= 'f') && text[i] != '-')
			return false;
	return text[0] != '-' && text[len - 1] != '-';
}

bool podpath_is_container(const char *name)
{
	return is_label(name, strlen(name), 63);
}

static void copy(char *out, const char *text, size_t len)
{
	memcpy(out, text, len);
	out[len] = '\0';
}

bool podpath_parse_pod(const char *name, struct podpath *ret_pod)
{
	const char *pod = strchr(name, '_'), *uid = pod != NULL ? strchr(pod + 1, '_') : NULL;
	size_t namespace_len, pod_len, uid_len;

	if (uid == NULL)
		return false;
	namespace_len = (size_t)(pod - name);
	pod_len = (size_t)(uid - ++pod);
	uid_len = strlen(++uid);
	if (!is_label(name, namespace_len, PODPATH_NAMESPACE_BYTES - 1) || !is_subdomain(pod, pod_len, PODPATH_POD_BYTES - 1) || !is_uid(uid, uid_len))
		return false;
	copy(ret_pod->namespace_name, name, namespace_len);
	copy(ret_pod->pod, pod, pod_len);
	copy(ret_pod->uid, uid, uid_len);
	return true;
}

/* ---- files -------------------------------------------------------------------------------------------------------- */

/* A decimal number without sign or leading zeros: how many bytes it is, 0 if there is none or it is too large. */
static size_t parse_number(const char *text, unsigned *ret_value)
{
	size_t at = 0;
	unsigned value = 0;

	for (; isdigit((unsigned char)text[at]); at++) {
		if (at >= 9) /* a billion restarts */
			return 0;
		value = value * 10 + (unsigned)(text[at] - '0');
	}
	if (at > 1 && text[0] == '0')
		return 0;
	*ret_value = value;
	return at;
}

static bool is_rotation(const char *text)
{
	for (size_t i = 0; i < ROTATION_LEN; i++)
		if (i == 8 ? text[i] != '-' : !isdigit((unsigned char)text[i]))
			return false;
	return true;
}

struct logfile_name podpath_parse_file(const char *name)
{
	struct logfile_name file = {.kind = LOGFILE_NONE};
	size_t len = parse_number(name, &file.restart);
	const char *rest = name + len;

	if (len == 0 || strncmp(rest, ".log", 4) != 0)
		return (struct logfile_name){.kind = LOGFILE_NONE};
	rest += 4;
	if (*rest == '\0') {
		file.kind = LOGFILE_LIVE;
		return file;
	}
	if (*rest != '.' || !is_rotation(rest + 1))
		return (struct logfile_name){.kind = LOGFILE_NONE};
	copy(file.rotation, rest + 1, ROTATION_LEN);
	rest += 1 + ROTATION_LEN;
	if (*rest == '\0')
		file.kind = LOGFILE_ROTATED;
	else if (strcmp(rest, ".gz") == 0)
		file.kind = LOGFILE_GZIP;
	else
		return (struct logfile_name){.kind = LOGFILE_NONE};
	return file;
}

int podpath_compare(const struct logfile_name *a, const struct logfile_name *b)
{
	bool a_live = a->kind == LOGFILE_LIVE, b_live = b->kind == LOGFILE_LIVE;

	if (a->restart != b->restart)
		return a->restart < b->restart ? -1 : 1;
	if (a_live != b_live)
		return a_live ? 1 : -1;
	return strcmp(a->rotation, b->rotation);
}

enum logfile_kind podpath_parse_docker(const char *name, unsigned *ret_age)
{
	static const char middle[] = "-json.log";
	const char *at = strstr(name, middle);
	size_t len;

	*ret_age = 0;
	if (at == NULL || at == name)
		return LOGFILE_NONE;
	at += sizeof middle - 1;
	if (*at == '\0')
		return LOGFILE_LIVE;
	if (*at != '.')
		return LOGFILE_NONE;
	len = parse_number(at + 1, ret_age);
	if (len == 0 || *ret_age == 0)
		return LOGFILE_NONE;
	at += 1 + len;
	if (*at == '\0')
		return LOGFILE_ROTATED;
	return strcmp(at, ".gz") == 0 ? LOGFILE_GZIP : LOGFILE_NONE;
}
