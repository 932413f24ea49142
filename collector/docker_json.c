/* docker's json-file lines.  One pass over the line; members in any order, unknown ones skipped.  Pure.
 *
 * Stands beside cri.c for files that docker writes.  The text is unescaped into the caller's scratch.  Strict JSON (RFC 8259) as far as it looks: what is no such
 * line is delivered as it is, by the caller. */
#include "config.h"
#include "collector/docker_json.h"

#include <ctype.h>
#include <string.h>

#define DEPTH_MAX  64 /* of what is skipped */
#define SHORT_TEXT 64 /* longest value of stream and time that is looked at */

struct scanner {
	const char *at;
	const char *end;
};

static void skip_blanks(struct scanner *scanner)
{
	while (scanner->at < scanner->end && (*scanner->at == ' ' || *scanner->at == '\t' || *scanner->at == '\r' || *scanner->at == '\n'))
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

/* ---- strings ------------------------------------------------------------------------------------------------------ */

static bool hex4(const char *text, unsigned *ret_value)
{
	*ret_value = 0;
	for (int i = 0; i < 4; i++) {
		int c = tolower((unsigned char)text[i]);

		if (!isxdigit(c))
			return false;
		*ret_value = *ret_value << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return true;
}

static bool add_utf8(struct buf *out, unsigned code)
{
	char bytes[4];
	size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = len - 1; i > 0; i--, code >>= 6)
		bytes[i] = (char)(0x80 | (code & 0x3f));
	bytes[0] = (char)(leads[len == 1 ? 0 : len] | code);
	return buf_add(out, bytes, len);
}

/* "\uXXXX" and what belongs to it: surrogates come in pairs, a lone one becomes U+FFFD. */
static bool unescape_unicode(struct scanner *scanner, struct buf *out)
{
	unsigned code, low;

	if (scanner->end - scanner->at < 4 || !hex4(scanner->at, &code))
		return false;
	scanner->at += 4;
	if (code >= 0xd800 && code <= 0xdbff && scanner->end - scanner->at >= 6 && scanner->at[0] == '\\' && scanner->at[1] == 'u' &&
	    hex4(scanner->at + 2, &low) && low >= 0xdc00 && low <= 0xdfff) {
		scanner->at += 6;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	} else if (code >= 0xd800 && code <= 0xdfff) {
		code = 0xfffd;
	}
	return out == NULL || add_utf8(out, code);
}

static bool unescape(struct scanner *scanner, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (scanner->at == scanner->end)
		return false;
	if (*scanner->at == 'u') {
		scanner->at++;
		return unescape_unicode(scanner, out);
	}
	found = *scanner->at != '\0' ? strchr(from, *scanner->at) : NULL;
	if (found == NULL)
		return false;
	scanner->at++;
	return out == NULL || buf_add(out, &to[found - from], 1);
}

/* A string's content into out (NULL: skipped).  Control bytes have to be escaped; bytes of 0x80 and more are left as they are. */
static bool take_string(struct scanner *scanner, struct buf *out)
{
	if (!take(scanner, '"'))
		return false;
	for (;;) {
		const char *start = scanner->at;

		while (scanner->at < scanner->end && *scanner->at != '"' && *scanner->at != '\\' && (unsigned char)*scanner->at >= 0x20)
			scanner->at++;
		if (out != NULL && scanner->at != start && !buf_add(out, start, (size_t)(scanner->at - start)))
			return false;
		if (scanner->at == scanner->end || (unsigned char)*scanner->at < 0x20)
			return false;
		if (*scanner->at++ == '"')
			return true;
		if (!unescape(scanner, out))
			return false;
	}
}

/* A string without escapes, as a view. */
static bool take_view(struct scanner *scanner, const char **ret_text, size_t *ret_len)
{
	if (!take(scanner, '"'))
		return false;
	*ret_text = scanner->at;
	while (scanner->at < scanner->end && *scanner->at != '"' && *scanner->at != '\\' && (unsigned char)*scanner->at >= 0x20)
		scanner->at++;
	*ret_len = (size_t)(scanner->at - *ret_text);
	if (scanner->at == scanner->end || *scanner->at != '"' || *ret_len > SHORT_TEXT)
		return false;
	scanner->at++;
	return true;
}

/* ---- whatever else ------------------------------------------------------------------------------------------------ */

/* Numbers, true, false, null: what they are made of. */
static bool skip_word(struct scanner *scanner)
{
	const char *start = scanner->at;

	while (scanner->at < scanner->end && (isalnum((unsigned char)*scanner->at) || strchr("+-.", *scanner->at) != NULL) && *scanner->at != '\0')
		scanner->at++;
	return scanner->at != start;
}

static bool skip_value(struct scanner *scanner, unsigned depth)
{
	char close;
	bool is_object;

	skip_blanks(scanner);
	if (scanner->at == scanner->end || depth == DEPTH_MAX)
		return false;
	if (*scanner->at == '"')
		return take_string(scanner, NULL);
	if (*scanner->at != '{' && *scanner->at != '[')
		return skip_word(scanner);
	is_object = *scanner->at++ == '{';
	close = is_object ? '}' : ']';
	if (take(scanner, close))
		return true;
	do {
		if (is_object && (!take_string(scanner, NULL) || !take(scanner, ':')))
			return false;
		if (!skip_value(scanner, depth + 1))
			return false;
	} while (take(scanner, ','));
	return take(scanner, close);
}

/* ---- the line ----------------------------------------------------------------------------------------------------- */

enum seen { SEEN_LOG = 1, SEEN_STREAM = 2, SEEN_TIME = 4, SEEN_ALL = 7 };

static bool is_key(const char *key, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(key, name, len) == 0;
}

static bool take_stream(struct scanner *scanner, enum record_stream *ret_stream)
{
	const char *text;
	size_t len;

	if (!take_view(scanner, &text, &len))
		return false;
	if (is_key(text, len, "stdout"))
		*ret_stream = RECORD_STDOUT;
	else if (is_key(text, len, "stderr"))
		*ret_stream = RECORD_STDERR;
	else
		return false;
	return true;
}

/* One member; false if the line is none of docker's. A member that comes twice counts as it comes first. */
static bool take_member(struct scanner *scanner, struct buf *scratch, struct piece *piece, unsigned *seen)
{
	const char *key;
	size_t len;

	if (!take_view(scanner, &key, &len) || !take(scanner, ':'))
		return false;
	if (is_key(key, len, "log") && !(*seen & SEEN_LOG)) {
		*seen |= SEEN_LOG;
		return take_string(scanner, scratch);
	}
	if (is_key(key, len, "stream") && !(*seen & SEEN_STREAM)) {
		*seen |= SEEN_STREAM;
		return take_stream(scanner, &piece->stream);
	}
	if (is_key(key, len, "time") && !(*seen & SEEN_TIME)) {
		*seen |= SEEN_TIME;
		return take_view(scanner, &piece->time, &piece->time_len);
	}
	return skip_value(scanner, 0);
}

bool docker_json_parse(struct timestamp_cache *cache, const char *line, size_t len, struct buf *scratch, struct piece *ret_piece)
{
	struct scanner scanner = {line, line + len};
	struct piece piece = {0};
	unsigned seen = 0;

	buf_clear(scratch);
	if (!take(&scanner, '{'))
		return false;
	do {
		if (!take_member(&scanner, scratch, &piece, &seen))
			return false;
	} while (take(&scanner, ','));
	if (!take(&scanner, '}') || seen != SEEN_ALL)
		return false;
	skip_blanks(&scanner);
	if (scanner.at != scanner.end || piece.time_len > TIMESTAMP_MAX ||
	    !timestamp_parse(cache, piece.time, piece.time_len, &piece.time_ns))
		return false;
	piece.text = scratch->data != NULL ? scratch->data : "";
	piece.len = scratch->len;
	if (piece.len > 0 && piece.text[piece.len - 1] == '\n') {
		piece.is_last = true;
		piece.len--;
	}
	*ret_piece = piece;
	return true;
}
