/* Expectations.  A cache lags behind our own writes.  Until it has shown what a sync asked for, or too much
 * time has passed, the set is not acted on again.  Since pods' names are deterministic, this only saves calls
 * that the server would refuse: nothing rests on it.  Pure. */
#include "config.h"

#include "controller/expectations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kube_object.h"
#include "common/must.h"
#include "common/table.h"

#define VERSION_BYTES 32

struct expected {
	char *uid;
	int64_t creates,
	    deletes; /* may fall below 0 when one deletion is seen twice (P-3): that is satisfied too */
	int64_t since_ms;
	bool is_set;
	char wrote[WRITTEN_KINDS][VERSION_BYTES]; /* "" = nothing */
	UT_hash_handle hh;
};

struct expectations {
	struct expected *table;
};

static struct expected *find(const struct expectations *expectations, const char *uid)
{
	struct expected *expected;

	HASH_FIND_STR(expectations->table, uid, expected);
	return expected;
}

static struct expected *get(struct expectations *expectations, const char *uid)
{
	struct expected *expected = find(expectations, uid);

	if (expected == NULL) {
		expected = x_new(expected);
		expected->uid = xstrdup(uid);
		HASH_ADD_KEYPTR(hh, expectations->table, expected->uid, strlen(expected->uid), expected);
	}
	return expected;
}

static void drop(struct expectations *expectations, struct expected *expected)
{
	HASH_DEL(expectations->table, expected);
	free(expected->uid);
	free(expected);
}

struct expectations *expectations_new(void)
{
	struct expectations *expectations = x_new(expectations);

	return expectations;
}

void expectations_free(struct expectations *expectations)
{
	struct expected *expected, *next;

	if (expectations == NULL)
		return;
	HASH_ITER (hh, expectations->table, expected, next)
		drop(expectations, expected);
	free(expectations);
}

void expectations_set(
    struct expectations *expectations, const char *uid, int64_t creates, int64_t deletes, int64_t now_ms)
{
	struct expected *expected = get(expectations, uid);

	expected->creates = creates;
	expected->deletes = deletes;
	expected->since_ms = now_ms;
	expected->is_set = true;
}

void expectations_create_seen(struct expectations *expectations, const char *uid)
{
	struct expected *expected = find(expectations, uid);

	if (expected != NULL)
		expected->creates--;
}

void expectations_delete_seen(struct expectations *expectations, const char *uid)
{
	struct expected *expected = find(expectations, uid);

	if (expected != NULL)
		expected->deletes--;
}

void expectations_unknown(struct expectations *expectations, const char *uid, int64_t now_ms)
{
	struct expected *expected = find(expectations, uid);

	if (expected != NULL)
		expected->since_ms = now_ms;
}

int64_t expectations_expire_after(const struct expectations *expectations, const char *uid, int64_t now_ms)
{
	const struct expected *expected = find(expectations, uid);
	int64_t age_ms;

	if (expected == NULL || !expected->is_set || (expected->creates <= 0 && expected->deletes <= 0))
		return 0;
	age_ms = now_ms - expected->since_ms;
	return age_ms < EXPECTATION_TIMEOUT_MS ? EXPECTATION_TIMEOUT_MS - age_ms : 0;
}

bool expectations_satisfied(const struct expectations *expectations, const char *uid, int64_t now_ms)
{
	return expectations_expire_after(expectations, uid, now_ms) == 0;
}

void expectations_forget(struct expectations *expectations, const char *uid)
{
	struct expected *expected = find(expectations, uid);

	if (expected != NULL)
		drop(expectations, expected);
}

void expectations_wrote(
    struct expectations *expectations, const char *uid, enum written_kind kind, const char *version)
{
	struct expected *expected = get(expectations, uid);

	if (kube_version_compare(version, expected->wrote[kind]) > 0)
		(void)snprintf(expected->wrote[kind], VERSION_BYTES, "%s", version); /* 20 digits at most */
}

bool expectations_reached(
    const struct expectations *expectations, const char *uid, const char *const reached[WRITTEN_KINDS])
{
	const struct expected *expected = find(expectations, uid);

	for (int i = 0; expected != NULL && i < WRITTEN_KINDS; i++)
		if (kube_version_compare(reached[i], expected->wrote[i]) < 0)
			return false;
	return true;
}
