/* Names below the log root, one a line: what is taken can be put together again from its parts, and files
 * have one order. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/podpath.h"
#include "common/must.h"

static void check_pod(const char *name)
{
	struct podpath pod;
	char again[512];

	if (!podpath_parse_pod(name, &pod))
		return;
	(void)snprintf(again, sizeof again, "%s_%s_%s", pod.namespace_name, pod.pod, pod.uid);
	must(strcmp(again, name) == 0);
	must(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-._ABCDEF") == strlen(name));
	must(podpath_is_container(pod.namespace_name)); /* both are labels */
}

static struct logfile_name check_file(const char *name)
{
	struct logfile_name file = podpath_parse_file(name);
	char again[128];

	if (file.kind == LOGFILE_NONE)
		return file;
	must((file.kind == LOGFILE_LIVE) == (file.rotation[0] == '\0'));
	(void)snprintf(again, sizeof again, "%u.log%s%s%s", file.restart, file.rotation[0] != '\0' ? "." : "",
	    file.rotation, file.kind == LOGFILE_GZIP ? ".gz" : "");
	must(strcmp(again, name) == 0);
	must(podpath_compare(&file, &file) == 0);
	return file;
}

static void check_docker(const char *name)
{
	unsigned age = 0;
	enum logfile_kind kind = podpath_parse_docker(name, &age);
	const char *suffix = strstr(name, "-json.log");
	char expected[64] = "";

	if (kind == LOGFILE_NONE)
		return;
	must(suffix != NULL && suffix != name);
	must((kind == LOGFILE_LIVE) == (age == 0));
	if (age != 0)
		(void)snprintf(expected, sizeof expected, ".%u%s", age, kind == LOGFILE_GZIP ? ".gz" : "");
	must(strcmp(suffix + strlen("-json.log"), expected) == 0);
}

static int sign(int number)
{
	return (number > 0) - (number < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = xstrndup((const char *)bytes, len), *rest = text, *name;
	struct logfile_name before = {.kind = LOGFILE_NONE};

	while ((name = strsep(&rest, "\n")) != NULL) {
		struct logfile_name file = check_file(name);

		check_pod(name);
		check_docker(name);
		must(!podpath_is_container(name) || strlen(name) <= 63);
		if (file.kind == LOGFILE_NONE)
			continue;
		if (before.kind != LOGFILE_NONE)
			must(sign(podpath_compare(&file, &before)) == -sign(podpath_compare(&before, &file)));
		before = file;
	}
	free(text);
	return 0;
}
