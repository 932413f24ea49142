/* Cursor.  Lines of one file become records of one output, in one pass from file bytes to batch bytes.
 *
 *     tail_read -> lines -> cri / docker -> joiner -> gatherer_add
 *
 * Stands between tail and gatherer.  Owns its ledger, joiner and mark.  Keeps no bytes: what is not a whole line is read again when it has grown.
 *
 * Order: a cursor reads only when its predecessor's cursor has passed, that is, has read to the end of its file after the successor was there to be seen.
 * And where other metadata mean another lane, it reads on only when its container has nothing under way in the old one.
 *
 * The mark is the lowest of: the ledger's first open floor, the oldest open chain, the start of an overlong line whose rest is still skipped, and the
 * read offset.  It always stands at the start of a whole record.
 *
 * A record may begin in one file and end in the next (rotation between two pieces): when a cursor passes, its open chains are handed to its successor, and
 * the old file keeps a span for them, so that its mark waits for the record's answer. */
#include "config.h"
#include "collector/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/docker_json.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/must.h"

#define LOG_MODULE    "cursor"
#define SIZE_STEP     (1u << 20) /* how exactly the checkpoint knows the size of a file that grows while nothing is acknowledged */
#define CURSOR_MAGIC  MAGIC('c', 'u', 'r', 's')

static struct cursor *cursor_of_reader(const struct tail_reader *reader)
{
	struct cursor *cursor = container_of((struct tail_reader *)(uintptr_t)reader, struct cursor, reader);

	must(cursor->magic == CURSOR_MAGIC);
	return cursor;
}

/* ---- the mark ----------------------------------------------------------------------------------------------------- */

/* The lowest offset that reading needs again, whatever the answers are. */
static uint64_t reading_floor(const struct cursor *cursor)
{
	uint64_t floor = joiner_floor(&cursor->joiner);

	if (cursor->read_offset < floor)
		floor = cursor->read_offset;
	if (cursor->skip_from < floor)
		floor = cursor->skip_from;
	return floor;
}

static void move_mark(struct cursor *cursor)
{
	uint64_t offset = ledger_mark(&cursor->ledger, reading_floor(cursor));

	must(offset >= cursor->mark.offset);
	if (offset == cursor->mark.offset)
		return;
	cursor->mark.offset = offset;
	cursor->mark.size = cursor->reader.tail->size;
	if (cursor->env->checkpoint != NULL)
		checkpoint_touch(cursor->env->checkpoint, &cursor->mark);
}

static bool ended(const struct cursor *cursor)
{
	const struct tail *tail = cursor->reader.tail;

	if (cursor->given_up) /* and has had its turn since */
		return cursor->passed && joiner_floor(&cursor->joiner) == UINT64_MAX;
	return cursor->at_end && (tail->truncated || tail->unlinked) && cursor->read_offset >= tail->size &&
	       joiner_floor(&cursor->joiner) == UINT64_MAX;
}

bool cursor_is_done(const struct cursor *cursor)
{
	uint64_t safe = cursor->env->checkpoint != NULL ? cursor->mark.synced_offset : cursor->mark.offset;

	return ended(cursor) && ledger_is_empty(&cursor->ledger) && cursor->lent_count == 0 && safe >= cursor->mark.offset;
}

/* A last look before the descriptor goes: did a writer that still holds the file add to it? */
static bool has_grown(const struct cursor *cursor)
{
	const struct tail *tail = cursor->reader.tail;
	char byte;

	return !cursor->given_up && !tail->truncated && tail->gzip == NULL && tail_read(tail, &byte, 1, cursor->read_offset) > 0;
}

/* All is acknowledged and the file is gone: the mark has to be on disk for good before the descriptor goes. */
static void finish_if_done(struct cursor *cursor)
{
	if (cursor->is_gone || !ended(cursor) || !ledger_is_empty(&cursor->ledger) || cursor->lent_count != 0)
		return;
	if (!cursor_is_done(cursor)) {
		checkpoint_sync(cursor->env->checkpoint);
	} else if (has_grown(cursor)) {
		cursor_make_ready(cursor);
	} else {
		cursor->is_gone = true;
		cursor->env->gone_count++;
		cursor->env->wake(cursor->env);
	}
}

static void on_moved(struct ledger *ledger)
{
	struct cursor *cursor = container_of(ledger, struct cursor, ledger);

	move_mark(cursor);
	finish_if_done(cursor);
}

static int describe_mark(struct mark *mark, uint32_t *ret_len, uint64_t *ret_hash)
{
	const struct cursor *cursor = container_of(mark, struct cursor, mark);

	return tail_mark_hash(cursor->reader.tail, mark->offset, ret_len, ret_hash);
}

static void on_committed(struct mark *mark)
{
	finish_if_done(container_of(mark, struct cursor, mark));
}

/* ---- what the tail asks ------------------------------------------------------------------------------------------- */

/* Also while nothing is acknowledged the checkpoint has to know how long the file is: else nobody could say what is lost when it is deleted
 * while no collector runs. */
static void note_size(struct cursor *cursor, uint64_t step)
{
	uint64_t size = cursor->reader.tail->size;

	if (cursor->env->checkpoint == NULL || cursor->given_up || size < cursor->mark.size + step)
		return;
	cursor->mark.size = size;
	checkpoint_touch(cursor->env->checkpoint, &cursor->mark);
}

static void on_wake(struct tail_reader *reader)
{
	struct cursor *cursor = cursor_of_reader(reader);

	note_size(cursor, SIZE_STEP);
	if (cursor->route.version != reader->tail->container->origin.metadata_version)
		cursor_recall(cursor); /* what it waits for may be the lane of others by now */
	else
		cursor_make_ready(cursor);
}

static uint64_t needs_from(const struct tail_reader *reader)
{
	const struct cursor *cursor = cursor_of_reader(reader);

	return cursor->given_up ? UINT64_MAX : cursor->mark.offset;
}

static void give_up(struct cursor *cursor)
{
	cursor->given_up = true;
	cursor->at_end = true;
	cursor_recall(cursor); /* its turn lets chains go and opens the gate for its successor */
}

static void on_give_up(struct tail_reader *reader)
{
	struct cursor *cursor = cursor_of_reader(reader);
	const struct tail *tail = reader->tail;

	if (cursor->given_up)
		return;
	if (tail->size > cursor->read_offset)
		metric_add(cursor->env->lost_hold, tail->size - cursor->read_offset);
	give_up(cursor);
}

void cursor_dismiss(struct cursor *cursor)
{
	if (cursor->given_up)
		return;
	cursor->is_dismissed = true;
	give_up(cursor);
}

/* ---- records ------------------------------------------------------------------------------------------------------ */

/* The constant tail of its records is made anew when the metadata are others. */
static void prepare(struct cursor *cursor)
{
	const struct cursor_env *env = cursor->env;
	const struct origin *origin = &cursor->reader.tail->container->origin;

	buf_clear(&cursor->prepared);
	env->format->prepare(env->format_options, &cursor->reader.tail->source, &cursor->prepared);
	must(!cursor->prepared.overflowed);
	cursor->prepared_version = origin->metadata_version;
}

static void follow_metadata(struct cursor *cursor)
{
	const struct origin *origin = &cursor->reader.tail->container->origin;

	if (cursor->prepared_version != origin->metadata_version)
		prepare(cursor);
	if (origin->metadata == NULL && cursor->env->missing != NULL)
		metric_add(cursor->env->missing, 1);
}

/* The lowest offset that is needed again if this record is lost: its own start, or that of a chain or skipped line before it. */
static uint64_t floor_of(const struct cursor *cursor, uint64_t record_offset)
{
	uint64_t floor = joiner_floor(&cursor->joiner);

	if (record_offset < floor)
		floor = record_offset;
	if (cursor->skip_from < floor)
		floor = cursor->skip_from;
	return floor;
}

static const struct source *source_of(const struct cursor *cursor)
{
	return &cursor->reader.tail->source;
}

/* Posts a whole record to the account and hands it on.  `here` = its bytes in this file; they are partial or just read until now. */
static void emit(struct cursor *cursor, struct record *record, uint64_t cut_bytes)
{
	struct carried *carried = &cursor->carried[record->stream];
	uint64_t own_offset = record->offset, encode_cut = 0;
	struct batch_entry entry = {
		.record = record,
		.source = source_of(cursor),
		.ledger = &cursor->ledger,
		.floor = floor_of(cursor, own_offset),
		.format = cursor->env->format,
		.format_options = cursor->env->format_options,
		.record_limit = cursor->env->gatherer->record_limit,
	};

	follow_metadata(cursor);
	entry.prepared = cursor->prepared.data;
	entry.prepared_len = cursor->prepared.len;
	if (cut_bytes > record->source_bytes) /* what was cut stands in the file before */
		cut_bytes = record->source_bytes;
	record->source_bytes -= cut_bytes;
	if (carried->from != NULL) {
		record->offset = carried->offset;
		entry.source = carried->source;
		entry.carried_ledger = &carried->from->ledger;
		entry.carried_span = carried->span;
		entry.carried_bytes = carried->bytes;
		account_move(&carried->from->ledger.account, ACCOUNT_PARTIAL, ACCOUNT_OPEN, carried->bytes);
		must(carried->from->lent_count > 0);
		carried->from->lent_count--;
		*carried = (struct carried){0};
	}
	if (FAULT("cursor.forget"))
		return;
	/* Before the batch can be sealed, and its bytes moved on, they have to be open. */
	account_add(&cursor->ledger.account, ACCOUNT_OPEN, record->source_bytes);
	account_drop(&cursor->ledger.account, DROP_TRUNCATED, cut_bytes);
	gatherer_add(cursor->env->gatherer, &cursor->route, &entry, &encode_cut);
	if (encode_cut != 0)
		account_move_to_drop(&cursor->ledger.account, ACCOUNT_OPEN, DROP_TRUNCATED, encode_cut);
	metric_add(cursor->env->records, 1);
}

static void take_unparsed(struct cursor *cursor, const char *line, size_t len, uint64_t offset, uint64_t source_bytes)
{
	char time[CLOCK_TEXT_BYTES];
	int64_t now_ns = clock_wall_ns();
	size_t max = cursor->env->max_record;
	struct record record = {
		.time = time,
		.time_ns = now_ns,
		.text = line,
		.len = len <= max ? len : max,
		.offset = offset,
		.source_bytes = source_bytes,
		.stream = RECORD_UNKNOWN,
		.truncated = len > max,
		.unparsed = true,
	};

	clock_format_ns(time, now_ns);
	record.time_len = strlen(time);
	emit(cursor, &record, len - record.len);
}

/* One line without its newline; source_bytes counts the newline too, if there is one. */
static void take_line(struct cursor *cursor, const char *line, size_t len, uint64_t offset, uint64_t source_bytes, uint64_t now_ms)
{
	struct joiner *joiner = &cursor->joiner;
	uint64_t waiting = joiner_pending_bytes(joiner), cut_bytes = 0;
	struct piece piece;
	struct record record;

	account_read(&cursor->ledger.account, source_bytes);
	if (!cri_parse(&cursor->timestamps, line, len, &piece) &&
	    (len == 0 || line[0] != '{' ||
		    !docker_json_parse(&cursor->timestamps, line, len, &cursor->env->buffer->unescaped, &piece))) {
		take_unparsed(cursor, line, len, offset, source_bytes);
		return;
	}
	if (!joiner_take(joiner, &piece, offset, source_bytes, now_ms, &record, &cut_bytes)) {
		account_add(&cursor->ledger.account, ACCOUNT_PARTIAL, source_bytes);
		return;
	}
	waiting -= joiner_pending_bytes(joiner);
	if (waiting != 0) /* the pieces that waited go with the record */
		account_take(&cursor->ledger.account, ACCOUNT_PARTIAL, waiting);
	emit(cursor, &record, cut_bytes);
}

/* ---- lines -------------------------------------------------------------------------------------------------------- */

/* NUL bytes at the start of a line are a hole in the file (a crash, a truncation without O_APPEND): counted and passed over. */
static size_t skip_nuls(struct cursor *cursor, const char *bytes, size_t len)
{
	size_t count = 0;

	while (count < len && bytes[count] == '\0')
		count++;
	if (count != 0) {
		account_read(&cursor->ledger.account, count);
		account_drop(&cursor->ledger.account, DROP_NUL, count);
		cursor->read_offset += count;
	}
	return count;
}

/* The rest of an overlong line: bytes taken, up to and with the newline. */
static size_t skip_rest(struct cursor *cursor, const char *bytes, size_t len)
{
	const char *newline = memchr(bytes, '\n', len);
	size_t taken = newline != NULL ? (size_t)(newline + 1 - bytes) : len;

	account_read(&cursor->ledger.account, taken);
	account_drop(&cursor->ledger.account, DROP_TRUNCATED, taken);
	cursor->read_offset += taken;
	if (newline != NULL)
		cursor->skip_from = UINT64_MAX;
	return taken;
}

/* Asked for each line: what a pod's metadata are makes a record of any length of a short one. */
static bool has_room(const struct cursor *cursor)
{
	struct gatherer *gatherer = cursor->env->gatherer;

	return gatherer->shipper->memory_used < gatherer->memory_limit && gatherer_may_go_on(gatherer, &cursor->route);
}

/* Takes whole lines; returns how many bytes were taken. Stops early when memory is used up, or the lane is more than full. */
static size_t take_lines(struct cursor *cursor, const char *bytes, size_t len, uint64_t now_ms)
{
	const char *at = bytes, *end = bytes + len;

	while (at < end && has_room(cursor)) {
		const char *newline;
		uint64_t offset;

		if (cursor->skip_from != UINT64_MAX) {
			at += skip_rest(cursor, at, (size_t)(end - at));
			continue;
		}
		if (*at == '\0')
			at += skip_nuls(cursor, at, (size_t)(end - at));
		newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
		if (newline == NULL)
			break;
		offset = cursor->read_offset;
		cursor->read_offset += (uint64_t)(newline + 1 - at);
		take_line(cursor, at, (size_t)(newline - at), offset, (uint64_t)(newline + 1 - at), now_ms);
		at = newline + 1;
	}
	return (size_t)(at - bytes);
}

/* A line that fills the whole buffer: what is here becomes the record, cut; the rest is skipped up to its newline. */
static void take_overlong(struct cursor *cursor, const char *bytes, size_t len, uint64_t now_ms)
{
	uint64_t offset = cursor->read_offset;

	cursor->read_offset += len;
	cursor->skip_from = offset;
	take_line(cursor, bytes, len, offset, len, now_ms);
}

/* ---- the end of a file -------------------------------------------------------------------------------------------- */

struct cursor *cursor_find(const struct cursor_env *env, const struct tail *tail)
{
	struct tail_reader *reader;

	DL_FOREACH (tail->readers, reader)
		if (reader->wake == on_wake && cursor_of_reader(reader)->env == env)
			return cursor_of_reader(reader);
	return NULL;
}

static struct cursor *neighbour(const struct cursor *cursor, const struct tail *tail)
{
	return tail != NULL ? cursor_find(cursor->env, tail) : NULL;
}

static struct tail *predecessor_of(const struct cursor *cursor)
{
	const struct tail *tail = cursor->reader.tail;

	return tail->container->tails != tail ? tail->prev : NULL; /* the list's first has the last as its prev */
}

/* The nearest earlier file that this output still reads, if any, must have been passed. */
static bool may_read(struct cursor *cursor)
{
	const struct tail *first = cursor->reader.tail->container->tails;

	for (struct tail *tail = predecessor_of(cursor); !cursor->is_open && tail != NULL; tail = tail != first ? tail->prev : NULL) {
		const struct cursor *before = neighbour(cursor, tail);

		if (before == NULL)
			continue;
		if (!before->passed)
			return false;
		break;
	}
	cursor->is_open = true;
	return true;
}

/* Has it handed on what is not settled yet?  A chain that a successor is finishing was not handed on. */
static bool has_under_way(const struct cursor *cursor)
{
	const uint64_t *terms = cursor->ledger.account.terms;

	return terms[ACCOUNT_OPEN] != 0 || terms[ACCOUNT_IN_FLIGHT] != 0;
}

/* Where other metadata lead a container to another lane, it goes there when nothing of it, in any of its files, is under way in the old one: else what
 * waits there to be sent again would be overtaken. */
static bool may_move(struct cursor *cursor)
{
	const struct gatherer *gatherer = cursor->env->gatherer;
	const struct container *container = cursor->reader.tail->container;
	const struct tail *tail;

	if (cursor->route.lane != NULL && cursor->route.version == container->origin.metadata_version)
		return true;
	DL_FOREACH (container->tails, tail) {
		struct cursor *other = cursor_find(cursor->env, tail);

		if (other != NULL && has_under_way(other) && gatherer_has_turned(gatherer, &other->route, &container->origin))
			return false;
	}
	if (gatherer_has_turned(gatherer, &cursor->route, &container->origin))
		gatherer_leave(cursor->env->gatherer, &cursor->route);
	return true;
}

/* Open chains go on in the next file of the same run of the container. */
static void hand_over_chains(struct cursor *cursor, struct cursor *next)
{
	for (size_t stream = 0; stream < 3; stream++) {
		struct chain *chain = &cursor->joiner.chains[stream];
		struct carried *carried = &cursor->carried[stream], *to = &next->carried[stream];

		if (!chain->begun || next->joiner.chains[stream].begun || to->from != NULL || carried->from != NULL)
			continue; /* a chain over three files is delivered as partial when its time is up */
		*to = (struct carried){
			.from = cursor,
			.span = ledger_open(&cursor->ledger, floor_of(cursor, chain->offset)),
			.bytes = chain->source_bytes,
			.source = source_of(cursor),
			.offset = chain->offset,
		};
		cursor->lent_count++;
		next->joiner.chains[stream] = *chain;
		next->joiner.chains[stream].offset = next->read_offset;
		next->joiner.chains[stream].source_bytes = 0;
		*chain = (struct chain){0};
		buf_init(&chain->text, next->joiner.chains[stream].text.limit);
		cursor_want_attention(next, true);
	}
}

static void pass(struct cursor *cursor)
{
	struct tail *successor = cursor->reader.tail->next;
	struct cursor *next;

	if (cursor->passed || (successor == NULL && !cursor->given_up))
		return;
	cursor->passed = true;
	for (; successor != NULL; successor = successor->next) {
		next = neighbour(cursor, successor);
		if (next == NULL)
			continue;
		if (successor->name.restart == cursor->reader.tail->name.restart)
			hand_over_chains(cursor, next);
		cursor_make_ready(next);
		break;
	}
}

static void expire_chains(struct cursor *cursor, uint64_t before_ms)
{
	struct record record;
	uint64_t cut_bytes;

	while (joiner_expire(&cursor->joiner, before_ms, &record, &cut_bytes)) {
		account_take(&cursor->ledger.account, ACCOUNT_PARTIAL, record.source_bytes);
		emit(cursor, &record, cut_bytes);
	}
	joiner_trim(&cursor->joiner);
}

/* An unfinished last line that nobody will finish: delivered as it is. */
static void take_leftover(struct cursor *cursor, const char *bytes, size_t len, uint64_t now_ms)
{
	uint64_t offset = cursor->read_offset;

	cursor->read_offset += len;
	cursor->leftover_bytes = 0;
	take_line(cursor, bytes, len, offset, len, now_ms);
}

/* The turn has read to the end: len bytes of an unfinished line are left in bytes. */
static void reach_end(struct cursor *cursor, const char *bytes, size_t len, uint64_t now_ms)
{
	const struct tail *tail = cursor->reader.tail;
	bool is_over = tail->unlinked || tail->truncated;

	if (len != cursor->leftover_bytes) {
		cursor->leftover_bytes = len;
		cursor->leftover_since_ms = now_ms;
	}
	if (len != 0 && (is_over || tail->next != NULL)) {
		if (now_ms - cursor->leftover_since_ms < cursor->env->settle_ms) {
			cursor_want_attention(cursor, true);
			return; /* its writer may be in the middle of it */
		}
		take_leftover(cursor, bytes, len, now_ms);
	}
	cursor->at_end = true;
	if (tail->next != NULL)
		pass(cursor);
	if (is_over)
		expire_chains(cursor, UINT64_MAX);
	cursor_want_attention(cursor, joiner_floor(&cursor->joiner) != UINT64_MAX);
	move_mark(cursor);
	finish_if_done(cursor);
}

/* The file was cut under the reader: what it had not read is gone. */
static void end_truncated(struct cursor *cursor, uint64_t now_ms)
{
	const struct tail *tail = cursor->reader.tail;

	if (tail->size > cursor->read_offset) {
		uint64_t lost = tail->size - cursor->read_offset;

		metric_add(cursor->env->lost_truncated, lost);
		log_warn("file was truncated before it was read", "output=%s path=%s lost_bytes=%llu", cursor->env->output,
			log_quote(tail->path), (unsigned long long)lost);
		cursor->read_offset = tail->size;
	}
	cursor->skip_from = UINT64_MAX;
	reach_end(cursor, NULL, 0, now_ms);
}

static void end_given_up(struct cursor *cursor)
{
	if (!cursor->is_dismissed) /* that one's mark is for another time, and stays at the line's start */
		cursor->skip_from = UINT64_MAX;
	pass(cursor);
	expire_chains(cursor, UINT64_MAX);
	cursor_want_attention(cursor, false);
	move_mark(cursor);
	finish_if_done(cursor);
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

static size_t read_size(const struct cursor *cursor, size_t wanted)
{
	uint64_t left = cursor->stop_at > cursor->read_offset ? cursor->stop_at - cursor->read_offset : 0;

	return cursor->env->reads_to_stop && left < wanted ? (size_t)left : wanted;
}

/* A compressed file is damaged from here on.  How much was in the rest nobody knows: what it says of its size is part of the damage. */
static void meet_damage(struct cursor *cursor)
{
	struct tail *tail = cursor->reader.tail;

	if (!tail->is_damaged)
		metric_add(cursor->env->damaged_files, 1);
	tail->is_damaged = true;
	give_up(cursor);
}

/* Did a short read end before damage instead of at the end? */
static bool is_damaged_at(const struct tail *tail, uint64_t offset)
{
	char byte;

	return tail->gzip != NULL && tail_read(tail, &byte, 1, offset) == -EBADMSG;
}

static void fail_to_read(struct cursor *cursor, int error)
{
	const struct tail *tail = cursor->reader.tail;

	cursor_rest(cursor); /* the next growth or sweep wakes it again */
	if (cursor->is_patient) {
		cursor_want_attention(cursor, true);
		return;
	}
	log_warn("cannot read", "output=%s path=%s offset=%llu error=%s", cursor->env->output, log_quote(tail->path),
		(unsigned long long)cursor->read_offset, log_quote(strerror(-error)));
	if (tail->gzip != NULL && error == -EBADMSG)
		meet_damage(cursor);
}

/* Reads and takes once with a buffer of `wanted` bytes.  Returns false if a longer line needs a longer read. */
static bool read_once(struct cursor *cursor, size_t wanted, uint64_t now_ms)
{
	struct cursor_env *env = cursor->env;
	size_t size = read_size(cursor, wanted), taken;
	ssize_t len = size != 0 ? tail_read(cursor->reader.tail, env->buffer->bytes, size, cursor->read_offset) : 0;

	cursor->is_patient = len == -EAGAIN;
	if (len < 0) {
		fail_to_read(cursor, (int)len);
		return true;
	}
	taken = take_lines(cursor, env->buffer->bytes, (size_t)len, now_ms);
	if (cursor->passed)
		env->late_bytes += taken;
	if (taken == 0 && (size_t)len == wanted && has_room(cursor)) {
		if (wanted < env->buffer->size)
			return false;
		take_overlong(cursor, env->buffer->bytes, (size_t)len, now_ms);
	} else if ((size_t)len < wanted && has_room(cursor)) { /* short: the end, as far as it is written or wanted */
		cursor_rest(cursor);
		if (is_damaged_at(cursor->reader.tail, cursor->read_offset + (size_t)len - taken)) {
			fail_to_read(cursor, -EBADMSG);
			return true;
		}
		reach_end(cursor, env->buffer->bytes + taken, (size_t)len - taken, now_ms);
		return true;
	}
	cursor->at_end = false;
	cursor_want_attention(cursor, joiner_floor(&cursor->joiner) != UINT64_MAX);
	return true;
}

void cursor_turn(struct cursor *cursor, uint64_t now_ms)
{
	size_t wanted;

	must(cursor->magic == CURSOR_MAGIC);
	if (cursor->is_gone || !may_read(cursor)) {
		cursor_rest(cursor);
		return;
	}
	if (!may_move(cursor)) {
		cursor_park(cursor);
		return;
	}
	if (cursor->given_up || cursor->reader.tail->truncated) {
		cursor_rest(cursor);
		if (cursor->given_up)
			end_given_up(cursor);
		else
			end_truncated(cursor, now_ms);
		return;
	}
	if (cursor->reader.tail->container->awaits_metadata) {
		cursor_rest(cursor); /* whoever waits for them wakes the tail */
		return;
	}
	wanted = gatherer_room_of(cursor->env->gatherer, &cursor->route);
	if (wanted == 0) {
		cursor_park(cursor);
		return;
	}
	if (!cursor->reader.tail->has_first_line && cursor->env->format_options->record_id && !cursor->reader.tail->unlinked &&
	    !cursor->env->reads_to_stop) {
		cursor_rest(cursor); /* the identity is known when the first line is whole; the tail wakes us then */
		return;
	}
	while (!read_once(cursor, wanted, now_ms))
		wanted = wanted < READ_BYTES ? READ_BYTES : cursor->env->buffer->size;
	joiner_trim(&cursor->joiner);
}

void cursor_attend(struct cursor *cursor, uint64_t now_ms)
{
	uint64_t timeout = cursor->env->partial_timeout_ms;

	if (now_ms > timeout && may_move(cursor))
		expire_chains(cursor, now_ms - timeout);
	if (cursor->leftover_bytes != 0 || cursor->is_patient)
		cursor_make_ready(cursor);
	else
		cursor_want_attention(cursor, joiner_floor(&cursor->joiner) != UINT64_MAX);
	move_mark(cursor);
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

struct cursor *cursor_new(struct cursor_env *env, struct tail *tail, struct segment *segment, uint64_t offset)
{
	struct cursor *cursor = x_new(cursor);

	cursor->magic = CURSOR_MAGIC;
	cursor->env = env;
	cursor->reader = (struct tail_reader){.wake = on_wake, .needs_from = needs_from, .give_up = on_give_up};
	cursor->read_offset = offset;
	cursor->stop_at = tail->size;
	cursor->skip_from = UINT64_MAX;
	ledger_init(&cursor->ledger, env->total, on_moved);
	joiner_init(&cursor->joiner, env->max_record);
	buf_init(&cursor->prepared, FORMAT_PREPARED_BYTES);
	cursor->mark = (struct mark){
		.segment = segment,
		.output = env->output,
		.offset = offset,
		.size = tail->size,
		.durable_offset = offset,
		.synced_offset = offset,
		.describe = describe_mark,
		.committed = on_committed,
	};
	if (env->checkpoint != NULL)
		checkpoint_attach(env->checkpoint, &cursor->mark);
	tail_attach(tail, &cursor->reader);
	prepare(cursor);
	cursor_make_ready(cursor);
	return cursor;
}

void cursor_free(struct cursor *cursor)
{
	must(cursor->magic == CURSOR_MAGIC);
	cursor_leave_lists(cursor);
	gatherer_leave(cursor->env->gatherer, &cursor->route);
	account_unread(&cursor->ledger.account);
	note_size(cursor, 1);
	if (cursor->env->checkpoint != NULL)
		checkpoint_detach(cursor->env->checkpoint, &cursor->mark);
	tail_detach(&cursor->reader);
	joiner_release(&cursor->joiner);
	ledger_release(&cursor->ledger);
	buf_release(&cursor->prepared);
	cursor->magic = 0;
	free(cursor);
}

uint64_t cursor_lag(const struct cursor *cursor)
{
	uint64_t size = cursor->reader.tail->size;

	return !cursor->given_up && size > cursor->mark.offset ? size - cursor->mark.offset : 0;
}

bool cursor_has_read_all(const struct cursor *cursor)
{
	return cursor->is_gone || (!cursor->is_ready && !cursor->is_parked && cursor->at_end);
}
