/* Our own log: key=value lines or JSON on stderr.  The only global of the programs.
 *
 *   log_info("output ready", "output=%s brokers=%s", name, brokers);
 *
 * The text is constant so that it can be counted; values go into the fields.  Never payload, never secrets.  A call site that
 * repeats itself is limited (5 lines in 10 s, then one "repeated" line with the number of those left out). */
#ifndef DRAVE_COMMON_LOG_H
#define DRAVE_COMMON_LOG_H

#include <stdint.h>

enum log_level {
	LOG_ERROR, /* a person must act */
	LOG_WARN,  /* something was or will be lost, or is not as it should be */
	LOG_INFO,  /* the life cycle */
	LOG_DEBUG,
};

enum log_format { LOG_TEXT, LOG_JSON };

struct log_site {
	uint64_t window_ms;
	unsigned count;
	unsigned suppressed;
};

void log_setup(enum log_level level, enum log_format format);
enum log_level log_current_level(void);

/* `format` gives the fields: a printf format of key=value separated by blanks.  A value that may have blanks, quotes or control bytes goes
 * through log_quote().  Control bytes are escaped on output whatever happens; fields are cut at 4 KiB. */
void log_write(struct log_site *site, enum log_level level, const char *module, const char *text, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* text as a quoted, escaped value for a field, in one of eight rotating static buffers, cut at 400 bytes. */
const char *log_quote(const char *text);

/* The macros look the level up first; `fields` is a literal and may be left out:  log_info("stopped").
 * LOG_MODULE is defined by each .c before its first use, after the includes:  #define LOG_MODULE "finder" */
#define LOG_AT(level, text, ...)                                                                                        \
	do {                                                                                                            \
		static struct log_site log_site_here;                                                                   \
		if ((level) <= log_current_level())                                                                     \
			log_write(&log_site_here, (level), LOG_MODULE, (text), " " __VA_ARGS__);                        \
	} while (0)
#define log_error(text, ...) LOG_AT(LOG_ERROR, text, __VA_ARGS__)
#define log_warn(text, ...)  LOG_AT(LOG_WARN, text, __VA_ARGS__)
#define log_info(text, ...)  LOG_AT(LOG_INFO, text, __VA_ARGS__)
#define log_debug(text, ...) LOG_AT(LOG_DEBUG, text, __VA_ARGS__)

#endif
