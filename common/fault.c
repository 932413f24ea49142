/* Fault points of test builds.
 *
 * The variable DRAVE_FAULT is read at the first reach of any point; counting is under a lock, because workers
 * reach points too.  A specification that cannot be read ends the process: a test that injects nothing would
 * prove nothing. Empty unless configured with --enable-faults. */
#include "config.h"
#include "common/fault.h"

#ifdef DRAVE_FAULTS

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

#define POINTS_MAX     16
#define NAME_MAX_BYTES 64

struct fault_point {
	char name[NAME_MAX_BYTES];
	uint64_t first; /* the reach that strikes; 0 = by chance */
	bool and_later;
	double chance;
	bool kill;
	uint64_t reached;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault_point points[POINTS_MAX];
static size_t point_count;
static uint64_t random_state;
static bool is_set_up;

/* "3", "3+" or "p0.01", each with or without "!kill". */
static bool parse_when(struct fault_point *point, const char *text)
{
	char *end;

	if (text[0] == 'p') {
		point->chance = strtod(text + 1, &end);
		if (end == text + 1 || point->chance < 0 || point->chance > 1)
			return false;
	} else {
		point->first = strtoull(text, &end, 10);
		if (end == text || point->first == 0)
			return false;
		point->and_later = *end == '+';
		end += point->and_later;
	}
	point->kill = strcmp(end, "!kill") == 0;
	return point->kill || *end == '\0';
}

static bool parse_point(struct fault_point *point, const char *text, size_t len)
{
	char when[NAME_MAX_BYTES];
	const char *colon = memchr(text, ':', len);
	size_t name_len = colon == NULL ? len : (size_t)(colon - text);
	size_t when_len = colon == NULL ? 0 : len - name_len - 1;

	if (colon == NULL || name_len == 0 || name_len >= sizeof point->name || when_len >= sizeof when)
		return false;
	*point = (struct fault_point){0};
	memcpy(point->name, text, name_len);
	memcpy(when, colon + 1, when_len);
	when[when_len] = '\0';
	return parse_when(point, when);
}

static bool parse_points(const char *specification)
{
	point_count = 0;
	while (*specification != '\0') {
		size_t len = strcspn(specification, ",");

		if (point_count == POINTS_MAX || !parse_point(&points[point_count], specification, len))
			return false;
		point_count++;
		specification += len;
		specification += *specification == ',';
	}
	return true;
}

bool fault_setup(const char *specification, uint64_t seed)
{
	bool understood;

	must(pthread_mutex_lock(&lock) == 0);
	understood = parse_points(specification);
	random_state = seed;
	is_set_up = true;
	must(pthread_mutex_unlock(&lock) == 0);
	return understood;
}

static void setup_from_environment(void)
{
	const char *specification = getenv("DRAVE_FAULT");
	const char *seed = getenv("DRAVE_FAULT_SEED");

	if (fault_setup(
		specification != NULL ? specification : "", seed != NULL ? strtoull(seed, NULL, 10) : 1))
		return;
	fprintf(stderr, "DRAVE_FAULT: cannot read '%s'\n", specification);
	exit(EXIT_FAILURE);
}

/* A number in [0, 1) from the seed (Knuth's MMIX constants; the high bits are good enough to roll dice). */
static double roll(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (double)(random_state >> 11) / (double)(UINT64_C(1) << 53);
}

static bool point_strikes(struct fault_point *point)
{
	point->reached++;
	if (point->first == 0)
		return roll() < point->chance;
	return point->reached == point->first || (point->and_later && point->reached > point->first);
}

static bool is_ready(void)
{
	bool ready;

	must(pthread_mutex_lock(&lock) == 0);
	ready = is_set_up;
	must(pthread_mutex_unlock(&lock) == 0);
	return ready;
}

bool fault_strikes(const char *name)
{
	bool strikes = false;

	if (!is_ready())
		setup_from_environment();
	must(pthread_mutex_lock(&lock) == 0);
	for (size_t i = 0; i < point_count; i++) {
		if (strcmp(points[i].name, name) != 0 || !point_strikes(&points[i]))
			continue;
		strikes = true;
		if (points[i].kill)
			(void)raise(SIGKILL);
	}
	must(pthread_mutex_unlock(&lock) == 0);
	return strikes;
}

#endif
