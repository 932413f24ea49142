/* Errors of the world and of operators: a code for the program and one sentence for a person.
 *
 * Whoever fails fills the sentence once, where the facts are at hand; everybody above hands it on unchanged
 * or wraps it. Owns nothing.  Does not log, and keeps no chain of causes: the caller who decides writes the
 * one line. */
#include "config.h"
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"

int err_set(struct err *err, int code, const char *format, ...)
{
	char text[ERR_TEXT_BYTES]; /* apart, since the arguments may quote the text that stands in err already
				    */
	va_list args;

	must(code <= 0);
	if (err == NULL)
		return code;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	err->code = code;
	memcpy(err->text, text, sizeof text);
	return code;
}
