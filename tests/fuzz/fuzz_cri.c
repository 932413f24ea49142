/* A CRI log file from its bytes to records, step by step against a plain model.
 *
 *   byte 0    max_record, 1 to 256
 *   byte 1    bit 0: record_id; the rest: the room that a record's text gets when it is encoded
 *   rest      lines.  A line "+N" moves the clock by N (one digit) times 100 ms and expires what is older
 * than 500 ms.
 *
 * Each line is parsed by cri_parse and by regular expression and C library, joined by the joiner and by a
 * model that keeps whole texts, and every record is encoded and read back by a reader of JSON. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>
#include <regex.h>
#include <stdlib.h>
#include <time.h>

#include "collector/cri.h"
#include "collector/joiner.h"
#include "common/must.h"
#include "outputs/format.h"
#include "tests/unit/reference.h"

#define TIMEOUT_MS 500

static const struct origin origin = {
    .namespace_name = "team-a", .pod = "api-0", .uid = "0f8fad5b-d9cb-469f-a165-70867728950e",
    .container = "app", .node = "node-1"};
static const struct source source = {&origin, 0x0123456789abcdef, 3};

/* ---- the plain way to read a line ---- */

static int64_t number(const char *text, const regmatch_t *match)
{
	return match->rm_so < 0 ? 0 : strtoll(text + match->rm_so, NULL, 10);
}

static int64_t fraction_ns(const char *text, const regmatch_t *match)
{
	char digits[10] = "000000000";
	size_t len = match->rm_so < 0 ? 0 : (size_t)(match->rm_eo - match->rm_so - 1);

	memcpy(digits, text + match->rm_so + 1, len < 9 ? len : 9);
	return strtoll(digits, NULL, 10);
}

static bool model_time(const char *text, int64_t *ret_ns)
{
	static const char pattern[] =
	    "^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(\\.[0-9]+)?"
	    "(Z|([+-])([0-9]{2}):([0-9]{2}))$";
	static regex_t regex;
	static bool is_compiled;
	regmatch_t at[12];
	struct tm tm = {0}, again;
	time_t seconds;
	int64_t second, ns, offset;

	if (!is_compiled)
		must(regcomp(&regex, pattern, REG_EXTENDED) == 0);
	is_compiled = true;
	if (strlen(text) > TIMESTAMP_MAX || regexec(&regex, text, 12, at, 0) != 0)
		return false;
	second = number(text, &at[6]);
	offset = number(text, &at[10]) * 60 + number(text, &at[11]);
	if (second > 60 || number(text, &at[10]) > 23 || number(text, &at[11]) > 59)
		return false;
	tm.tm_year = (int)number(text, &at[1]) - 1900;
	tm.tm_mon = (int)number(text, &at[2]) - 1;
	tm.tm_mday = (int)number(text, &at[3]);
	tm.tm_hour = (int)number(text, &at[4]);
	tm.tm_min = (int)number(text, &at[5]);
	again = tm;
	seconds = timegm(&again);
	if (again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday || again.tm_hour != tm.tm_hour ||
	    again.tm_min != tm.tm_min || tm.tm_year < 70 || tm.tm_year > 361)
		return false;
	ns = second == 60 ? 59999999999 : second * 1000000000 + fraction_ns(text, &at[7]);
	if (at[9].rm_so >= 0 && text[at[9].rm_so] == '-')
		offset = -offset;
	*ret_ns = ((int64_t)seconds - offset * 60) * 1000000000 + ns;
	return true;
}

/* line ends in a NUL that does not belong to it. */
static bool model_line(const char *line, size_t len, struct piece *ret_piece)
{
	const char *end = line + len, *first = memchr(line, ' ', len), *second, *third;
	char *time;
	bool is_time;

	*ret_piece = (struct piece){.time = line};
	if (first == NULL || (second = memchr(first + 1, ' ', (size_t)(end - first - 1))) == NULL)
		return false;
	third = memchr(second + 1, ' ', (size_t)(end - second - 1));
	if (third == NULL)
		third = end;
	if (third == second + 1 || (second[1] != 'P' && second[1] != 'F') ||
	    (third > second + 2 && second[2] != ':'))
		return false;
	if (second - first != 7 ||
	    (memcmp(first + 1, "stdout", 6) != 0 && memcmp(first + 1, "stderr", 6) != 0))
		return false;
	ret_piece->time_len = (size_t)(first - line);
	time = xstrndup(line, ret_piece->time_len);
	is_time = strlen(time) == ret_piece->time_len && model_time(time, &ret_piece->time_ns);
	free(time);
	ret_piece->stream = first[4] == 'o' ? RECORD_STDOUT : RECORD_STDERR;
	ret_piece->is_last = second[1] == 'F';
	ret_piece->text = third < end ? third + 1 : end;
	ret_piece->len = (size_t)(end - ret_piece->text);
	return is_time;
}

static bool same_piece(const struct piece *a, const struct piece *b)
{
	return a->time == b->time && a->time_len == b->time_len && a->time_ns == b->time_ns &&
	       a->text == b->text && a->len == b->len && a->stream == b->stream && a->is_last == b->is_last;
}

/* ---- the plain way to join ---- */

struct model_chain {
	struct buf text; /* whole, never cut */
	bool begun;
	char time[TIMESTAMP_MAX];
	size_t time_len;
	int64_t time_ns;
	uint64_t offset, source_bytes, touched_ms;
};

struct world {
	struct joiner joiner;
	struct model_chain chains[2];
	size_t max_record;
	struct format_options options;
	size_t room; /* of a text */
	struct timestamp_cache cache;
	struct buf prepared;
	uint64_t now_ms;
	uint64_t in_bytes, out_bytes; /* of lines taken, and of records */
};

static void check_encoded(
    const struct world *world, const struct record *record, const char *out, size_t len, size_t taken)
{
	cJSON *object = cJSON_ParseWithLength(out, len), *log = cJSON_GetObjectItem(object, "log");
	char *repaired = xmalloc(3 * record->len + 1), *time = xstrndup(record->time, record->time_len);
	size_t repaired_len = reference_repair(repaired, record->text, taken);

	must(object != NULL && cJSON_IsString(log));
	must(memcmp(log->valuestring, repaired, repaired_len) == 0 && log->valuestring[repaired_len] == '\0');
	must(strcmp(cJSON_GetObjectItem(object, "time")->valuestring, time) == 0);
	must(strcmp(cJSON_GetObjectItem(object, "stream")->valuestring, record_stream_name(record->stream)) ==
	     0);
	must(cJSON_HasObjectItem(object, "id") == world->options.record_id);
	must(cJSON_HasObjectItem(object, "partial") == record->partial);
	must(cJSON_HasObjectItem(object, "truncated") == (record->truncated || taken < record->len));
	free(time);
	free(repaired);
	cJSON_Delete(object);
}

static void encode(const struct world *world, const struct record *record)
{
	struct record empty = {.time_len = record->time_len};
	size_t bound = format_ndjson.bound(record, world->prepared.len), room, len, taken;
	char *out;

	room = format_ndjson.bound(&empty, world->prepared.len) + world->room;
	if (room > bound)
		room = bound;
	out = xmalloc(room);
	len = format_ndjson.encode(
	    &world->options, &source, world->prepared.data, world->prepared.len, record, out, room, &taken);
	must(len <= room && taken <= record->len);
	must(room < bound || taken == record->len);
	check_encoded(world, record, out, len, taken);
	free(out);
}

/* A record has come: it is what the model holds of that stream. */
static void check_record(struct world *world, const struct record *record, uint64_t cut_bytes)
{
	struct model_chain *chain = &world->chains[record->stream];
	size_t len = chain->text.len < world->max_record ? chain->text.len : world->max_record;

	must(chain->begun && record->len == len && cut_bytes == chain->text.len - len);
	must(len == 0 || memcmp(record->text, chain->text.data, len) == 0);
	must(record->truncated == (cut_bytes != 0) && !record->unparsed);
	must(record->time_len == chain->time_len && memcmp(record->time, chain->time, chain->time_len) == 0);
	must(record->time_ns == chain->time_ns && record->offset == chain->offset &&
	     record->source_bytes == chain->source_bytes);
	world->out_bytes += record->source_bytes;
	encode(world, record);
	chain->begun = false;
	buf_clear(&chain->text);
}

static void model_take(struct world *world, const struct piece *piece, uint64_t offset, uint64_t source_bytes)
{
	struct model_chain *chain = &world->chains[piece->stream];

	if (!chain->begun) {
		chain->begun = true;
		memcpy(chain->time, piece->time, piece->time_len);
		chain->time_len = piece->time_len;
		chain->time_ns = piece->time_ns;
		chain->offset = offset;
		chain->source_bytes = 0;
	}
	must(buf_add(&chain->text, piece->text, piece->len));
	chain->source_bytes += source_bytes;
	chain->touched_ms = world->now_ms;
}

static void check_pending(const struct world *world)
{
	uint64_t floor = UINT64_MAX, oldest = UINT64_MAX, sum = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct model_chain *chain = &world->chains[i];

		if (!chain->begun)
			continue;
		floor = chain->offset < floor ? chain->offset : floor;
		oldest = chain->touched_ms < oldest ? chain->touched_ms : oldest;
		sum += chain->source_bytes;
	}
	must(joiner_floor(&world->joiner) == floor);
	must(joiner_oldest_touch(&world->joiner) == oldest);
	must(joiner_pending_bytes(&world->joiner) == sum);
	must(world->in_bytes == world->out_bytes + sum); /* nothing is lost */
}

static void expire(struct world *world, uint64_t before_ms)
{
	struct record record;
	uint64_t cut_bytes;

	while (joiner_expire(&world->joiner, before_ms, &record, &cut_bytes)) {
		must(record.partial && world->chains[record.stream].touched_ms < before_ms);
		check_record(world, &record, cut_bytes);
	}
	for (size_t i = 0; i < 2; i++)
		must(!world->chains[i].begun || world->chains[i].touched_ms >= before_ms);
	joiner_trim(&world->joiner);
}

static void take_line(struct world *world, const char *line, size_t len, uint64_t offset)
{
	struct piece piece, expected;
	struct record record;
	uint64_t cut_bytes;
	bool is_line = model_line(line, len, &expected), is_whole;

	must(cri_parse(&world->cache, line, len, &piece) == is_line);
	if (!is_line)
		return;
	must(same_piece(&piece, &expected));
	world->in_bytes += len + 1;
	model_take(world, &piece, offset, len + 1);
	is_whole = joiner_take(&world->joiner, &piece, offset, len + 1, world->now_ms, &record, &cut_bytes);
	must(is_whole == piece.is_last);
	if (is_whole) {
		must(!record.partial);
		check_record(world, &record, cut_bytes);
	}
}

static void take_lines(struct world *world, const char *bytes, size_t len)
{
	const char *at = bytes, *end = bytes + len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t line_len = (size_t)((newline != NULL ? newline : end) - at);
		char *line =
		    xmalloc(line_len + 1); /* a block of its own, with a NUL that is not the line's */

		memcpy(line, at, line_len);
		line[line_len] = '\0';
		if (line_len == 2 && line[0] == '+' && line[1] >= '0' && line[1] <= '9') {
			world->now_ms += (uint64_t)(line[1] - '0') * 100;
			expire(world, world->now_ms - TIMEOUT_MS);
		} else {
			take_line(world, line, line_len, (uint64_t)(at - bytes));
		}
		check_pending(world);
		free(line);
		at += line_len + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct world world = {.now_ms = 10000};

	if (len < 2)
		return 0;
	world.max_record = 1 + (size_t)bytes[0];
	world.options.record_id = (bytes[1] & 1) != 0;
	world.room = bytes[1] >> 1;
	joiner_init(&world.joiner, world.max_record);
	buf_init(&world.prepared, 65536);
	format_ndjson.prepare(&world.options, &source, &world.prepared);
	for (size_t i = 0; i < 2; i++)
		buf_init(&world.chains[i].text, len);
	take_lines(&world, (const char *)bytes + 2, len - 2);
	expire(&world, UINT64_MAX);
	must(world.in_bytes == world.out_bytes);
	joiner_release(&world.joiner);
	buf_release(&world.prepared);
	for (size_t i = 0; i < 2; i++)
		buf_release(&world.chains[i].text);
	return 0;
}
