/* Generator.  Writes a tree of container logs as kubelet and containerd lay them out, the same for a seed:
 *
 *   DIR/pods/<namespace>_<pod>_<uid>/<container>/<restart>.log
 *   DIR/containers/<pod>_<namespace>_<container>-<id>.log        a link to the first of them
 *   DIR/manifest.json                                            what was written, in lines and bytes
 *
 *   gen --dir DIR [--mode static|steady|idle] [--files N] [--bytes B] [--seed S]
 *       [--rate B/s] [--seconds S] [--rotate-bytes B] [--restart-seconds S] [--progress 1] [--first N]
 *
 *   static   --bytes over --files files, then the end.
 *   idle     Ten lines a file, then the end.
 *   steady   Ten lines a file; says "primed LINES" and waits for a line on standard input; then appends
 *            --rate bytes a second for --seconds, one write() a line, to busy and quiet files.
 *            A file that has reached --rotate-bytes is rotated as kubelet does it: renamed to
 *            N.log.YYYYMMDD-HHMMSS, a new N.log begun, what exceeds five files deleted.
 *            Every --restart-seconds one container dies and goes on in N+1.log.
 *            --progress says "written LINES BYTES ROTATIONS RESTARTS" twenty times a second.
 *
 * --first numbers the containers from N on, so that several generators may write for one receiver.
 *
 * Two in five containers log nginx access lines, two JSON, one Java with stack traces.  Every line carries a
 * marker (bench/marker.h).  Compression of rotated files, long lines and bad input are the flow tests'
 * business, not this one's. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/must.h"

#define LINE_MAX_BYTES    4096
#define WRITE_BYTES       (1u << 20)
#define FILES_MAX         65535
#define PRIMING_LINES     10
#define ROTATED_FILES_MAX 4 /* beside the live one: kubelet's containerLogMaxFiles = 5 */
#define NS_PER_S          1000000000u

enum kind { KIND_NGINX, KIND_JSON, KIND_JAVA };

struct container {
	uint64_t random;
	enum kind kind;
	unsigned index;
	unsigned frame_count; /* of a stack trace, still to print */
	unsigned line_count;
	uint64_t simulated_ns;
	uint64_t bytes;
	int fd;
	uint64_t file_bytes;
	unsigned restart;
	char *dir;
	char rotated[ROTATED_FILES_MAX][64]; /* a ring of names */
	unsigned rotation_count;
};

struct options {
	const char *dir;
	const char *mode;
	unsigned files;
	unsigned first; /* number of the first container */
	uint64_t bytes;
	uint64_t seed;
	double rate;
	double seconds;
	uint64_t rotate_bytes;  /* 0: never */
	double restart_seconds; /* 0: never */
	bool progress;
};

struct tally {
	uint64_t lines, bytes, rotations, restarts;
};

static void die(const char *what)
{
	fprintf(stderr, "gen: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- chance ---------------------------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t mix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static unsigned below(struct container *container, unsigned limit)
{
	return (unsigned)(mix(&container->random) % limit);
}

#define PICK(container, array) ((array)[below((container), sizeof(array) / sizeof *(array))])

/* ---- words ----------------------------------------------------------------------------------------- */

static const char *const verbs[] = {"GET", "GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE"};
static const char *const paths[] = {"/api/v1/orders/", "/api/v1/users/", "/static/js/app.",
    "/healthz?probe=", "/api/v2/search?q=shoes&page=", "/cart/items/", "/checkout/session/",
    "/images/catalog/thumb_", "/graphql?op="};
static const char *const user_agents[] = {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
					  "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "kube-probe/1.30", "curl/8.8.0",
    "okhttp/4.12.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/15E148"};
static const int statuses[] = {
    200, 200, 200, 200, 200, 200, 201, 204, 301, 304, 400, 401, 404, 404, 500, 502};
static const char *const levels[] = {"info", "info", "info", "info", "info", "debug", "warn", "error"};
static const char *const messages[] = {"request completed", "payment authorised",
    "cache miss, falling back to database", "published event to topic orders.v1",
    "retrying upstream call after timeout", "user session refreshed", "scheduled job finished",
    "configuration reloaded \\u2014 no changes", "rate limit applied to client",
    "inventory \\\"reserved\\\" for order"};
static const char *const components[] = {
    "checkout", "payments", "catalog", "gateway", "search", "inventory", "mailer"};
static const char *const java_classes[] = {"c.e.shop.order.OrderController",
    "c.e.shop.payment.PaymentService", "o.s.web.servlet.DispatcherServlet",
    "o.h.engine.jdbc.spi.SqlExceptionHelper", "c.e.shop.stock.StockRepository"};
static const char *const java_frames[] = {
    "com.example.shop.order.OrderController.create(OrderController.java:",
    "org.springframework.web.method.support.InvocableHandlerMethod.doInvoke(InvocableHandlerMethod.java:",
    "org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:",
    "org.apache.catalina.core.ApplicationFilterChain.internalDoFilter(ApplicationFilterChain.java:",
    "java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:",
    "org.hibernate.internal.SessionImpl.fireFlush(SessionImpl.java:",
    "com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:",
    "java.base/java.lang.Thread.run(Thread.java:"};

/* ---- one line -------------------------------------------------------------------------------------- */

/* What is written so far of one line. */
struct draft {
	char *text;
	size_t len;
};

static void put(struct draft *draft, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct draft *draft, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(draft->text + draft->len, LINE_MAX_BYTES - draft->len, format, args);
	va_end(args);
	must(len >= 0 && draft->len + (size_t)len < LINE_MAX_BYTES);
	draft->len += (size_t)len;
}

/* RFC 3339 with nanoseconds, trailing zeros cut as containerd does. */
static void format_time(char out[48], uint64_t ns)
{
	static time_t last = -1;
	static char seconds[24];
	time_t now = (time_t)(ns / NS_PER_S);
	struct tm tm;
	int len;

	if (now != last) {
		gmtime_r(&now, &tm);
		strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm);
		last = now;
	}
	len = snprintf(out, 46, "%s.%09u", seconds, (unsigned)(ns % NS_PER_S));
	while (len > 0 && out[len - 1] == '0')
		len--;
	if (out[len - 1] == '.')
		len--;
	out[len++] = 'Z';
	out[len] = '\0';
}

static const char *nginx_time(uint64_t ns)
{
	static time_t last = -1;
	static char text[64];
	time_t now = (time_t)(ns / NS_PER_S);
	struct tm tm;

	if (now != last) {
		gmtime_r(&now, &tm);
		strftime(text, sizeof text, "%d/%b/%Y:%H:%M:%S +0000", &tm);
		last = now;
	}
	return text;
}

/* In the writers of lines the order of draws is the order of their statements: that makes a seed's bytes the
 * same. */
static void put_nginx(struct draft *draft, struct container *c, uint64_t ns, const char *marker)
{
	unsigned a = below(c, 8), b = below(c, 256), d = below(c, 256);
	const char *verb = PICK(c, verbs);
	const char *path = PICK(c, paths);
	const char *user_agent = PICK(c, user_agents);
	unsigned item = below(c, 1000000), size = below(c, 60000), referrer = below(c, 4000);
	unsigned seconds = below(c, 2), ms = below(c, 1000);
	int status = PICK(c, statuses);

	put(draft, "10.%u.%u.%u - - [%s] \"%s %s%u HTTP/1.1\" %d %u ", a, b, d, nginx_time(ns), verb, path,
	    item, status, size);
	put(draft, "\"https://shop.example.com/p/%u\" \"%s\" %u.%03u %s\n", referrer, user_agent, seconds, ms,
	    marker);
}

static void put_json(struct draft *draft, struct container *c, const char *time, const char *marker)
{
	const char *level = PICK(c, levels);
	const char *component = PICK(c, components);
	const char *message = PICK(c, messages);
	const char *path = PICK(c, paths);
	unsigned long long trace_high = mix(&c->random), trace_low = mix(&c->random);
	unsigned user = below(c, 100000), ms = below(c, 900), tenths = below(c, 10), item = below(c, 1000000);
	int status = PICK(c, statuses);

	put(draft, "{\"ts\":\"%s\",\"level\":\"%s\",\"component\":\"%s\",\"msg\":\"%s\",", time, level,
	    component, message);
	put(draft, "\"trace_id\":\"%016llx%016llx\",\"user_id\":%u,\"duration_ms\":%u.%u,", trace_high,
	    trace_low, user, ms, tenths);
	put(draft, "\"path\":\"%s%u\",\"status\":%d,\"id\":\"%s\"}\n", path, item, status, marker);
}

static void put_java(struct draft *draft, struct container *c, const char *time, const char *marker)
{
	if (c->frame_count > 0) {
		const char *frame = PICK(c, java_frames);

		put(draft, "\tat %s%u) ~[app.jar!/:%s]\n", frame, below(c, 900), marker);
		c->frame_count--;
	} else if (below(c, 40) == 0) {
		unsigned item = below(c, 100000), order = below(c, 1000000), ms = below(c, 30000);

		put(draft, "java.lang.IllegalStateException: could not reserve item %u for order %u: ", item,
		    order);
		put(draft, "pool exhausted after %u ms %s\n", ms, marker);
		c->frame_count = 15 + below(c, 40);
	} else {
		unsigned thread = below(c, 32), ms = below(c, 900), tenant = below(c, 500),
			 request = below(c, 0x7fffffff);
		const char *class = PICK(c, java_classes);
		const char *message = PICK(c, messages);

		put(draft, "%s  INFO 1 --- [nio-8080-exec-%u] %s : %s in %u ms ", time, thread, class,
		    message, ms);
		put(draft, "for tenant t-%u request %08x %s\n", tenant, request, marker);
	}
}

/* The container's next line with its CRI prefix; sent_ns = 0 takes the simulated clock.  Returns its length.
 */
static size_t next_line(struct container *c, char *out, uint64_t sent_ns)
{
	struct draft draft = {out, 0};
	char marker[48], time[48];
	uint64_t ns = sent_ns;

	if (sent_ns != 0) {
		snprintf(marker, sizeof marker, "rid=%04x-%08x-%016llx", c->index, c->line_count,
		    (unsigned long long)sent_ns);
	} else {
		c->simulated_ns += 200000 + below(c, 1600000);
		ns = c->simulated_ns;
		snprintf(marker, sizeof marker, "rid=%04x-%08x", c->index, c->line_count);
	}
	c->line_count++;
	format_time(time, ns);
	put(&draft, "%s %s F ", time, c->frame_count > 0 || below(c, 10) == 0 ? "stderr" : "stdout");
	switch (c->kind) {
	case KIND_NGINX: put_nginx(&draft, c, ns, marker); break;
	case KIND_JSON: put_json(&draft, c, time, marker); break;
	case KIND_JAVA: put_java(&draft, c, time, marker); break;
	}
	return draft.len;
}

/* ---- files ----------------------------------------------------------------------------------------- */

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) == -1 && errno != EEXIST)
		die(path);
}

static void open_log(struct container *container)
{
	char *path = xasprintf("%s/%u.log", container->dir, container->restart);

	container->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640);
	if (container->fd == -1)
		die(path);
	container->file_bytes = 0;
	free(path);
}

static void write_all(struct container *container, const char *bytes, size_t len)
{
	container->bytes += len;
	container->file_bytes += len;
	while (len > 0) {
		ssize_t written = write(container->fd, bytes, len);

		if (written == -1)
			die("write");
		bytes += written;
		len -= (size_t)written;
	}
}

static void make_container(struct container *c, unsigned index, uint64_t seed, const char *root)
{
	static const char *const kind_names[] = {"nginx", "api", "java"};
	static const enum kind kinds[] = {KIND_NGINX, KIND_JSON, KIND_JAVA, KIND_NGINX, KIND_JSON};
	static const char *const namespaces[] = {"default", "shop", "payments", "kube-system"};
	const char *name;
	char *pod, *pod_dir, *log, *link;
	uint64_t names = seed + 17 * index;
	unsigned long long a = mix(&names), b = mix(&names), d = mix(&names), e = mix(&names),
			   f = mix(&names);

	c->random = seed * 0x100000001b3ull + index * 7919u;
	c->kind = kinds[index % 5];
	c->index = index;
	c->simulated_ns = 1760000000000000000ull + index * 1000003u;
	name = kind_names[c->kind];
	pod = xasprintf("%s-%u-%08x-%05x", name, index, (unsigned)a, (unsigned)(b & 0xfffff));
	pod_dir = xasprintf("%s/pods/%s_%s_%08x-%04x-4%03x-a%03x-%012llx", root, namespaces[index % 4], pod,
	    (unsigned)a, (unsigned)(b & 0xffff), (unsigned)(b >> 20 & 0xfff), (unsigned)(b >> 40 & 0xfff),
	    d & 0xffffffffffffull);
	make_dir(pod_dir);
	c->dir = xasprintf("%s/%s", pod_dir, name);
	make_dir(c->dir);
	open_log(c);
	log = xasprintf("%s/0.log", c->dir);
	link = xasprintf("%s/containers/%s_%s_%s-%016llx%016llx%016llx%016llx.log", root, pod,
	    namespaces[index % 4], name, b, d, e, f);
	(void)unlink(link); /* of an earlier run, if any */
	if (symlink(log, link) == -1)
		die(link);
	free(pod);
	free(pod_dir);
	free(log);
	free(link);
}

/* Two rotations may fall into one second, and their names must differ: this clock runs ahead then. */
static void rotate(struct container *c)
{
	static time_t clock;
	time_t now = time(NULL);
	unsigned slot = c->rotation_count++ % ROTATED_FILES_MAX;
	char stamp[32], *live, *target;
	struct tm tm;

	clock = now > clock ? now : clock + 1;
	gmtime_r(&clock, &tm);
	strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
	if (c->rotated[slot][0] != '\0') {
		char *oldest = xasprintf("%s/%s", c->dir, c->rotated[slot]);

		if (unlink(oldest) == -1)
			die(oldest);
		free(oldest);
	}
	snprintf(c->rotated[slot], sizeof c->rotated[slot], "%u.log.%s", c->restart, stamp);
	live = xasprintf("%s/%u.log", c->dir, c->restart);
	target = xasprintf("%s/%s", c->dir, c->rotated[slot]);
	if (rename(live, target) == -1)
		die(live);
	close(c->fd);
	open_log(c);
	free(live);
	free(target);
}

static void restart(struct container *container)
{
	close(container->fd);
	container->restart++;
	open_log(container);
}

/* ---- modes ----------------------------------------------------------------------------------------- */

static void write_static(struct container *containers, const struct options *options)
{
	char *buffer = xmalloc(WRITE_BYTES);

	for (unsigned i = 0; i < options->files; i++) {
		struct container *c = &containers[i];
		size_t len = 0;

		while (c->bytes + len < options->bytes / options->files) {
			if (len > WRITE_BYTES - LINE_MAX_BYTES) {
				write_all(c, buffer, len);
				len = 0;
			}
			len += next_line(c, buffer + len, 0);
		}
		write_all(c, buffer, len);
	}
	free(buffer);
}

static void write_line(struct container *container)
{
	char line[LINE_MAX_BYTES];

	write_all(container, line, next_line(container, line, now_ns(CLOCK_REALTIME)));
}

static void prime(struct container *containers, const struct options *options)
{
	for (unsigned i = 0; i < options->files; i++)
		for (unsigned k = 0; k < PRIMING_LINES; k++)
			write_line(&containers[i]);
}

static struct tally count(const struct container *containers, const struct options *options)
{
	struct tally tally = {0};

	for (unsigned i = 0; i < options->files; i++) {
		tally.lines += containers[i].line_count;
		tally.bytes += containers[i].bytes;
		tally.rotations += containers[i].rotation_count;
		tally.restarts += containers[i].restart;
	}
	return tally;
}

static void tell_progress(const struct container *containers, const struct options *options)
{
	struct tally tally = count(containers, options);

	printf("written %llu %llu %llu %llu\n", (unsigned long long)tally.lines,
	    (unsigned long long)tally.bytes, (unsigned long long)tally.rotations,
	    (unsigned long long)tally.restarts);
	fflush(stdout);
}

/* The smaller of two draws, so that low indices are busier. */
static struct container *choose(struct container *containers, unsigned count, uint64_t *random)
{
	unsigned a = (unsigned)(mix(random) % count), b = (unsigned)(mix(random) % count);

	return &containers[a < b ? a : b];
}

static void write_steady(struct container *containers, const struct options *options)
{
	uint64_t random = options->seed ^ 0xabcdefull, start_ns = now_ns(CLOCK_MONOTONIC), sent = 0;
	double elapsed, told = 0, restarted = 0;
	unsigned victim = 0;

	while ((elapsed = (double)(now_ns(CLOCK_MONOTONIC) - start_ns) / NS_PER_S) < options->seconds) {
		while ((double)sent < elapsed * options->rate) {
			struct container *container = choose(containers, options->files, &random);
			uint64_t before = container->bytes;

			write_line(container);
			sent += container->bytes - before;
			if (options->rotate_bytes != 0 && container->file_bytes >= options->rotate_bytes)
				rotate(container);
		}
		if (options->restart_seconds > 0 && elapsed - restarted >= options->restart_seconds) {
			restart(&containers[victim++ % options->files]);
			restarted = elapsed;
		}
		if (options->progress && elapsed - told >= 0.05) {
			tell_progress(containers, options);
			told = elapsed;
		}
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
}

/* ---- the process ----------------------------------------------------------------------------------- */

static int usage(void)
{
	fputs("usage: gen --dir DIR [--mode static|steady|idle] [--files N] [--bytes B] [--seed S] [--rate "
	      "B/s]\n"
	      "           [--seconds S] [--rotate-bytes B] [--restart-seconds S] [--progress 1] [--first N]\n",
	    stderr);
	return 64;
}

static bool read_option(struct options *options, const char *key, const char *value)
{
	if (strcmp(key, "--dir") == 0)
		options->dir = value;
	else if (strcmp(key, "--mode") == 0)
		options->mode = value;
	else if (strcmp(key, "--files") == 0)
		options->files = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(key, "--first") == 0)
		options->first = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(key, "--bytes") == 0)
		options->bytes = strtoull(value, NULL, 10);
	else if (strcmp(key, "--seed") == 0)
		options->seed = strtoull(value, NULL, 10);
	else if (strcmp(key, "--rate") == 0)
		options->rate = strtod(value, NULL);
	else if (strcmp(key, "--seconds") == 0)
		options->seconds = strtod(value, NULL);
	else if (strcmp(key, "--rotate-bytes") == 0)
		options->rotate_bytes = strtoull(value, NULL, 10);
	else if (strcmp(key, "--restart-seconds") == 0)
		options->restart_seconds = strtod(value, NULL);
	else if (strcmp(key, "--progress") == 0)
		options->progress = strcmp(value, "0") != 0;
	else
		return false;
	return true;
}

static struct container *make_tree(const struct options *options, char root[PATH_MAX])
{
	struct container *containers = xcalloc(options->files, sizeof *containers);
	struct rlimit limit;
	char *dir;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < options->files + 64) {
		limit.rlim_cur = options->files + 64 < limit.rlim_max ? options->files + 64 : limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* too few: open() says so */
	}
	make_dir(options->dir);
	if (realpath(options->dir, root) == NULL)
		die(options->dir);
	dir = xasprintf("%s/pods", root);
	make_dir(dir);
	free(dir);
	dir = xasprintf("%s/containers", root);
	make_dir(dir);
	free(dir);
	for (unsigned i = 0; i < options->files; i++)
		make_container(&containers[i], options->first + i, options->seed, root);
	return containers;
}

static void write_manifest(const struct options *options, const char *root, struct tally tally)
{
	char *path = xasprintf("%s/manifest.json", root);
	FILE *file = fopen(path, "we");

	if (file == NULL)
		die(path);
	fprintf(file, "{\"mode\":\"%s\",\"seed\":%llu,\"files\":%u,\"lines\":%llu,\"bytes\":%llu,",
	    options->mode, (unsigned long long)options->seed, options->files, (unsigned long long)tally.lines,
	    (unsigned long long)tally.bytes);
	fprintf(file, "\"rotations\":%llu,\"restarts\":%llu}\n", (unsigned long long)tally.rotations,
	    (unsigned long long)tally.restarts);
	if (fclose(file) != 0)
		die(path);
	free(path);
}

int main(int argc, char **argv)
{
	struct options options = {
	    .mode = "static", .files = 20, .bytes = 2000000000ull, .seed = 1, .rate = 5e6, .seconds = 60};
	char root[PATH_MAX], line[16];
	struct container *containers;
	struct tally tally;

	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !read_option(&options, argv[i], argv[i + 1]))
			return usage();
	if (options.dir == NULL || options.files == 0 || options.files > FILES_MAX)
		return usage();
	containers = make_tree(&options, root);
	if (strcmp(options.mode, "static") == 0)
		write_static(containers, &options);
	else
		prime(containers, &options);
	if (strcmp(options.mode, "steady") == 0) {
		printf("primed %llu\n", (unsigned long long)count(containers, &options).lines);
		fflush(stdout);
		if (fgets(line, sizeof line, stdin) == NULL)
			return 1;
		write_steady(containers, &options);
	}
	tally = count(containers, &options);
	write_manifest(&options, root, tally);
	if (options.progress)
		tell_progress(containers, &options);
	printf(
	    "done lines=%llu bytes=%llu\n", (unsigned long long)tally.lines, (unsigned long long)tally.bytes);
	for (unsigned i = 0; i < options.files; i++)
		free(containers[i].dir);
	free(containers);
	return 0;
}
