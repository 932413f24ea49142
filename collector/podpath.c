/* Podpath.  Names of directories and files below the log root -> who writes there.  Pure.
 *
 * Stands at the beginning of the road: the finder asks it about every name that it sees.  Owns nothing.
 * Refuses whatever Kubernetes would not have named so, because these names become metadata, topics, keys and
 * URLs without another look:
 *
 *     namespace, container    DNS label: a-z 0-9 and '-', not at either end, at most 63 bytes
 *     pod                     DNS subdomain: such labels (of any length) joined by '.', at most 253 bytes
 *     uid                     a UUID with its four dashes, or the 32 hex digits of a static pod's
 * configuration hash restart                 a number without leading zeros rotation YYYYMMDD-HHMMSS, as
 * kubelet writes it
 */
#include "config.h"
#include "collector/podpath.h"

#include <limits.h>
#include <string.h>

#include "common/must.h"

#define NAMESPACE_MAX 63
#define POD_MAX       253
#define CONTAINER_MAX 63
#define UUID_LEN      36
#define HASH_LEN      32
#define ROTATION_LEN  15 /* "20260131-123456" */

/* ---- grammar --------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alphanumeric(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z');
}

/* Letters and digits, with '-' and, if dots are allowed, '.' between them.  A dot stands between letters and
 * digits, not beside '-'. */
static bool is_dns_name(const char *text, size_t len, size_t max, bool has_dots)
{
	if (len == 0 || len > max || !is_alphanumeric(text[0]) || !is_alphanumeric(text[len - 1]))
		return false;
	for (size_t i = 1; i + 1 < len; i++) {
		if (is_alphanumeric(text[i]) || text[i] == '-')
			continue;
		if (!has_dots || text[i] != '.' || !is_alphanumeric(text[i - 1]) ||
		    !is_alphanumeric(text[i + 1]))
			return false;
	}
	return true;
}

static bool is_uid(const char *text, size_t len)
{
	if (len != UUID_LEN && len != HASH_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool wants_dash = len == UUID_LEN && (i == 8 || i == 13 || i == 18 || i == 23);

		if (wants_dash ? text[i] != '-' : !is_hex(text[i]))
			return false;
	}
	return true;
}

static void copy_name(char *out, size_t size, const char *text, size_t len)
{
	must(len < size);
	memcpy(out, text, len);
	out[len] = '\0';
}

bool podpath_parse_pod(const char *name, struct podpath *ret_pod)
{
	const char *pod, *uid;
	size_t namespace_len = strcspn(name, "_"), pod_len, uid_len;

	if (name[namespace_len] == '\0')
		return false;
	pod = name + namespace_len + 1;
	pod_len = strcspn(pod, "_");
	if (pod[pod_len] == '\0')
		return false;
	uid = pod + pod_len + 1;
	uid_len = strlen(uid);
	if (!is_dns_name(name, namespace_len, NAMESPACE_MAX, false) ||
	    !is_dns_name(pod, pod_len, POD_MAX, true) || !is_uid(uid, uid_len))
		return false;
	copy_name(ret_pod->namespace_name, sizeof ret_pod->namespace_name, name, namespace_len);
	copy_name(ret_pod->pod, sizeof ret_pod->pod, pod, pod_len);
	copy_name(ret_pod->uid, sizeof ret_pod->uid, uid, uid_len);
	return true;
}

bool podpath_is_container(const char *name)
{
	return is_dns_name(name, strlen(name), CONTAINER_MAX, false);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* A number without sign and leading zeros that fits.  Returns how many bytes it is, 0 if there is none. */
static size_t parse_number(const char *text, unsigned *ret_number)
{
	unsigned number = 0;
	size_t at = 0;

	for (; is_digit(text[at]); at++) {
		unsigned digit = (unsigned)(text[at] - '0');

		if (number > (UINT_MAX - digit) / 10)
			return 0;
		number = number * 10 + digit;
	}
	if (at > 1 && text[0] == '0')
		return 0;
	*ret_number = number;
	return at;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static bool is_rotation(const char *text)
{
	for (size_t i = 0; i < ROTATION_LEN; i++)
		if (i == 8 ? text[i] != '-' : !is_digit(text[i]))
			return false; /* also where the text is shorter */
	return true;
}

struct logfile_name podpath_parse_file(const char *name)
{
	static const struct logfile_name none = {.kind = LOGFILE_NONE};
	struct logfile_name file = {.kind = LOGFILE_LIVE};
	size_t number_len = parse_number(name, &file.restart);
	const char *rest = name + number_len;

	if (number_len == 0 || !starts_with(rest, ".log"))
		return none;
	rest += strlen(".log");
	if (*rest == '\0')
		return file;
	if (*rest != '.' || !is_rotation(rest + 1))
		return none;
	copy_name(file.rotation, sizeof file.rotation, rest + 1, ROTATION_LEN);
	rest += 1 + ROTATION_LEN;
	if (*rest == '\0')
		file.kind = LOGFILE_ROTATED;
	else if (strcmp(rest, ".gz") == 0)
		file.kind = LOGFILE_GZIP;
	else
		return none;
	return file;
}

int podpath_compare(const struct logfile_name *a, const struct logfile_name *b)
{
	bool a_is_live = a->kind == LOGFILE_LIVE, b_is_live = b->kind == LOGFILE_LIVE;

	if (a->restart != b->restart)
		return a->restart < b->restart ? -1 : 1;
	if (a_is_live != b_is_live)
		return a_is_live ? 1 : -1;
	return strcmp(a->rotation, b->rotation);
}

enum logfile_kind podpath_parse_docker(const char *name, unsigned *ret_age)
{
	enum logfile_kind kind = LOGFILE_ROTATED;
	size_t id_len = 0, number_len;
	const char *rest;
	unsigned age;

	while (is_hex(name[id_len]))
		id_len++;
	rest = name + id_len;
	if (id_len == 0 || !starts_with(rest, "-json.log"))
		return LOGFILE_NONE;
	rest += strlen("-json.log");
	if (*rest == '\0') {
		*ret_age = 0;
		return LOGFILE_LIVE;
	}
	if (*rest != '.')
		return LOGFILE_NONE;
	number_len = parse_number(rest + 1, &age);
	if (number_len == 0 || age == 0)
		return LOGFILE_NONE;
	rest += 1 + number_len;
	if (strcmp(rest, ".gz") == 0)
		kind = LOGFILE_GZIP;
	else if (*rest != '\0')
		return LOGFILE_NONE;
	*ret_age = age;
	return kind;
}
