/* Dead letters.  A plain file that `jq` reads, appended with one write a letter and bounded.
 *
 * Stands at the end of the shipper's road for records that nobody takes.  Owns the descriptor.  Refuses to lose: what cannot be written is answered with an
 * error, and the shipper holds the record. */
#include "config.h"
#include "collector/dead_letter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/must.h"

#define LETTER_BYTES (256u << 20) /* the longest record (max_record 16 MiB), escaped twice, and its envelope */

struct dead_letter {
	char *directory;
	char *path;
	char *output;
	uint64_t limit;
	int fd; /* -1 until the first letter */
};

struct dead_letter *dead_letter_new(const char *state_dir, const char *output, uint64_t limit)
{
	struct dead_letter *dead_letter = x_new(dead_letter);

	dead_letter->directory = xasprintf("%s/dead_letter", state_dir);
	dead_letter->path = xasprintf("%s/%s.ndjson", dead_letter->directory, output);
	dead_letter->output = xstrdup(output);
	dead_letter->limit = limit;
	dead_letter->fd = -1;
	return dead_letter;
}

void dead_letter_free(struct dead_letter *dead_letter)
{
	if (dead_letter == NULL)
		return;
	if (dead_letter->fd != -1)
		(void)close(dead_letter->fd); /* each letter was written whole */
	free(dead_letter->directory);
	free(dead_letter->path);
	free(dead_letter->output);
	free(dead_letter);
}

const char *dead_letter_path(const struct dead_letter *dead_letter)
{
	return dead_letter->path;
}

static int open_file(struct dead_letter *dead_letter, struct err *err)
{
	int status = file_make_dirs(dead_letter->directory, err);

	if (status != 0)
		return status;
	dead_letter->fd = open(dead_letter->path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (dead_letter->fd == -1)
		return err_set(err, -errno, "cannot open '%s': %s", dead_letter->path, strerror(errno));
	return 0;
}

static void write_letter(struct buf *line, const struct dead_letter *dead_letter, const char *reason, const char *answer,
	const char *const *destination, size_t destination_count, const char *record, size_t record_len)
{
	char at[CLOCK_TEXT_BYTES];

	clock_format_ns(at, clock_wall_ns());
	buf_printf(line, "{\"at\":\"%s\",\"output\":", at);
	buf_add_json(line, dead_letter->output, strlen(dead_letter->output));
	buf_add_text(line, ",\"reason\":");
	buf_add_json(line, reason, strlen(reason));
	if (answer != NULL) {
		buf_add_text(line, ",\"answer\":");
		buf_add_json(line, answer, strlen(answer));
	}
	buf_add_text(line, ",\"destination\":[");
	for (size_t i = 0; i < destination_count; i++) {
		buf_add_text(line, i != 0 ? "," : "");
		buf_add_json(line, destination[i], strlen(destination[i]));
	}
	buf_add_text(line, "],\"record\":");
	buf_add_json(line, record, record_len);
	buf_add_text(line, "}\n");
}

int dead_letter_write(struct dead_letter *dead_letter, const char *reason, const char *answer, const char *const *destination,
	size_t destination_count, const char *record, size_t record_len, struct err *err)
{
	struct buf line;
	struct stat info;
	ssize_t written;
	int status = 0;

	buf_init(&line, LETTER_BYTES);
	if (dead_letter->fd == -1)
		status = open_file(dead_letter, err);
	if (status != 0)
		goto out;
	write_letter(&line, dead_letter, reason, answer, destination, destination_count, record, record_len);
	must(!line.overflowed);
	if (fstat(dead_letter->fd, &info) == -1) {
		status = err_set(err, -errno, "cannot look at '%s': %s", dead_letter->path, strerror(errno));
		goto out;
	}
	if ((uint64_t)info.st_size + line.len > dead_letter->limit) {
		status = err_set(err, -ENOSPC, "dead_letter_limit of '%s' is reached", dead_letter->path);
		goto out;
	}
	written = file_write_all(dead_letter->fd, line.data, line.len);
	if (written < 0) {
		status = err_set(err, (int)written, "cannot write '%s': %s", dead_letter->path, strerror((int)-written));
		if (ftruncate(dead_letter->fd, info.st_size) == -1) /* half a letter; the next one begins a line of its own */
			(void)file_write_all(dead_letter->fd, "\n", 1);
	}
out:
	buf_release(&line);
	return status;
}
