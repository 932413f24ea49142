/* Joiner.  One chain a stream; a whole record that finds no chain goes through untouched.  Pure.
 *
 * Stands between the line parsers and the gatherer, inside a cursor.  Owns the text of unfinished records, at
 * most max_record of each.  Refuses to know files: offsets and byte counts are what the cursor says. */
#include "config.h"
#include "collector/joiner.h"

#include <string.h>

#include "common/must.h"

#define CHAINS 3

void joiner_init(struct joiner *joiner, size_t max_record)
{
	*joiner = (struct joiner){.max_record = max_record};
	for (size_t i = 0; i < CHAINS; i++)
		buf_init(&joiner->chains[i].text, max_record);
}

void joiner_release(struct joiner *joiner)
{
	for (size_t i = 0; i < CHAINS; i++)
		buf_release(&joiner->chains[i].text);
}

void joiner_trim(struct joiner *joiner)
{
	for (size_t i = 0; i < CHAINS; i++)
		if (!joiner->chains[i].begun)
			buf_release(&joiner->chains[i].text);
}

/* Appends what max_record leaves room for; returns how many bytes it cut. */
static uint64_t extend(struct joiner *joiner, struct chain *chain, const char *text, size_t len)
{
	size_t room = joiner->max_record - chain->text.len, taken = len < room ? len : room;

	must(buf_add(&chain->text, text, taken));
	if (taken < len)
		chain->truncated = true;
	return len - taken;
}

static void begin(struct chain *chain, const struct piece *piece, uint64_t offset)
{
	size_t len = piece->time_len < sizeof chain->time ? piece->time_len : sizeof chain->time;

	buf_clear(&chain->text);
	chain->begun = true;
	chain->truncated = false;
	chain->offset = offset;
	chain->source_bytes = 0;
	chain->cut_bytes = 0;
	chain->time_ns = piece->time_ns;
	memcpy(chain->time, piece->time, len);
	chain->time_len = len;
}

/* The chain as a record; it is empty afterwards, but its text stays until the next call. */
static void finish(
    struct chain *chain, enum record_stream stream, struct record *ret_record, uint64_t *ret_cut_bytes)
{
	*ret_record = (struct record){
	    .time = chain->time,
	    .time_len = chain->time_len,
	    .time_ns = chain->time_ns,
	    .text = chain->text.data != NULL ? chain->text.data : "",
	    .len = chain->text.len,
	    .offset = chain->offset,
	    .source_bytes = chain->source_bytes,
	    .stream = stream,
	    .truncated = chain->truncated,
	};
	*ret_cut_bytes = chain->cut_bytes;
	chain->begun = false;
}

static void pass_through(const struct joiner *joiner, const struct piece *piece, uint64_t offset,
    uint64_t source_bytes, struct record *ret_record, uint64_t *ret_cut_bytes)
{
	size_t len = piece->len < joiner->max_record ? piece->len : joiner->max_record;

	*ret_record = (struct record){
	    .time = piece->time,
	    .time_len = piece->time_len,
	    .time_ns = piece->time_ns,
	    .text = piece->text,
	    .len = len,
	    .offset = offset,
	    .source_bytes = source_bytes,
	    .stream = piece->stream,
	    .truncated = len < piece->len,
	};
	*ret_cut_bytes = piece->len - len;
}

bool joiner_take(struct joiner *joiner, const struct piece *piece, uint64_t offset, uint64_t source_bytes,
    uint64_t now_ms, struct record *ret_record, uint64_t *ret_cut_bytes)
{
	struct chain *chain = &joiner->chains[piece->stream];

	if (!chain->begun && piece->is_last) {
		pass_through(joiner, piece, offset, source_bytes, ret_record, ret_cut_bytes);
		return true;
	}
	if (!chain->begun)
		begin(chain, piece, offset);
	chain->cut_bytes += extend(joiner, chain, piece->text, piece->len);
	chain->source_bytes += source_bytes;
	chain->touched_ms = now_ms;
	if (!piece->is_last)
		return false;
	finish(chain, piece->stream, ret_record, ret_cut_bytes);
	return true;
}

bool joiner_expire(
    struct joiner *joiner, uint64_t before_ms, struct record *ret_record, uint64_t *ret_cut_bytes)
{
	struct chain *oldest = NULL;

	for (size_t i = 0; i < CHAINS; i++) {
		struct chain *chain = &joiner->chains[i];

		if (chain->begun && (before_ms == UINT64_MAX || chain->touched_ms < before_ms) &&
		    (oldest == NULL || chain->offset < oldest->offset))
			oldest = chain;
	}
	if (oldest == NULL)
		return false;
	finish(oldest, (enum record_stream)(oldest - joiner->chains), ret_record, ret_cut_bytes);
	ret_record->partial = true;
	return true;
}

uint64_t joiner_floor(const struct joiner *joiner)
{
	uint64_t floor = UINT64_MAX;

	for (size_t i = 0; i < CHAINS; i++)
		if (joiner->chains[i].begun && joiner->chains[i].offset < floor)
			floor = joiner->chains[i].offset;
	return floor;
}

uint64_t joiner_pending_bytes(const struct joiner *joiner)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < CHAINS; i++)
		if (joiner->chains[i].begun)
			sum += joiner->chains[i].source_bytes;
	return sum;
}

uint64_t joiner_oldest_touch(const struct joiner *joiner)
{
	uint64_t oldest = UINT64_MAX;

	for (size_t i = 0; i < CHAINS; i++)
		if (joiner->chains[i].begun && joiner->chains[i].touched_ms < oldest)
			oldest = joiner->chains[i].touched_ms;
	return oldest;
}
