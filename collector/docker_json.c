/* docker's json-file lines.  One pass over the line, members in any order, further ones skipped.  Pure.
 *
 * Stands beside cri.c for files that docker writes.  Every string is unescaped into the caller's scratch,
 * which is as long as the line and so always long enough, and the log's text is left there; what is not
 * wanted is written over by the next string.
 *
 * Refuses what is no strict JSON (RFC 8259) or no line of docker's: the caller delivers such a line as it is.
 */
#include "config.h"
#include "collector/docker_json.h"

#include <string.h>

#include "common/word.h"

#define DEPTH_MAX     64 /* of arrays and objects within each other */
#define SURROGATE_LEN 6  /* "\udc00" */

/* Where reading stands, and where the next string is unescaped to. */
struct scanner {
	const char *at;
	const char *end;
	char *out;
};

static void skip_blanks(struct scanner *scanner)
{
	while (scanner->at < scanner->end &&
	       (*scanner->at == ' ' || *scanner->at == '\t' || *scanner->at == '\r' || *scanner->at == '\n'))
		scanner->at++;
}

static bool take(struct scanner *scanner, char wanted)
{
	skip_blanks(scanner);
	if (scanner->at == scanner->end || *scanner->at != wanted)
		return false;
	scanner->at++;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ---- strings --------------------------------------------------------------------------------- */

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind "\u". */
static bool take_hex(struct scanner *scanner, unsigned *ret_code)
{
	unsigned code = 0;

	if (scanner->end - scanner->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int value = hex_value(scanner->at[i]);

		if (value < 0)
			return false;
		code = code << 4 | (unsigned)value;
	}
	scanner->at += 4;
	*ret_code = code;
	return true;
}

static char *put_utf8(char *out, unsigned code)
{
	if (code < 0x80) {
		*out++ = (char)code;
		return out;
	}
	if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
	} else if (code < 0x10000) {
		*out++ = (char)(0xe0 | code >> 12);
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
	} else {
		*out++ = (char)(0xf0 | code >> 18);
		*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (code & 0x3f));
	return out;
}

/* Behind the first half of a pair of surrogates: the character, U+FFFD if the second half does not follow. */
static unsigned take_second_half(struct scanner *scanner, unsigned first)
{
	struct scanner ahead = *scanner;
	unsigned second;

	if (ahead.end - ahead.at < SURROGATE_LEN || ahead.at[0] != '\\' || ahead.at[1] != 'u')
		return 0xfffd;
	ahead.at += 2;
	if (!take_hex(&ahead, &second) || second < 0xdc00 || second > 0xdfff)
		return 0xfffd;
	*scanner = ahead;
	return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

/* What follows a backslash.  Never longer than what it was. */
static bool take_escape(struct scanner *scanner, char **out)
{
	static const char plain[0x80] = {['"'] = '"',
	    ['\\'] = '\\',
	    ['/'] = '/',
	    ['b'] = '\b',
	    ['f'] = '\f',
	    ['n'] = '\n',
	    ['r'] = '\r',
	    ['t'] = '\t'};
	unsigned char letter;
	unsigned code;

	if (scanner->at == scanner->end)
		return false;
	letter = (unsigned char)*scanner->at++;
	if (letter < sizeof plain && plain[letter] != '\0') {
		*(*out)++ = plain[letter];
		return true;
	}
	if (letter != 'u' || !take_hex(scanner, &code))
		return false;
	if (code >= 0xd800 && code <= 0xdbff)
		code = take_second_half(scanner, code);
	else if (code >= 0xdc00 && code <= 0xdfff)
		code = 0xfffd;
	*out = put_utf8(*out, code);
	return true;
}

/* Copies up to the next quote, backslash or control byte; false if the line ends before. */
static bool copy_plain(struct scanner *scanner, char **out)
{
	while (scanner->end - scanner->at >= WORD_BYTES) {
		uint64_t word = word_load(scanner->at);
		size_t plain =
		    word_first(word_below(word, 0x20) | word_equal(word, '"') | word_equal(word, '\\'));

		word_store(*out, word);
		scanner->at += plain;
		*out += plain;
		if (plain < WORD_BYTES)
			return true;
	}
	for (; scanner->at < scanner->end; scanner->at++) {
		if ((unsigned char)*scanner->at < 0x20 || *scanner->at == '"' || *scanner->at == '\\')
			return true;
		*(*out)++ = *scanner->at;
	}
	return false;
}

/* A string, unescaped to scanner->out.  Bytes of 0x80 and more are left as they are. */
static bool take_string(struct scanner *scanner, size_t *ret_len)
{
	char *out = scanner->out;

	if (!take(scanner, '"'))
		return false;
	while (copy_plain(scanner, &out)) {
		char byte = *scanner->at++;

		if (byte == '"') {
			*ret_len = (size_t)(out - scanner->out);
			return true;
		}
		if (byte != '\\' || !take_escape(scanner, &out))
			return false;
	}
	return false;
}

static bool string_is(const struct scanner *scanner, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(scanner->out, name, len) == 0;
}

/* ---- whatever else --------------------------------------------------------------------------- */

static bool skip_word(struct scanner *scanner, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(scanner->end - scanner->at) < len || memcmp(scanner->at, word, len) != 0)
		return false;
	scanner->at += len;
	return true;
}

static bool skip_digits(struct scanner *scanner)
{
	const char *start = scanner->at;

	while (scanner->at < scanner->end && is_digit(*scanner->at))
		scanner->at++;
	return scanner->at != start;
}

static bool skip_number(struct scanner *scanner)
{
	(void)skip_word(scanner, "-"); /* may be missing, as the other parts */
	if (!skip_word(scanner, "0") && !skip_digits(scanner))
		return false;
	if (skip_word(scanner, ".") && !skip_digits(scanner))
		return false;
	if (!skip_word(scanner, "e") && !skip_word(scanner, "E"))
		return true;
	if (!skip_word(scanner, "+"))
		(void)skip_word(scanner, "-");
	return skip_digits(scanner);
}

static bool skip_value(struct scanner *scanner, unsigned depth);

/* An array or an object from behind its bracket to behind the other. */
static bool skip_members(struct scanner *scanner, bool is_object, unsigned depth)
{
	char close = is_object ? '}' : ']';
	size_t len;

	if (depth == DEPTH_MAX)
		return false;
	if (take(scanner, close))
		return true;
	do {
		if (is_object && (!take_string(scanner, &len) || !take(scanner, ':')))
			return false;
		if (!skip_value(scanner, depth + 1))
			return false;
	} while (take(scanner, ','));
	return take(scanner, close);
}

static bool skip_value(struct scanner *scanner, unsigned depth)
{
	size_t len;

	skip_blanks(scanner);
	if (scanner->at == scanner->end)
		return false;
	switch (*scanner->at) {
	case '"': return take_string(scanner, &len);
	case '{':
	case '[': return skip_members(scanner, *scanner->at++ == '{', depth);
	case 't': return skip_word(scanner, "true");
	case 'f': return skip_word(scanner, "false");
	case 'n': return skip_word(scanner, "null");
	default: return skip_number(scanner);
	}
}

/* ---- the line -------------------------------------------------------------------------------- */

enum seen { SEEN_LOG = 1, SEEN_STREAM = 2, SEEN_TIME = 4, SEEN_ALL = 7 };

static bool take_log(struct scanner *scanner, struct piece *piece)
{
	if (!take_string(scanner, &piece->len))
		return false;
	piece->text = scanner->out;
	scanner->out += piece->len; /* it stays */
	piece->is_last = piece->len > 0 && piece->text[piece->len - 1] == '\n';
	if (piece->is_last)
		piece->len--;
	return true;
}

static bool take_stream(struct scanner *scanner, struct piece *piece)
{
	size_t len;

	if (!take_string(scanner, &len))
		return false;
	if (string_is(scanner, len, "stdout"))
		piece->stream = RECORD_STDOUT;
	else if (string_is(scanner, len, "stderr"))
		piece->stream = RECORD_STDERR;
	else
		return false;
	return true;
}

/* The time is given as it stands in the line, so it may hold no escapes. */
static bool take_time(struct scanner *scanner, struct piece *piece)
{
	size_t len;

	skip_blanks(scanner);
	piece->time = scanner->at + 1;
	if (!take_string(scanner, &len))
		return false;
	piece->time_len = (size_t)(scanner->at - 1 - piece->time);
	return piece->time_len == len;
}

/* One member; one that comes twice counts as it comes first. */
static bool take_member(struct scanner *scanner, struct piece *piece, unsigned *seen)
{
	static const struct {
		const char *name;
		enum seen seen;
		bool (*take_value)(struct scanner *scanner, struct piece *piece);
	} members[] = {{"log", SEEN_LOG, take_log}, {"stream", SEEN_STREAM, take_stream},
	    {"time", SEEN_TIME, take_time}};
	size_t len;

	if (!take_string(scanner, &len))
		return false;
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		if (!string_is(scanner, len, members[i].name) || (*seen & members[i].seen) != 0)
			continue;
		*seen |= members[i].seen;
		return take(scanner, ':') && members[i].take_value(scanner, piece);
	}
	return take(scanner, ':') && skip_value(scanner, 0);
}

bool docker_json_parse(
    struct timestamp_cache *cache, const char *line, size_t len, struct buf *scratch, struct piece *ret_piece)
{
	struct scanner scanner = {.at = line, .end = line + len};
	struct piece piece = {0};
	unsigned seen = 0;

	buf_clear(scratch);
	if (len == 0 || !buf_reserve(scratch, len))
		return false;
	scanner.out = scratch->data;
	if (!take(&scanner, '{'))
		return false;
	do {
		if (!take_member(&scanner, &piece, &seen))
			return false;
	} while (take(&scanner, ','));
	if (!take(&scanner, '}') || seen != SEEN_ALL)
		return false;
	skip_blanks(&scanner);
	if (scanner.at != scanner.end || !timestamp_parse(cache, piece.time, piece.time_len, &piece.time_ns))
		return false;
	*ret_piece = piece;
	return true;
}
