/* Assertions.  The one place where this program ends itself on purpose: a truth that the code rests on does not hold, so
 * going on could lose or corrupt what it carries.  The log files are still on disk; the next start reads again from the
 * checkpoint. */
#include "config.h"
#include "common/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*panic_hook)(void *arg);
static void *panic_arg;

void must_set_panic_hook(void (*hook)(void *arg), void *arg)
{
	panic_hook = hook;
	panic_arg = arg;
}

noreturn void must_failed(const char *file, int line, const char *function, const char *condition)
{
	void (*hook)(void *arg) = panic_hook;

	fprintf(stderr, "panic: %s:%d: %s: must hold: %s\n", file, line, function, condition);
	panic_hook = NULL; /* a hook that breaks a truth itself must not run twice */
	if (hook != NULL)
		hook(panic_arg);
	fflush(stderr);
	abort();
}

void *xmalloc(size_t size)
{
	void *memory = malloc(size != 0 ? size : 1);

	must(memory != NULL);
	return memory;
}

void *xcalloc(size_t count, size_t size)
{
	void *memory = calloc(count != 0 ? count : 1, size != 0 ? size : 1);

	must(memory != NULL);
	return memory;
}

void *xrealloc(void *memory, size_t size)
{
	void *moved = realloc(memory, size != 0 ? size : 1);

	must(moved != NULL);
	return moved;
}

char *xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len)
{
	size_t text_len = strnlen(text, len);
	char *copy = xmalloc(text_len + 1);

	memcpy(copy, text, text_len);
	copy[text_len] = '\0';
	return copy;
}

char *xasprintf(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	must(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}
