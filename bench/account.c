/* Account.  What was written is known by heart (line numbers run from 0 in each container), so a bit for each
 * line tells the new from the repeated, in any format, in any order.  Where lines carry no marker, a record
 * is known by the XXH3-64 of its bytes: exact as long as two records differ, which they do when they carry an
 * id.
 *
 * Bits and counters are atomic; the set of records has a lock.  Latency is the wall clock at the end of
 * decoding less the time in the marker. */
#include "config.h"
#include "bench/account.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "bench/marker.h"
#include "common/must.h"

#define RECORD_SLOTS_MIN (1u << 16)

/* A set of 64-bit fingerprints, open addressing, at most half full; 0 means an empty slot. */
struct record_set {
	pthread_mutex_t lock;
	uint64_t *slots;
	size_t slot_count; /* a power of two */
	size_t distinct_count;
	unsigned long long record_count;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- records --------------------------------------------------------------------------------------- */

/* True if it was not there yet. */
static bool insert(uint64_t *slots, size_t slot_count, uint64_t fingerprint)
{
	size_t at = fingerprint & (slot_count - 1);

	for (; slots[at] != 0; at = (at + 1) & (slot_count - 1))
		if (slots[at] == fingerprint)
			return false;
	slots[at] = fingerprint;
	return true;
}

static void grow(struct record_set *set)
{
	size_t slot_count = set->slot_count * 2;
	uint64_t *slots = xcalloc(slot_count, sizeof *slots);

	for (size_t i = 0; i < set->slot_count; i++)
		if (set->slots[i] != 0)
			(void)insert(slots, slot_count, set->slots[i]);
	free(set->slots);
	set->slots = slots;
	set->slot_count = slot_count;
}

static void take_records(struct record_set *set, const char *bytes, size_t len)
{
	const char *end = bytes + len;

	pthread_mutex_lock(&set->lock);
	for (const char *line = bytes, *next; line < end; line = next + 1) {
		uint64_t fingerprint;

		next = memchr(line, '\n', (size_t)(end - line));
		if (next == NULL)
			next = end;
		if (next == line)
			continue;
		fingerprint = XXH3_64bits(line, (size_t)(next - line));
		if (set->distinct_count * 2 >= set->slot_count)
			grow(set);
		set->record_count++;
		set->distinct_count +=
		    insert(set->slots, set->slot_count, fingerprint != 0 ? fingerprint : 1);
	}
	pthread_mutex_unlock(&set->lock);
}

/* ---- lines by marker ------------------------------------------------------------------------------- */

/* What one call of account_take found, so that the shared counters are touched once. */
struct findings {
	struct account *account;
	uint64_t now_ns;
	unsigned long long unique, duplicate, bad;
};

static struct line_bits *bits_of(struct account *account, unsigned container)
{
	struct line_bits *bits = atomic_load_explicit(&account->seen[container], memory_order_acquire);
	struct line_bits *none = NULL, *fresh;

	if (bits != NULL)
		return bits;
	fresh = x_new(fresh);
	if (atomic_compare_exchange_strong(&account->seen[container], &none, fresh))
		return fresh;
	free(fresh); /* another connection was quicker */
	return none;
}

static void note_latency(struct account *account, uint64_t sent_ns, uint64_t arrived_ns)
{
	unsigned long long at = atomic_fetch_add_explicit(&account->latency_count, 1, memory_order_relaxed);

	if (at < ACCOUNT_LATENCIES)
		account->latencies_us[at] =
		    arrived_ns > sent_ns ? (uint32_t)((arrived_ns - sent_ns) / 1000) : 0;
}

static void on_marker(void *arg, const struct marker *marker)
{
	struct findings *findings = arg;
	unsigned long long bit = 1ull << (marker->line & 63);
	struct line_bits *bits;

	if (marker->line >= ACCOUNT_LINES) {
		findings->bad++;
		return;
	}
	bits = bits_of(findings->account, marker->container);
	if ((atomic_fetch_or_explicit(&bits->words[marker->line >> 6], bit, memory_order_relaxed) & bit) !=
	    0) {
		findings->duplicate++;
		return;
	}
	findings->unique++;
	if (marker->sent_ns != 0)
		note_latency(findings->account, marker->sent_ns, findings->now_ns);
}

static void note_arrival(struct account *account, bool is_new)
{
	unsigned long long now = now_ns(CLOCK_MONOTONIC), zero = 0;

	atomic_compare_exchange_strong(&account->first_ns, &zero, now);
	if (is_new)
		atomic_store(&account->last_ns, now);
}

/* ---- for the receivers ----------------------------------------------------------------------------- */

struct account *account_new(bool tell_records)
{
	struct account *account = x_new(account);

	account->latencies_us = xmalloc(ACCOUNT_LATENCIES * sizeof *account->latencies_us);
	if (tell_records) {
		account->records = x_new(account->records);
		pthread_mutex_init(&account->records->lock, NULL);
		account->records->slot_count = RECORD_SLOTS_MIN;
		account->records->slots = xcalloc(RECORD_SLOTS_MIN, sizeof *account->records->slots);
	}
	return account;
}

void account_take(struct account *account, const char *bytes, size_t len, size_t start_limit)
{
	struct findings findings = {.account = account, .now_ns = now_ns(CLOCK_REALTIME)};

	marker_scan(bytes, len, start_limit, on_marker, &findings);
	if (findings.unique + findings.duplicate > 0)
		note_arrival(account, findings.unique > 0);
	atomic_fetch_add(&account->unique_count, findings.unique);
	atomic_fetch_add(&account->duplicate_count, findings.duplicate);
	atomic_fetch_add(&account->bad_count, findings.bad);
	atomic_fetch_add(&account->plain_bytes, start_limit < len ? start_limit : len);
	if (account->records != NULL)
		take_records(account->records, bytes, start_limit < len ? start_limit : len);
}

void account_take_messages(struct account *account, unsigned long long count)
{
	note_arrival(account, true);
	atomic_fetch_add(&account->unique_count, count);
	atomic_fetch_add(&account->message_count, count);
}

void account_reset(struct account *account)
{
	atomic_ullong *counters[] = {&account->request_count, &account->wire_bytes, &account->body_bytes,
	    &account->message_count, &account->undecodable_count, &account->plain_bytes, &account->first_ns,
	    &account->last_ns, &account->unique_count, &account->duplicate_count, &account->bad_count,
	    &account->latency_count};

	for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
		atomic_store(counters[i], 0);
	for (size_t i = 0; i < ACCOUNT_CONTAINERS; i++)
		if (account->seen[i] != NULL)
			memset(account->seen[i], 0, sizeof *account->seen[i]);
}

static int compare_latencies(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return (a > b) - (a < b);
}

static void sort_latencies(const struct account *account, size_t count, double ret_ms[5])
{
	uint32_t *sorted = xmalloc(count * sizeof *sorted);

	memcpy(sorted, account->latencies_us, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, compare_latencies);
	ret_ms[0] = sorted[count / 2] / 1e3;
	ret_ms[1] = sorted[(size_t)((double)count * 0.9)] / 1e3;
	ret_ms[2] = sorted[(size_t)((double)count * 0.99)] / 1e3;
	ret_ms[3] = sorted[(size_t)((double)count * 0.999)] / 1e3;
	ret_ms[4] = sorted[count - 1] / 1e3;
	free(sorted);
}

size_t account_report(struct account *account, bool with_latency, char out[ACCOUNT_REPORT_BYTES])
{
	const struct record_set *records = account->records;
	unsigned long long latency_count = atomic_load(&account->latency_count);
	double ms[5] = {0};
	int len, more;

	if (latency_count > ACCOUNT_LATENCIES)
		latency_count = ACCOUNT_LATENCIES;
	if (with_latency && latency_count > 0)
		sort_latencies(account, latency_count, ms);
	len = snprintf(out, ACCOUNT_REPORT_BYTES,
	    "{\"unique\":%llu,\"dup\":%llu,\"bad\":%llu,\"undecodable\":%llu,\"requests\":%llu,\"messages\":%"
	    "llu,"
	    "\"wire\":%llu,\"body\":%llu,\"plain\":%llu,\"first\":%llu,\"last\":%llu,\"records\":%llu,"
	    "\"distinct\":%llu,",
	    account->unique_count, account->duplicate_count, account->bad_count, account->undecodable_count,
	    account->request_count, account->message_count, account->wire_bytes, account->body_bytes,
	    account->plain_bytes, account->first_ns, account->last_ns,
	    records != NULL ? records->record_count : 0,
	    records != NULL ? (unsigned long long)records->distinct_count : 0);
	must(len > 0 && len < ACCOUNT_REPORT_BYTES);
	more = snprintf(out + len, (size_t)(ACCOUNT_REPORT_BYTES - len),
	    "\"latencies\":%llu,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%"
	    ".3f}\n",
	    latency_count, ms[0], ms[1], ms[2], ms[3], ms[4]);
	must(more > 0 && len + more < ACCOUNT_REPORT_BYTES);
	return (size_t)(len + more);
}
