/* Limits.  What the machine itself allows on the same bytes that agents are given: reading, looking for
 * newlines, each codec, CRI lines to JSON lines, and "skeleton agents" that read, encode, compress and send,
 * and do nothing else.  A skeleton keeps no state, watches nothing, validates no UTF-8, joins no pieces and
 * never retries: a floor to measure by, not a design.
 *
 *   limits --data DIR [--row NAME]... [--runs N] [--bytes N] [--http PORT]
 *          [--brokers LIST [--topic T]] [--json 1]
 *
 * Without --row all rows are run that the given ends allow.  Rows "from memory" load the first --bytes
 * (500 MB) of the data and work on those; rows that read work on all of it, 256 KiB at a time.  Each line of
 * output is one row: MB of raw log bytes, MB that came out, wall and CPU seconds (median, least, most), raw
 * MB per CPU second.  --json: one object a row.
 *
 * One thread, but for librdkafka's own.  Batches are 1 MiB of encoded bytes of one file.  The last word of a
 * row's name says what metadata its records carry:
 *
 *   file     the file's name
 *   path     namespace, pod, uid, container and node, in Fluent Bit's names: what the file's path tells
 *   labels   the same with ids, addresses, image and six labels: what the API server tells */
#include "config.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <glob.h>
#include <librdkafka/rdkafka.h>
#include <lz4.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/must.h"

#define BATCH_BYTES     (1u << 20)
#define READ_BYTES      (256u << 10)
#define LINE_BYTES      (64u << 10) /* no generated line is longer, also when escaped and with its metadata */
#define PACKED_BYTES    (4u << 20)
#define ROWS_MAX        64
#define RUNS_MAX        63
#define PRODUCE_AT_ONCE 4096
#define NODE_NAME       "node-17.eu-west-1.compute.internal"

enum work { WORK_READ, WORK_NEWLINES, WORK_RAW, WORK_ENCODE };
enum metadata { METADATA_FILE, METADATA_PATH, METADATA_LABELS };
enum codec { CODEC_NONE, CODEC_ZSTD, CODEC_GZIP, CODEC_LZ4 };
enum end { END_DROP, END_HTTP, END_KAFKA, END_KAFKA_BATCH };

struct row {
	const char *name;
	enum work work;
	enum metadata metadata;
	enum codec codec;
	int level;
	enum end end; /* other than END_DROP: a skeleton, which reads the files */
};

static const struct row rows[] = {
    {"read", .work = WORK_READ},
    {"newlines", .work = WORK_NEWLINES},
    {"raw-zstd-1", .work = WORK_RAW, .codec = CODEC_ZSTD, .level = 1},
    {"raw-zstd-3", .work = WORK_RAW, .codec = CODEC_ZSTD, .level = 3},
    {"raw-zstd-fast", .work = WORK_RAW, .codec = CODEC_ZSTD, .level = -1},
    {"raw-gzip-1", .work = WORK_RAW, .codec = CODEC_GZIP, .level = 1},
    {"raw-lz4", .work = WORK_RAW, .codec = CODEC_LZ4},
    {"json-file", .work = WORK_ENCODE, .metadata = METADATA_FILE},
    {"json-file-zstd-1", .work = WORK_ENCODE, .metadata = METADATA_FILE, .codec = CODEC_ZSTD, .level = 1},
    {"json-path", .work = WORK_ENCODE, .metadata = METADATA_PATH},
    {"json-path-zstd-1", .work = WORK_ENCODE, .metadata = METADATA_PATH, .codec = CODEC_ZSTD, .level = 1},
    {"json-path-zstd-3", .work = WORK_ENCODE, .metadata = METADATA_PATH, .codec = CODEC_ZSTD, .level = 3},
    {"json-path-gzip-1", .work = WORK_ENCODE, .metadata = METADATA_PATH, .codec = CODEC_GZIP, .level = 1},
    {"json-path-lz4", .work = WORK_ENCODE, .metadata = METADATA_PATH, .codec = CODEC_LZ4},
    {"json-labels", .work = WORK_ENCODE, .metadata = METADATA_LABELS},
    {"json-labels-zstd-1", .work = WORK_ENCODE, .metadata = METADATA_LABELS, .codec = CODEC_ZSTD, .level = 1},
    {"http-none-file", WORK_ENCODE, METADATA_FILE, CODEC_NONE, 0, END_HTTP},
    {"http-none-path", WORK_ENCODE, METADATA_PATH, CODEC_NONE, 0, END_HTTP},
    {"http-none-labels", WORK_ENCODE, METADATA_LABELS, CODEC_NONE, 0, END_HTTP},
    {"http-zstd-file", WORK_ENCODE, METADATA_FILE, CODEC_ZSTD, 1, END_HTTP},
    {"http-zstd-path", WORK_ENCODE, METADATA_PATH, CODEC_ZSTD, 1, END_HTTP},
    {"http-zstd-labels", WORK_ENCODE, METADATA_LABELS, CODEC_ZSTD, 1, END_HTTP},
    {"kafka-none-path", WORK_ENCODE, METADATA_PATH, CODEC_NONE, 0, END_KAFKA},
    {"kafka-zstd-file", WORK_ENCODE, METADATA_FILE, CODEC_ZSTD, 1, END_KAFKA},
    {"kafka-zstd-path", WORK_ENCODE, METADATA_PATH, CODEC_ZSTD, 1, END_KAFKA},
    {"kafka-zstd-labels", WORK_ENCODE, METADATA_LABELS, CODEC_ZSTD, 1, END_KAFKA},
    {"kafka-batch-path", WORK_ENCODE, METADATA_PATH, CODEC_ZSTD, 1, END_KAFKA_BATCH},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

struct source {
	char *path;
	char *bytes; /* its beginning, for rows from memory; NULL until one is run */
	size_t len;
	char *metadata[3]; /* what stands behind the log text of a record, by enum metadata */
	char *key;         /* <namespace>/<pod>/<container> */
};

struct bench {
	struct source *sources;
	size_t source_count;
	size_t memory_bytes;
	const char *only[ROWS_MAX];
	size_t only_count;
	int run_count;
	int http_port;
	const char *brokers, *topic;
	bool as_json;
};

/* One row at work: its buffers and its way out. */
struct run {
	const struct row *row;
	const struct source *source;
	char *batch;
	size_t batch_len;
	char *packed;
	ZSTD_CCtx *zstd;
	z_stream gzip;
	CURL *http;
	struct curl_slist *headers;
	rd_kafka_t *kafka;
	rd_kafka_topic_t *topic;
	uint64_t in_bytes, out_bytes;
};

static volatile uint64_t proof_of_work; /* keeps the compiler from dropping what nobody uses */

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "limits: %s: %s\n", what, why);
	exit(1);
}

/* ---- a CRI line to a JSON line --------------------------------------------------------------------- */

static char *append(char *out, const char *bytes, size_t len)
{
	memcpy(out, bytes, len);
	return out + len;
}

#define APPEND(out, literal) append((out), (literal), sizeof(literal) - 1)

static char *escape_byte(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\')
		return append(out, (const char[]){'\\', (char)c}, 2);
	if (c == '\t')
		return APPEND(out, "\\t");
	return append(out, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* Its own escaper, not common/escape, so that the floor does not move with what is measured against it. */
static char *escape(char *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		unsigned char c;
#ifdef __SSE2__
		for (; i + 16 <= len; i += 16, out += 16) {
			__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
			__m128i quotes = _mm_or_si128(
			    _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
			__m128i printable = _mm_cmpeq_epi8(_mm_max_epu8(v, _mm_set1_epi8(0x20)), v);
			unsigned special = (unsigned)_mm_movemask_epi8(quotes) |
					   (~(unsigned)_mm_movemask_epi8(printable) & 0xffffu);

			_mm_storeu_si128((__m128i *)(void *)out, v);
			if (special != 0) {
				out += __builtin_ctz(special);
				i += (size_t)__builtin_ctz(special);
				break;
			}
		}
		if (i >= len)
			break;
#endif
		c = (unsigned char)text[i++];
		if (c >= 0x20 && c != '"' && c != '\\')
			*out++ = (char)c;
		else
			out = escape_byte(out, c);
	}
	return out;
}

/* `<time> <stream> <tag> <text>`; writes nothing for a line that is none. */
static char *encode_line(char *out, const char *line, size_t len, const char *metadata, size_t metadata_len)
{
	const char *end = line + len;
	const char *stream = memchr(line, ' ', len);
	const char *tag = stream != NULL ? memchr(stream + 1, ' ', (size_t)(end - stream - 1)) : NULL;
	const char *text = tag != NULL ? memchr(tag + 1, ' ', (size_t)(end - tag - 1)) : NULL;

	if (text == NULL)
		return out;
	out = APPEND(out, "{\"time\":\"");
	out = append(out, line, (size_t)(stream - line));
	out = APPEND(out, "\",\"stream\":\"");
	out = append(out, stream + 1, (size_t)(tag - stream - 1));
	out = APPEND(out, "\",\"log\":\"");
	out = escape(out, text + 1, (size_t)(end - text - 1));
	return append(out, metadata, metadata_len);
}

/* ---- codecs ---------------------------------------------------------------------------------------- */

/* Compresses into run->packed and returns how many bytes it became. */
static size_t compress_batch(struct run *run, const char *bytes, size_t len)
{
	size_t packed_len = len;

	switch (run->row->codec) {
	case CODEC_NONE: break;
	case CODEC_ZSTD:
		packed_len =
		    ZSTD_compressCCtx(run->zstd, run->packed, PACKED_BYTES, bytes, len, run->row->level);
		must(!ZSTD_isError(packed_len));
		break;
	case CODEC_LZ4:
		packed_len = (size_t)LZ4_compress_fast(bytes, run->packed, (int)len, PACKED_BYTES, 1);
		break;
	case CODEC_GZIP:
		must(deflateReset(&run->gzip) == Z_OK);
		run->gzip.next_in = (Bytef *)(uintptr_t)bytes;
		run->gzip.avail_in = (uInt)len;
		run->gzip.next_out = (Bytef *)run->packed;
		run->gzip.avail_out = PACKED_BYTES;
		must(deflate(&run->gzip, Z_FINISH) == Z_STREAM_END);
		packed_len = PACKED_BYTES - run->gzip.avail_out;
		break;
	}
	return packed_len;
}

/* ---- ends ------------------------------------------------------------------------------------------ */

static void post(struct run *run, const char *bytes, size_t len)
{
	CURLcode result;
	long status = 0;

	curl_easy_setopt(run->http, CURLOPT_POSTFIELDS, bytes);
	curl_easy_setopt(run->http, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	result = curl_easy_perform(run->http);
	if (result != CURLE_OK)
		fail("POST", curl_easy_strerror(result));
	curl_easy_getinfo(run->http, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		fail("POST", "not answered with 200");
}

/* Produces all messages; those refused because the queue is full go again when there is room. */
static void produce_messages(struct run *run, rd_kafka_message_t *messages, int count)
{
	while (count > 0) {
		int refused = 0;

		if (rd_kafka_produce_batch(
			run->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, messages, count) == count)
			break;
		for (int i = 0; i < count; i++)
			if (messages[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) {
				messages[refused] = messages[i];
				messages[refused++].err = RD_KAFKA_RESP_ERR_NO_ERROR;
			}
		count = refused;
		rd_kafka_poll(run->kafka, 5);
	}
	rd_kafka_poll(run->kafka, 0);
}

static void produce_records(struct run *run, const char *bytes, size_t len)
{
	static rd_kafka_message_t messages[PRODUCE_AT_ONCE];
	const char *key = run->row->metadata != METADATA_FILE ? run->source->key : NULL;
	const char *end = bytes + len;
	int count = 0;

	for (const char *next; bytes < end; bytes = next + 1) {
		next = memchr(bytes, '\n', (size_t)(end - bytes));
		must(next != NULL);
		messages[count++] = (rd_kafka_message_t){.payload = (void *)(uintptr_t)bytes,
		    .len = (size_t)(next - bytes),
		    .key = (void *)(uintptr_t)key,
		    .key_len = key != NULL ? strlen(key) : 0};
		if (count == PRODUCE_AT_ONCE || next + 1 == end) {
			produce_messages(run, messages, count);
			count = 0;
		}
	}
}

static void produce_batch(struct run *run, const char *bytes, size_t len)
{
	rd_kafka_resp_err_t result;

	for (;;) {
		result = rd_kafka_producev(run->kafka, RD_KAFKA_V_RKT(run->topic),
		    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)(uintptr_t)bytes, len),
		    RD_KAFKA_V_HEADER("content-encoding", "zstd", 4), RD_KAFKA_V_END);
		rd_kafka_poll(run->kafka, result == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 5 : 0);
		if (result == RD_KAFKA_RESP_ERR_NO_ERROR)
			return;
		if (result != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			fail("produce", rd_kafka_err2str(result));
	}
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[256];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
		fail(name, reason);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
{
	(void)rk, (void)arg;
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		fail("delivery", rd_kafka_err2str(message->err));
}

static void open_kafka(struct run *run, const struct bench *bench)
{
	char reason[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	set(conf, "bootstrap.servers", bench->brokers);
	set(conf, "linger.ms", "50");
	set(conf, "batch.size", "1000000");
	set(conf, "queue.buffering.max.messages", "200000");
	/* Spread: the mock keeps 5 MiB of a partition, and the receiver must not fall behind by more. */
	if (run->row->end == END_KAFKA_BATCH)
		set(conf, "sticky.partitioning.linger.ms", "0");
	if (run->row->end == END_KAFKA && run->row->codec == CODEC_ZSTD) {
		set(conf, "compression.codec", "zstd");
		set(conf, "compression.level", "1");
	}
	rd_kafka_conf_set_dr_msg_cb(conf, on_report);
	run->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
	if (run->kafka == NULL)
		fail("librdkafka", reason);
	run->topic = rd_kafka_topic_new(run->kafka, bench->topic, NULL);
}

static size_t discard(char *bytes, size_t size, size_t count, void *arg)
{
	(void)bytes, (void)arg;
	return size * count;
}

static void open_http(struct run *run, const struct bench *bench)
{
	struct curl_slist *headers = NULL;
	char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%d/", bench->http_port);
	headers = curl_slist_append(headers, "Expect:");
	headers = curl_slist_append(headers, "Content-Type: application/x-ndjson");
	if (run->row->codec == CODEC_ZSTD)
		headers = curl_slist_append(headers, "Content-Encoding: zstd");
	run->http = curl_easy_init();
	curl_easy_setopt(run->http, CURLOPT_URL, url);
	curl_easy_setopt(run->http, CURLOPT_POST, 1L);
	curl_easy_setopt(run->http, CURLOPT_HTTPHEADER, headers);
	run->headers = headers;
	curl_easy_setopt(run->http, CURLOPT_WRITEFUNCTION, discard);
}

/* ---- the road: bytes, lines, batches, out ---------------------------------------------------------- */

static void finish_batch(struct run *run, const char *bytes, size_t len)
{
	bool is_packed =
	    run->row->codec != CODEC_NONE && run->row->end != END_KAFKA; /* there librdkafka does it */
	size_t out_len = is_packed ? compress_batch(run, bytes, len) : len;
	const char *out = is_packed ? run->packed : bytes;

	switch (run->row->end) {
	case END_DROP: proof_of_work += (unsigned char)out[out_len / 2]; break;
	case END_HTTP: post(run, out, out_len); break;
	case END_KAFKA: produce_records(run, bytes, len); break;
	case END_KAFKA_BATCH: produce_batch(run, out, out_len); break;
	}
	run->out_bytes += out_len;
}

static void finish_encoded(struct run *run)
{
	if (run->batch_len > 0)
		finish_batch(run, run->batch, run->batch_len);
	run->batch_len = 0;
}

/* Returns how many bytes were whole lines. */
static size_t encode_lines(struct run *run, const char *bytes, size_t len)
{
	const char *metadata = run->source->metadata[run->row->metadata];
	size_t metadata_len = strlen(metadata);
	const char *line = bytes, *end = bytes + len;

	for (const char *next; line < end && (next = memchr(line, '\n', (size_t)(end - line))) != NULL;
	     line = next + 1) {
		char *out = run->batch + run->batch_len;

		must(next - line < LINE_BYTES / 8);
		out = encode_line(out, line, (size_t)(next - line), metadata, metadata_len);
		run->batch_len = (size_t)(out - run->batch);
		if (run->batch_len >= BATCH_BYTES)
			finish_encoded(run);
	}
	return (size_t)(line - bytes);
}

static void count_newlines(const char *bytes, size_t len)
{
	const char *end = bytes + len;
	size_t count = 0;

	for (const char *next; bytes < end && (next = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL;
	     bytes = next + 1)
		count++;
	proof_of_work += count;
}

static void work_from_memory(struct run *run)
{
	const struct source *source = run->source;

	run->in_bytes += source->len;
	switch (run->row->work) {
	case WORK_READ: break;
	case WORK_NEWLINES: count_newlines(source->bytes, source->len); break;
	case WORK_RAW:
		for (size_t at = 0; at < source->len; at += BATCH_BYTES)
			finish_batch(run, source->bytes + at,
			    source->len - at < BATCH_BYTES ? source->len - at : BATCH_BYTES);
		break;
	case WORK_ENCODE:
		(void)encode_lines(run, source->bytes, source->len);
		finish_encoded(run);
		break;
	}
}

static void work_from_file(struct run *run)
{
	static char buffer[READ_BYTES];
	int fd = open(run->source->path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t got;

	if (fd == -1)
		fail(run->source->path, "cannot open");
	while ((got = read(fd, buffer + len, sizeof buffer - len)) > 0) {
		size_t used = 0;

		run->in_bytes += (size_t)got;
		len += (size_t)got;
		if (run->row->work == WORK_ENCODE)
			used = encode_lines(run, buffer, len);
		else
			used = len;
		len -= used;
		memmove(buffer, buffer + used, len);
	}
	close(fd);
	finish_encoded(run);
}

static bool reads_files(const struct row *row)
{
	return row->work == WORK_READ || row->end != END_DROP;
}

static void work(struct run *run, const struct bench *bench)
{
	run->in_bytes = 0;
	run->out_bytes = 0;
	for (size_t i = 0; i < bench->source_count; i++) {
		run->source = &bench->sources[i];
		if (reads_files(run->row))
			work_from_file(run);
		else
			work_from_memory(run);
	}
	while (run->kafka != NULL && rd_kafka_outq_len(run->kafka) > 0)
		rd_kafka_poll(run->kafka, 10);
}

/* ---- sources --------------------------------------------------------------------------------------- */

/* From containers/<pod>_<namespace>_<container>-<id>.log and the pod directory that it points to. */
static void read_names(struct source *source)
{
	char pod[256], namespace[64], container[128], target[4096];
	const char *base = strrchr(source->path, '/') + 1;
	char *id, *uid, *slash;
	ssize_t len = readlink(source->path, target, sizeof target - 1);

	if (len <= 0 || sscanf(base, "%255[^_]_%63[^_]_%127[^.]", pod, namespace, container) != 3)
		fail(source->path, "not a link of the generator");
	target[len] = '\0';
	for (int i = 0; i < 2 && (slash = strrchr(target, '/')) != NULL; i++)
		*slash = '\0';
	uid = strrchr(target, '_');
	id = strrchr(container, '-');
	if (uid == NULL || id == NULL)
		fail(source->path, "not a link of the generator");
	uid++;
	*id++ = '\0';
	source->key = xasprintf("%s/%s/%s", namespace, pod, container);
	source->metadata[METADATA_FILE] = xasprintf("\",\"filename\":\"/var/log/containers/%s\"}\n", base);
	source->metadata[METADATA_PATH] =
	    xasprintf("\",\"kubernetes\":{\"namespace_name\":\"%s\",\"pod_name\":\"%s\",\"pod_id\":\"%s\","
		      "\"container_name\":\"%s\","
		      "\"host\":\"" NODE_NAME "\"}}\n",
		namespace, pod, uid, container);
	source->metadata[METADATA_LABELS] = xasprintf(
	    "\",\"kubernetes\":{\"namespace_name\":\"%s\",\"pod_name\":\"%s\",\"pod_id\":\"%s\",\"host\":"
	    "\"" NODE_NAME "\","
	    "\"pod_ip\":\"10.42.3.17\",\"container_name\":\"%s\",\"docker_id\":\"%s\","
	    "\"container_image\":\"registry.example.com/shop/%s:1.42.0\",\"labels\":{\"app.kubernetes.io/"
	    "name\":\"%s\","
	    "\"app.kubernetes.io/instance\":\"%s-prod\",\"app.kubernetes.io/component\":\"backend\","
	    "\"app.kubernetes.io/version\":\"1.42.0\",\"pod-template-hash\":\"%.10s\",\"team\":\"shop\"}}}\n",
	    namespace, pod, uid, container, id, container, container, container, id);
}

static void find_sources(struct bench *bench, const char *dir)
{
	char *pattern = xasprintf("%s/containers/*.log", dir);
	glob_t found;

	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0)
		fail(pattern, "no such files");
	bench->source_count = found.gl_pathc;
	bench->sources = xcalloc(found.gl_pathc, sizeof *bench->sources);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		bench->sources[i].path = xstrdup(found.gl_pathv[i]);
		read_names(&bench->sources[i]);
	}
	globfree(&found);
	free(pattern);
}

/* An equal share of each file, cut behind a newline. */
static void load(struct bench *bench)
{
	size_t share = bench->memory_bytes / bench->source_count;

	for (size_t i = 0; i < bench->source_count && bench->sources[i].bytes == NULL; i++) {
		struct source *source = &bench->sources[i];
		int fd = open(source->path, O_RDONLY | O_CLOEXEC);
		ssize_t got;

		if (fd == -1)
			fail(source->path, "cannot open");
		source->bytes = xmalloc(share);
		while (source->len < share &&
		       (got = read(fd, source->bytes + source->len, share - source->len)) > 0)
			source->len += (size_t)got;
		close(fd);
		while (source->len > 0 && source->bytes[source->len - 1] != '\n')
			source->len--;
	}
}

static void forget_sources(struct bench *bench)
{
	for (size_t i = 0; i < bench->source_count; i++) {
		struct source *source = &bench->sources[i];

		free(source->path);
		free(source->bytes);
		free(source->key);
		for (size_t m = 0; m < sizeof source->metadata / sizeof source->metadata[0]; m++)
			free(source->metadata[m]);
	}
	free(bench->sources);
}

/* ---- measuring ------------------------------------------------------------------------------------- */

struct times {
	double wall_s[RUNS_MAX], cpu_s[RUNS_MAX];
};

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare_seconds(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* Not getrusage: that remembers the process that this one was forked from. */
static long resident_peak_kb(void)
{
	char line[128];
	long kb = 0;
	FILE *file = fopen("/proc/self/status", "re");

	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "VmHWM: %ld", &kb) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return kb;
}

static void print_row(const struct bench *bench, const struct run *run, struct times *times)
{
	double mb = (double)run->in_bytes / 1e6, out_mb = (double)run->out_bytes / 1e6;
	int last = bench->run_count - 1, middle = bench->run_count / 2;
	const double *wall = times->wall_s, *cpu = times->cpu_s;

	qsort(times->wall_s, (size_t)bench->run_count, sizeof *wall, compare_seconds);
	qsort(times->cpu_s, (size_t)bench->run_count, sizeof *cpu, compare_seconds);
	if (bench->as_json)
		printf("{\"row\":\"%s\",\"bytes\":%llu,\"out_bytes\":%llu,\"wall_s\":%.6f,\"cpu_s\":%.6f,"
		       "\"rss_peak_kb\":%ld}\n",
		    run->row->name, (unsigned long long)run->in_bytes, (unsigned long long)run->out_bytes,
		    wall[middle], cpu[middle], resident_peak_kb());
	else
		printf("| %s | %.0f | %.1f | %.3f (%.3f-%.3f) | %.3f (%.3f-%.3f) | %.0f | %.2f |\n",
		    run->row->name, mb, out_mb, wall[middle], wall[0], wall[last], cpu[middle], cpu[0],
		    cpu[last], mb / cpu[middle], cpu[middle] * 1000 / mb);
	fflush(stdout);
}

static void open_run(struct run *run, const struct row *row, const struct bench *bench)
{
	*run = (struct run){
	    .row = row, .batch = xmalloc(BATCH_BYTES + LINE_BYTES), .packed = xmalloc(PACKED_BYTES)};
	run->zstd = ZSTD_createCCtx();
	must(run->zstd != NULL);
	if (row->codec == CODEC_GZIP)
		must(
		    deflateInit2(&run->gzip, row->level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	if (row->end == END_HTTP)
		open_http(run, bench);
	if (row->end == END_KAFKA || row->end == END_KAFKA_BATCH)
		open_kafka(run, bench);
}

static void close_run(struct run *run)
{
	free(run->batch);
	free(run->packed);
	ZSTD_freeCCtx(run->zstd);
	if (run->row->codec == CODEC_GZIP)
		deflateEnd(&run->gzip);
	curl_easy_cleanup(run->http);
	curl_slist_free_all(run->headers);
	if (run->kafka != NULL) {
		rd_kafka_topic_destroy(run->topic);
		rd_kafka_destroy(run->kafka);
	}
}

static void measure(struct bench *bench, const struct row *row)
{
	struct times times;
	struct run run;

	if (!reads_files(row))
		load(bench);
	open_run(&run, row, bench);
	for (int i = 0; i < bench->run_count; i++) {
		double wall_s = seconds(CLOCK_MONOTONIC), cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID);

		work(&run, bench);
		times.wall_s[i] = seconds(CLOCK_MONOTONIC) - wall_s;
		times.cpu_s[i] = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
	}
	print_row(bench, &run, &times);
	close_run(&run);
}

/* ---- the process ----------------------------------------------------------------------------------- */

static bool read_option(struct bench *bench, const char **dir, const char *key, const char *value)
{
	if (strcmp(key, "--data") == 0)
		*dir = value;
	else if (strcmp(key, "--row") == 0 && bench->only_count < ROWS_MAX)
		bench->only[bench->only_count++] = value;
	else if (strcmp(key, "--bytes") == 0)
		bench->memory_bytes = strtoull(value, NULL, 10);
	else if (strcmp(key, "--runs") == 0)
		bench->run_count = (int)strtol(value, NULL, 10);
	else if (strcmp(key, "--http") == 0)
		bench->http_port = (int)strtol(value, NULL, 10);
	else if (strcmp(key, "--brokers") == 0)
		bench->brokers = value;
	else if (strcmp(key, "--topic") == 0)
		bench->topic = value;
	else if (strcmp(key, "--json") == 0)
		bench->as_json = strcmp(value, "0") != 0;
	else
		return false;
	return true;
}

static bool is_wanted(const struct bench *bench, const struct row *row)
{
	for (size_t i = 0; i < bench->only_count; i++)
		if (strcmp(bench->only[i], row->name) == 0)
			return true;
	if (bench->only_count > 0)
		return false;
	if (row->end == END_HTTP)
		return bench->http_port != 0;
	return row->end == END_DROP || bench->brokers != NULL;
}

static void check_wishes(const struct bench *bench)
{
	for (size_t i = 0; i < bench->only_count; i++) {
		const struct row *found = NULL;

		for (size_t r = 0; r < ROW_COUNT; r++)
			if (strcmp(bench->only[i], rows[r].name) == 0)
				found = &rows[r];
		if (found == NULL)
			fail(bench->only[i], "no such row");
		if (found->end == END_HTTP && bench->http_port == 0)
			fail(bench->only[i], "needs --http");
		if ((found->end == END_KAFKA || found->end == END_KAFKA_BATCH) && bench->brokers == NULL)
			fail(bench->only[i], "needs --brokers");
	}
}

int main(int argc, char **argv)
{
	struct bench bench = {.memory_bytes = 500000000, .run_count = 5, .topic = "logs"};
	const char *dir = NULL;

	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !read_option(&bench, &dir, argv[i], argv[i + 1]))
			fail(argv[i], "unknown option, or its value is missing");
	if (dir == NULL || bench.run_count < 1 || bench.run_count > RUNS_MAX) {
		fprintf(stderr,
		    "usage: limits --data DIR [--row NAME]... [--runs 1-%d] [--bytes N] [--http PORT]\n"
		    "              [--brokers LIST [--topic T]] [--json 1]\n",
		    RUNS_MAX);
		return 64;
	}
	check_wishes(&bench);
	find_sources(&bench, dir);
	curl_global_init(CURL_GLOBAL_ALL);
	if (!bench.as_json) {
		printf("# %zu files; zstd %s, zlib %s, lz4 %s, librdkafka %s, %s\n", bench.source_count,
		    ZSTD_versionString(), zlibVersion(), LZ4_versionString(), rd_kafka_version_str(),
		    curl_version());
		puts("| row | raw MB | out MB | wall s | CPU s | raw MB per CPU s | CPU ms per raw MB |");
		puts("|---|---|---|---|---|---|---|");
	}
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (is_wanted(&bench, &rows[i]))
			measure(&bench, &rows[i]);
	forget_sources(&bench);
	return 0;
}
