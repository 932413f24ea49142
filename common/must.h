/* Assertions that ship in every build, memory that never comes back NULL, and checked casts.
 *
 * A bug aborts here with file, line and the broken truth; an operator's mistake or the world's weather never does
 * (docs/STYLE.md, errors take three roads). */
#ifndef DRAVE_COMMON_MUST_H
#define DRAVE_COMMON_MUST_H

#include <stddef.h>
#include <stdnoreturn.h>

/* Aborts with the place and the text of the condition unless it is true.  Always compiled in. */
#define must(condition) ((condition) ? (void)0 : must_failed(__FILE__, __LINE__, __func__, #condition))

/* Prints the broken truth, calls the panic hook once, and aborts. */
noreturn void must_failed(const char *file, int line, const char *function, const char *condition);

/* The hook runs before the abort: it dumps what helps (state to stderr).  NULL takes it away. */
void must_set_panic_hook(void (*hook)(void *arg), void *arg);

/* malloc, calloc, realloc, strdup and strndup that abort instead of returning NULL.  Sizes that come from outside must be bounded
 * by the caller before they get here.  The caller frees with free(). */
void *xmalloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull, warn_unused_result));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2), returns_nonnull, warn_unused_result));
void *xrealloc(void *memory, size_t size) __attribute__((alloc_size(2), warn_unused_result));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull, warn_unused_result));
char *xstrndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* printf into new memory; the caller frees. */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull, warn_unused_result));

/* A zeroed object of the type of *pointer:  struct tail *t = x_new(t); */
#define x_new(pointer) ((__typeof__(pointer))xcalloc(1, sizeof *(pointer)))

/* From a member back to the struct that embeds it. */
#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

/* Four bytes at the head of a struct that is handed through void *; checked by its cast, changed when it is closed. */
#define MAGIC(a, b, c, d) ((unsigned)(a) << 24 | (unsigned)(b) << 16 | (unsigned)(c) << 8 | (unsigned)(d))

#endif
