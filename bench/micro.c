/* micro: what the hot path costs from file bytes in memory to batch bytes, in MB of log per CPU second.
 *
 *   micro [--mb N] [--line N] [--rounds N] [--record-id] [--schema NAME] [--labels N] [TEXT...]
 *   micro [--rounds N] [--record-id] [--schema NAME] [--labels N] --file LOG
 *
 * Lines are generated (seeded: the same in every run), then each stage is run over all of them, several
 * rounds, the best one counted:
 *
 *   lines     memchr for the newline, nothing else
 *   parse     lines and cri_parse or docker_json_parse
 *   encode    all of it: parse, joiner_take, encode into a batch of 1 MiB
 *
 * for texts of several kinds: plain words, JSON (a quote every ten bytes or so), UTF-8 (Cyrillic), bytes that
 * are none, lines cut in pieces of 16 KiB, and docker's json-file; or only for those that are named; or for
 * the whole lines of a log file.  With --labels the pod has so many, with names and values of common length. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/cri.h"
#include "collector/docker_json.h"
#include "collector/joiner.h"
#include "common/escape.h"
#include "common/file.h"
#include "common/must.h"
#include "outputs/format.h"

#define BATCH_BYTES (1u << 20)
#define MAX_RECORD  (900u << 10)
#define FILE_BYTES  (1u << 30)
#define MB          1e6

struct load {
	const char *name;
	const char *const *words; /* what texts are made of */
	size_t word_count;
	size_t piece_bytes; /* cut lines into P pieces of so many bytes; 0 = whole lines */
	bool is_docker;
};

static const char *const plain_words[] = {"request", "served", "in", "12ms", "for", "tenant", "t-117", "GET",
    "/api/v1/items", "status=200", "cache", "miss"};
static const char *const json_words[] = {"{\"level\":\"info\",", "\"msg\":\"request served\",",
    "\"took_ms\":12,", "\"tenant\":\"t-117\",", "\"path\":\"/api/v1/items\"},"};
static const char *const utf8_words[] = {"запрос", "выполнен", "за", "12ms", "для", "клиента", "t-117"};
static const char *const bad_words[] = {"\xff\xfe\x80", "caf\xe9", "\x01\x02", "\xe2\x82", "tab\there"};

#define WORDS(list) (list), sizeof(list) / sizeof(list)[0]
static const struct load loads[] = {
    {"plain", WORDS(plain_words), 0, false},
    {"json", WORDS(json_words), 0, false},
    {"utf8", WORDS(utf8_words), 0, false},
    {"binary", WORDS(bad_words), 0, false},
    {"pieces", WORDS(plain_words), 16384, false},
    {"docker", WORDS(plain_words), 0, true},
    {"docker-json", WORDS(json_words), 0, true},
};

#define LABELS_MAX 100

struct settings {
	size_t label_count;
	size_t bytes;
	size_t line_bytes;
	unsigned rounds;
	struct format_options format;
};

/* ---- lines ----------------------------------------------------------------------------------- */

static size_t put_text(char *out, const struct load *load, size_t len, unsigned *seed)
{
	size_t at = 0;

	while (at < len) {
		const char *word = load->words[(size_t)rand_r(seed) % load->word_count];
		size_t word_len = strlen(word);

		if (word_len + 1 > len - at)
			word_len = len - at - 1;
		memcpy(out + at, word, word_len);
		at += word_len;
		out[at++] = ' ';
	}
	return at;
}

static size_t put(char *out, size_t at, const char *text)
{
	size_t len = strlen(text);

	memcpy(out + at, text, len);
	return at + len;
}

/* One line of about line_bytes with its newline; number makes its time. */
static size_t put_line(
    char *out, const struct load *load, size_t line_bytes, uint64_t number, bool is_last, unsigned *seed)
{
	char time[40];
	char *text = xmalloc(line_bytes);
	size_t len;

	(void)snprintf(time, sizeof time, "2026-01-31T12:%02u:%02u.%09uZ", (unsigned)(number / 600000 % 60),
	    (unsigned)(number / 10000 % 60), (unsigned)(number % 10000 * 100000));
	if (load->is_docker) {
		len = put(out, 0, "{\"log\":\"");
		len += escape_json(
		    out + len, text, put_text(text, load, (line_bytes - strlen(time) - 40) * 9 / 10, seed));
		len = put(out, len, "\\n\",\"stream\":\"stdout\",\"time\":\"");
		len = put(out, len, time);
		len = put(out, len, "\"}\n");
	} else {
		len = put(out, 0, time);
		len = put(out, len, is_last ? " stdout F " : " stdout P ");
		len += put_text(out + len, load, line_bytes - len - 1, seed);
		out[len++] = '\n';
	}
	free(text);
	return len;
}

static char *make_lines(const struct load *load, const struct settings *settings, size_t *ret_len)
{
	size_t line_bytes = load->piece_bytes != 0 ? load->piece_bytes + 40 : settings->line_bytes;
	char *lines = xmalloc(settings->bytes + ESCAPE_WORST * line_bytes + 256);
	unsigned seed = 7;
	size_t len = 0;

	for (uint64_t number = 0; len < settings->bytes; number++)
		len += put_line(
		    lines + len, load, line_bytes, number, load->piece_bytes == 0 || number % 4 == 3, &seed);
	*ret_len = len;
	return lines;
}

/* ---- stages ---------------------------------------------------------------------------------- */

struct bench {
	const struct load *load;
	const struct settings *settings;
	const char *lines;
	size_t len;
	struct timestamp_cache cache;
	struct joiner joiner;
	struct buf scratch;
	struct buf prepared;
	struct source source;
	char *batch;
	size_t batch_len;
	size_t record_limit;
	uint64_t sum; /* of something of each record, so that no work can be left out */
	uint64_t encoded_bytes;
};

static bool parse(struct bench *bench, const char *line, size_t len, struct piece *ret_piece)
{
	if (bench->load->is_docker)
		return docker_json_parse(&bench->cache, line, len, &bench->scratch, ret_piece);
	return cri_parse(&bench->cache, line, len, ret_piece);
}

static void do_line(struct bench *bench, const char *line, size_t len)
{
	bench->sum += len + (unsigned char)*line;
}

static void do_parse(struct bench *bench, const char *line, size_t len)
{
	struct piece piece;

	must(parse(bench, line, len, &piece));
	bench->sum += (uint64_t)piece.time_ns + piece.len;
}

static void encode(struct bench *bench, const struct record *record)
{
	size_t bound = format_ndjson.bound(record, bench->prepared.len), taken;

	must(bound <= bench->record_limit);
	if (bench->batch_len > BATCH_BYTES) {
		bench->encoded_bytes += bench->batch_len;
		bench->batch_len = 0;
	}
	bench->batch_len +=
	    format_ndjson.encode(&bench->settings->format, &bench->source, bench->prepared.data,
		bench->prepared.len, record, bench->batch + bench->batch_len, bound, &taken);
	bench->batch[bench->batch_len++] = '\n';
	bench->sum += taken;
}

static void do_encode(struct bench *bench, const char *line, size_t len)
{
	struct piece piece;
	struct record record;
	uint64_t cut_bytes;

	must(parse(bench, line, len, &piece));
	if (joiner_take(
		&bench->joiner, &piece, (uint64_t)(line - bench->lines), len + 1, 0, &record, &cut_bytes))
		encode(bench, &record);
}

static double cpu_seconds(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

typedef void stage_fn(struct bench *bench, const char *line, size_t len);

static double run_once(struct bench *bench, stage_fn *stage)
{
	const char *at = bench->lines, *end = at + bench->len;
	double start = cpu_seconds();

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		stage(bench, at, (size_t)(newline - at));
		at = newline + 1;
	}
	return cpu_seconds() - start;
}

/* The best of all rounds, in MB per CPU second. */
static double run(struct bench *bench, stage_fn *stage)
{
	double best = run_once(bench, stage);

	for (unsigned i = 1; i < bench->settings->rounds; i++) {
		double seconds = run_once(bench, stage);

		if (seconds < best)
			best = seconds;
	}
	return (double)bench->len / MB / best;
}

static struct labels make_labels(size_t count)
{
	static struct label items[LABELS_MAX];
	static char names[LABELS_MAX][40];

	for (size_t i = 0; i < count; i++) {
		(void)snprintf(names[i], sizeof names[i], "app.kubernetes.io/part-%02zu", i);
		items[i] = (struct label){.name = names[i], .value = "checkout-service"};
	}
	return (struct labels){items, count};
}

static void measure(const struct load *load, const struct settings *settings, const char *bytes, size_t len)
{
	const struct metadata metadata = {.labels = make_labels(settings->label_count),
		.owner_kind = "Deployment", .owner_name = "api-gateway", .pod_ip = "", .image_id = "",
		.image = "registry.example.net/team-a/api-gateway:1.2.3", .container_id = ""};
	const struct origin origin = {.namespace_name = "team-a", .pod = "api-gateway-7d4b9c6f5-x2x9k",
		.uid = "0f8fad5b-d9cb-469f-a165-70867728950e", .container = "app", .node = "node-17.example.net",
		.metadata = settings->label_count != 0 ? &metadata : NULL};
	struct bench bench = {
	    .load = load,
	    .settings = settings,
	    .lines = bytes,
	    .len = len,
	    .source = {.origin = &origin, .first_line_hash = 0x0123456789abcdef},
	};
	double lines, parsed, encoded;

	joiner_init(&bench.joiner, MAX_RECORD);
	buf_init(&bench.scratch, MAX_RECORD);
	buf_init(&bench.prepared, 64u << 10);
	format_ndjson.prepare(&settings->format, &bench.source, &bench.prepared);
	bench.record_limit = ESCAPE_WORST * MAX_RECORD;
	bench.batch = xmalloc(BATCH_BYTES + bench.record_limit + 1);
	lines = run(&bench, do_line);
	parsed = run(&bench, do_parse);
	bench.encoded_bytes = 0;
	encoded = run(&bench, do_encode);
	printf("%-12s %8.0f %8.0f %8.0f %8.3f   %.2f\n", load->name, lines, parsed, encoded, 1000 / encoded,
	    (double)(bench.encoded_bytes / settings->rounds) / (double)bench.len);
	must(bench.sum != 0);
	joiner_release(&bench.joiner);
	buf_release(&bench.scratch);
	buf_release(&bench.prepared);
	free(bench.batch);
}

static void measure_made(const struct load *load, const struct settings *settings)
{
	size_t len;
	char *lines = make_lines(load, settings, &len);

	measure(load, settings, lines, len);
	free(lines);
}

static int measure_file(const char *path, const struct settings *settings)
{
	struct load load = {.name = "file"};
	const char *last_newline;
	struct buf lines;
	struct err err;

	buf_init(&lines, FILE_BYTES);
	if (file_read(path, &lines, &err) != 0) {
		fprintf(stderr, "micro: %s\n", err.text);
		return EXIT_FAILURE;
	}
	last_newline = lines.len != 0 ? memrchr(lines.data, '\n', lines.len) : NULL;
	if (last_newline == NULL) {
		fprintf(stderr, "micro: no line in %s\n", path);
		return EXIT_FAILURE;
	}
	load.is_docker = lines.data[0] == '{';
	measure(&load, settings, lines.data, (size_t)(last_newline + 1 - lines.data));
	buf_release(&lines);
	return EXIT_SUCCESS;
}

/* names end in NULL; none = all. */
static bool is_wanted(const char *name, char **names)
{
	bool is_named = *names == NULL;

	for (; *names != NULL; names++)
		is_named = is_named || strcmp(name, *names) == 0;
	return is_named;
}

static enum metadata_schema schema_of(const char *word)
{
	int i = 0;

	while (metadata_schema_words[i] != NULL && strcmp(metadata_schema_words[i], word) != 0)
		i++;
	if (metadata_schema_words[i] == NULL) {
		fprintf(stderr, "micro: no schema '%s'\n", word);
		exit(EXIT_FAILURE);
	}
	return (enum metadata_schema)i;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {{"mb", required_argument, NULL, 'm'},
	    {"line", required_argument, NULL, 'l'}, {"rounds", required_argument, NULL, 'r'},
	    {"record-id", no_argument, NULL, 'i'}, {"file", required_argument, NULL, 'f'},
	    {"schema", required_argument, NULL, 's'}, {"labels", required_argument, NULL, 'n'},
	    {NULL, 0, NULL, 0}};
	struct settings settings = {.bytes = 8u * 1000 * 1000, .line_bytes = 257, .rounds = 20};
	const char *path = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'm': settings.bytes = strtoul(optarg, NULL, 10) * 1000 * 1000; break;
		case 'l': settings.line_bytes = strtoul(optarg, NULL, 10); break;
		case 'r': settings.rounds = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'f': path = optarg; break;
		case 'i': settings.format.record_id = true; break;
		case 'n': settings.label_count = strtoul(optarg, NULL, 10); break;
		case 's': settings.format.schema = schema_of(optarg); break;
		default: return EXIT_FAILURE;
		}
	}
	if (settings.bytes == 0 || settings.label_count > LABELS_MAX || settings.line_bytes < 100 || settings.line_bytes > MAX_RECORD ||
	    settings.rounds == 0) {
		fprintf(stderr, "micro: sizes are out of bounds (lines of 100 bytes to 900 KiB, 100 labels)\n");
		return EXIT_FAILURE;
	}
	printf("MB of log per CPU second, best of %u rounds\n", settings.rounds);
	printf("%-12s %8s %8s %8s %8s   %s\n", "text", "lines", "parse", "encode", "ms/MB", "out/in");
	if (path != NULL)
		return measure_file(path, &settings);
	for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++)
		if (is_wanted(loads[i].name, argv + optind))
			measure_made(&loads[i], &settings);
	return EXIT_SUCCESS;
}
