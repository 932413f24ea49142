/*
 * What the pods of a real node run: numbered lines on both streams, by a rate, and then an end.
 *
 *     writer RATE COUNT STATUS LONG
 *
 * RATE lines a second, COUNT of them and then exit STATUS (COUNT 0: until TERM, exit 0).  Three of four lines go to standard output, the
 * others to standard error.  Each LONGth line (0 = none) has 20,000 to 80,000 bytes, which the runtime cuts into pieces of 16 KiB.
 *
 *     <run> <stream> <sequence> <crc> <text>
 *
 * run: when this process began, in nanoseconds; a restarted container begins another.  The sequence runs from 0 for each run and stream:
 * between the two pipes of a container nobody promises an order.  crc: CRC-32 of the line without its own word.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 90000

static volatile sig_atomic_t is_over;

static void on_term(int number)
{
	(void)number;
	is_over = 1;
}

static uint32_t crc32_of(uint32_t crc, const char *data, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The whole line, whatever a pipe takes at once. */
static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t count = write(fd, data, len);
		if (count <= 0)
			exit(9);
		data += count;
		len -= (size_t)count;
	}
}

static void write_line(int64_t run, int fd, long sequence, size_t text_len)
{
	static char line[LINE_BYTES + 100], text[LINE_BYTES];
	for (size_t i = 0; i < text_len; i++)
		text[i] = (char)('a' + (i + (size_t)sequence) % 26);
	char head[80];
	int head_len = snprintf(head, sizeof head, "%lld %s %ld ", (long long)run, fd == 1 ? "stdout" : "stderr", sequence);
	uint32_t crc = crc32_of(crc32_of(0, head, (size_t)head_len), text, text_len);
	int len = snprintf(line, sizeof line, "%s%08x %.*s\n", head, crc, (int)text_len, text);
	write_all(fd, line, (size_t)len);
}

int main(int count, char **words)
{
	if (count != 5)
		return 64;
	double rate = strtod(words[1], NULL);
	long lines = strtol(words[2], NULL, 10), every = strtol(words[4], NULL, 10);
	int status = (int)strtol(words[3], NULL, 10);
	signal(SIGTERM, on_term);
	int64_t run = now_ns(CLOCK_REALTIME), start = now_ns(CLOCK_MONOTONIC);
	long sequences[3] = {0, 0, 0};
	srandom((unsigned)run);
	for (long i = 0; !is_over && (lines == 0 || i < lines); i++) {
		int fd = i % 4 == 3 ? 2 : 1;
		int is_long = every != 0 && i % every == every - 1;
		write_line(run, fd, sequences[fd]++, (size_t)(is_long ? 20000 + random() % 60000 : random() % 400));
		int64_t due = start + (int64_t)((double)(i + 1) / rate * 1e9);
		struct timespec until = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	return is_over ? 0 : status;
}
