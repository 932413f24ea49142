/* Gatherer.  Each lane has at most one open batch; it leaves when it is full, has enough records, or is old enough.
 *
 * Stands between cursor and shipper.  Owns open batches; moves them to the shipper when sealed.  The age timer follows the oldest one, so an idle output
 * arms nothing.  Refuses to drop for memory: it says that there is no room, and bytes stay in their files. */
#include "config.h"
#include "collector/gatherer.h"

#include <stdlib.h>
#include <string.h>

#include "collector/read_buffer.h"
#include "common/clock.h"
#include "common/must.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MINUTE_NS   INT64_C(60000000000)
#define TRIAL_BYTES (READ_BYTES / 16)

void gatherer_init(struct gatherer *gatherer)
{
	must(uv_timer_init(gatherer->loop, &gatherer->timer) == 0);
	gatherer->timer.data = gatherer;
}

static void seal(struct gatherer *gatherer, struct batch *batch)
{
	DL_DELETE(gatherer->open, batch);
	gatherer->open_count--;
	batch->lane->open = NULL;
	shipper_take(gatherer->shipper, batch);
}

static void seal_old(struct gatherer *gatherer, uint64_t now_ms)
{
	while (gatherer->open != NULL && now_ms - gatherer->open->opened_ms >= gatherer->batch_age_ms)
		seal(gatherer, gatherer->open);
}

static void arm(struct gatherer *gatherer);

static void on_timer(uv_timer_t *timer)
{
	struct gatherer *gatherer = timer->data;

	seal_old(gatherer, clock_monotonic_ms());
	arm(gatherer);
}

static void arm(struct gatherer *gatherer)
{
	uint64_t age;

	if (gatherer->open == NULL) {
		uv_timer_stop(&gatherer->timer);
		return;
	}
	age = clock_monotonic_ms() - gatherer->open->opened_ms;
	uv_timer_start(&gatherer->timer, on_timer, age < gatherer->batch_age_ms ? gatherer->batch_age_ms - age : 0, 0);
}

bool gatherer_has_room(struct gatherer *gatherer)
{
	if (gatherer->shipper->memory_used + gatherer->batch_bytes <= gatherer->memory_limit)
		return true;
	/* Whatever is open must leave, or nothing would ever come back. */
	if (gatherer->open != NULL && gatherer->shipper->queued_count < gatherer->lanes)
		seal(gatherer, gatherer->open);
	return false;
}

/* ---- lanes -------------------------------------------------------------------------------------------------------- */

static unsigned lane_number(const struct gatherer *gatherer, const struct origin *origin)
{
	XXH64_hash_t hash = XXH3_64bits_withSeed(origin->container, strlen(origin->container), XXH3_64bits(origin->uid, strlen(origin->uid)));

	return (unsigned)(hash % gatherer->lanes);
}

/* The most bytes of a lane's key: so templates fail for what is not known, never for want of room. */
static size_t longest_key(const struct gatherer *gatherer)
{
	size_t longest = 16; /* the number */

	for (size_t i = 0; i < gatherer->template_count; i++) {
		size_t filled = template_longest(gatherer->templates[i]);
		size_t fallback = gatherer->fallbacks[i] != NULL ? strlen(gatherer->fallbacks[i]) : 0;

		longest += 1 + (filled > fallback ? filled : fallback);
	}
	return longest;
}

/* lane number and expansions, each ended by a NUL. */
static void write_key(
	const struct gatherer *gatherer, const struct origin *origin, enum record_stream stream, int64_t time_ns, struct buf *key)
{
	buf_init(key, longest_key(gatherer));
	must(buf_printf(key, "%u", lane_number(gatherer, origin)) && buf_add(key, "", 1));
	for (size_t i = 0; i < gatherer->template_count; i++) {
		const char *fallback = gatherer->fallbacks[i];
		bool filled = template_expand(gatherer->templates[i], origin, stream, time_ns, key);

		if (!filled && fallback != NULL)
			must(buf_add_text(key, fallback));
		must(buf_add(key, "", 1));
	}
}

void gatherer_leave(struct gatherer *gatherer, struct route *route)
{
	struct lane *lane = route->lane;

	if (lane == NULL)
		return;
	route->lane = NULL;
	lane->route_count--;
	lane_tidy(&gatherer->shipper->lanes, lane);
}

static struct lane *lane_of(struct gatherer *gatherer, struct route *route, const struct batch_entry *entry)
{
	const struct origin *origin = entry->source->origin;
	int64_t minute = 0;
	int stream = 0;
	struct buf key;

	for (size_t i = 0; i < gatherer->template_count; i++) {
		if (template_needs_time(gatherer->templates[i]))
			minute = entry->record->time_ns / MINUTE_NS;
		if (template_needs_stream(gatherer->templates[i]))
			stream = (int)entry->record->stream;
	}
	if (route->lane != NULL && route->minute == minute && route->stream == stream)
		return route->lane;
	write_key(gatherer, origin, entry->record->stream, entry->record->time_ns, &key);
	gatherer_leave(gatherer, route);
	*route = (struct route){.lane = shipper_lane(gatherer->shipper, key.data, key.len, lane_number(gatherer, origin)),
		.version = origin->metadata_version, .minute = minute, .stream = stream};
	route->lane->route_count++;
	buf_release(&key);
	return route->lane;
}

bool gatherer_has_turned(const struct gatherer *gatherer, struct route *route, const struct origin *origin)
{
	struct buf key;
	bool is_same;

	if (route->lane == NULL || route->version == origin->metadata_version)
		return false;
	write_key(gatherer, origin, (enum record_stream)route->stream, route->minute * MINUTE_NS, &key);
	is_same = key.len == route->lane->key_len && memcmp(key.data, route->lane->key, key.len) == 0;
	buf_release(&key);
	if (is_same)
		route->version = origin->metadata_version;
	return !is_same;
}

/* Whoever writes a pod's labels may choose how many destinations there are, and each of them can hold: together they leave room for the others. */
static bool is_at_limit(struct gatherer *gatherer)
{
	bool was_at_limit = gatherer->is_at_limit;

	gatherer->is_at_limit = gatherer->shipper->unproven_memory >= UNPROVEN_PART(gatherer->memory_limit);
	if (gatherer->is_at_limit && !was_at_limit)
		metric_add(gatherer->unproven_limits, 1);
	return gatherer->is_at_limit;
}

size_t gatherer_room_of(struct gatherer *gatherer, const struct route *route)
{
	struct lane *lane = route->lane;

	if (lane != NULL && lane->queued_count >= LANE_DEPTH)
		return 0;
	if ((lane != NULL && lane->is_proven) || !is_at_limit(gatherer))
		return READ_BYTES;
	if (lane == NULL || lane_is_idle(lane))
		return TRIAL_BYTES;
	if (lane->queue == NULL) /* what is open is to be tried */
		seal(gatherer, lane->open);
	return 0;
}

bool gatherer_may_go_on(struct gatherer *gatherer, const struct route *route)
{
	const struct lane *lane = route->lane;

	return lane == NULL || (lane->queued_count <= LANE_DEPTH && (lane->is_proven || lane_is_idle(lane) || !is_at_limit(gatherer)));
}

/* ---- adding ------------------------------------------------------------------------------------------------------- */

static struct batch *open_batch(struct gatherer *gatherer, struct lane *lane)
{
	if (gatherer->open_count >= GATHERER_OPEN_LIMIT)
		seal(gatherer, gatherer->open);
	lane->open = batch_new(lane, clock_monotonic_ms());
	DL_APPEND(gatherer->open, lane->open);
	if (++gatherer->open_count == 1)
		arm(gatherer);
	return lane->open;
}

void gatherer_add(struct gatherer *gatherer, struct route *route, const struct batch_entry *entry, uint64_t *ret_cut_bytes)
{
	struct lane *lane = lane_of(gatherer, route, entry);
	struct batch *batch = lane->open;

	if (batch != NULL && batch->len + batch_bound(entry) > gatherer->batch_bytes) {
		seal(gatherer, batch);
		batch = NULL;
	}
	if (batch == NULL)
		batch = open_batch(gatherer, lane);
	batch_append(batch, entry, ret_cut_bytes);
	shipper_count_memory(gatherer->shipper, batch);
	if (batch->record_count >= gatherer->batch_records || batch->len >= gatherer->batch_bytes)
		seal(gatherer, batch);
}

void gatherer_seal_all(struct gatherer *gatherer)
{
	while (gatherer->open != NULL)
		seal(gatherer, gatherer->open);
}

int64_t gatherer_oldest_time(const struct gatherer *gatherer)
{
	int64_t oldest = INT64_MAX;
	struct batch *batch;

	DL_FOREACH (gatherer->open, batch)
		if (batch->oldest_time_ns < oldest)
			oldest = batch->oldest_time_ns;
	return oldest;
}

void gatherer_close(struct gatherer *gatherer, uv_close_cb closed, void *arg)
{
	while (gatherer->open != NULL) {
		struct batch *batch = gatherer->open;

		DL_DELETE(gatherer->open, batch);
		batch->lane->open = NULL;
		shipper_uncount_memory(gatherer->shipper, batch);
		batch_free(batch);
	}
	gatherer->open_count = 0;
	for (size_t i = 0; i < gatherer->template_count; i++)
		template_free(gatherer->templates[i]);
	gatherer->timer.data = arg;
	uv_close((uv_handle_t *)&gatherer->timer, closed);
}
