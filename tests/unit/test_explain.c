/* --explain from files: what is printed, and the exit codes. */
#include "config.h"

#include "controller/explain.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/file.h"
#include "common/must.h"
#include "tests/unit/scratch.h"

#define NODES                                                                                                \
	"{\"kind\":\"List\",\"items\":["                                                                     \
	"{\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\",\"uid\":\"u1\",\"resourceVersion\":\"1\","         \
	"\"labels\":{\"disk\":\"ssd\"}}},"                                                                   \
	"{\"kind\":\"Node\",\"metadata\":{\"name\":\"n2\",\"uid\":\"u2\",\"resourceVersion\":\"1\","         \
	"\"labels\":{\"disk\":\"hdd\"}}},"                                                                   \
	"{\"kind\":\"Node\",\"metadata\":{\"name\":\"n3\",\"uid\":\"u3\",\"resourceVersion\":\"1\","         \
	"\"labels\":{\"disk\":\"ssd\"}},"                                                                    \
	"\"spec\":{\"taints\":[{\"key\":\"gpu\",\"value\":\"yes\",\"effect\":\"NoSchedule\"}]}},"            \
	"{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"passed over\"}}]}"

#define SET(namespace, name, uid, spec)                                                                      \
	"{\"apiVersion\":\"drave.dev/v1alpha1\",\"kind\":\"CollectorSet\",\"metadata\":{\"name\":\"" name    \
	"\",\"namespace\":\"" namespace "\",\"uid\":\"" uid "\",\"resourceVersion\":\"5\",\"generation\":1}" \
							    ",\"spec\":{\"selector\":{"                      \
					"\"matchLabels\":{\"app\":\"a\"}},\"template\":{\"metadata\":{"      \
					"\"labels\":{\"app\":\"a\"}},\"spec\":{" spec                        \
					"\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"

static struct scratch scratch;
static char *paths[8];
static size_t path_count;
static char told[1 << 16], complained[4096];

static void file(const char *text)
{
	char *path = xasprintf("%s/%zu.json", scratch.path, path_count);

	ck_assert_int_eq(file_replace(path, text, strlen(text), NULL), 0);
	paths[path_count++] = path;
}

static void read_back(const char *name, char *text, size_t size)
{
	char *path = xasprintf("%s/%s", scratch.path, name);
	struct buf content;

	buf_init(&content, size - 1);
	ck_assert_int_eq(file_read(path, &content, NULL), 0);
	(void)snprintf(text, size, "%s", buf_text(&content));
	buf_release(&content);
	free(path);
}

static void begin(void)
{
	scratch_init(&scratch);
	path_count = 0;
}

/* From now on the stream goes into this file; returns what it was, for give_back. */
static int divert(FILE *stream, const char *name)
{
	char *path = xasprintf("%s/%s", scratch.path, name);
	int before, fd;

	fflush(stream);
	before = dup(fileno(stream));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(before, 0);
	ck_assert_int_ge(dup2(fd, fileno(stream)), 0);
	close(fd);
	free(path);
	return before;
}

static void give_back(FILE *stream, int before)
{
	fflush(stream);
	ck_assert_int_ge(dup2(before, fileno(stream)), 0);
	close(before);
}

/* Explains the node from the files so far; told and complained have what it said. */
static int explain(const char *node, const char *served)
{
	struct controller_conf conf = {.namespace_name = (char *)(uintptr_t)served};
	int out, err, code;

	paths[path_count] = NULL;
	out = divert(stdout, "out");
	err = divert(stderr, "err");
	code = explain_run(&conf, node, (const char *const *)paths);
	give_back(stdout, out);
	give_back(stderr, err);
	read_back("out", told, sizeof told);
	read_back("err", complained, sizeof complained);
	for (size_t i = 0; i < path_count; i++)
		free(paths[i]);
	path_count = 0;
	scratch_release(&scratch);
	return code;
}

static void says(const char *words)
{
	ck_assert_msg(strstr(told, words) != NULL, "'%s' is not in:\n%s", words, told);
}

static void is_silent_about(const char *words)
{
	ck_assert_msg(strstr(told, words) == NULL, "'%s' is in:\n%s", words, told);
}

START_TEST(an_eligible_node_without_a_pod_gets_one)
{
	begin();
	file(NODES);
	file(SET("ns", "agent", "s1", "\"nodeSelector\":{\"disk\":\"ssd\"},"));
	ck_assert_int_eq(explain("n1", "*"), EX_OK);
	says("node n1\n");
	says("disk=ssd");
	says("collectorset ns/agent\n");
	for (int rule = 2; rule <= 6; rule++) {
		char name[8];

		(void)snprintf(name, sizeof name, "  E-%d ", rule);
		says(name);
	}
	says("no pod here");
	says("next: create pod\n");
	says("elsewhere: 1 action"); /* the revision; n2 has another disk, n3 a taint */
}
END_TEST

START_TEST(the_rule_that_keeps_a_pod_away_is_named)
{
	begin();
	file(NODES);
	file(SET("ns", "agent", "s1", "\"nodeSelector\":{\"disk\":\"ssd\"},"));
	ck_assert_int_eq(explain("n2", "*"), EX_OK);
	says("disk=ssd, the node has disk=hdd");
	says("next: nothing on this node");
	begin();
	file(NODES);
	file(SET("ns", "agent", "s1", ""));
	ck_assert_int_eq(explain("n3", "*"), EX_OK);
	says("taints gpu=yes:NoSchedule");
	says("nothing tolerates gpu=yes:NoSchedule");
	says("next: nothing on this node");
}
END_TEST

#define POD(namespace, name, uid, owner, node)                                                               \
	"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"" name                                                   \
	"\",\"namespace\":\"" namespace "\",\"uid\":\"" uid                                                  \
					"\",\"resourceVersion\":\"7\",\"labels\":{\"app\":\"a\","            \
					"\"controller-revision-hash\":\"old\"}" owner                        \
					"},\"spec\":{\"nodeName\":\"" node                                   \
					"\"},\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":"   \
					"\"Ready\",\"status\":\"True\",\"lastTransitionTime\":"              \
					"\"2026-01-01T00:00:00Z\"}]}}"
#define OWNED                                                                                                \
	",\"ownerReferences\":[{\"apiVersion\":\"drave.dev/"                                                 \
	"v1alpha1\",\"kind\":\"CollectorSet\",\"name\":\"agent\",\"uid\":\"s1\","                            \
	"\"controller\":true}]"

START_TEST(pods_that_are_there_are_told_with_what_becomes_of_them)
{
	begin();
	file(NODES);
	file(SET("ns", "agent", "s1", "\"nodeSelector\":{\"disk\":\"ssd\"},"));
	file(POD("ns", "on-n2", "p1", OWNED, "n2"));
	file(POD("other", "orphan-elsewhere", "p2", "", "n2"));
	ck_assert_int_eq(explain("n2", "*"), EX_OK);
	says("pod on-n2: Running, available, revision old (outdated)");
	says("next: delete pod on-n2");
	is_silent_about("orphan-elsewhere");
	is_silent_about("no pod here");
}
END_TEST

START_TEST(sets_come_by_name_and_those_not_served_say_so)
{
	begin();
	file(NODES);
	file(SET("zoo", "late", "s2", ""));
	file(SET("ns", "agent", "s1", ""));
	ck_assert_int_eq(explain("n1", "ns"), EX_OK);
	says("collectorset zoo/late\n  is not served: the controller serves namespace ns\n");
	ck_assert(strstr(told, "collectorset ns/agent") < strstr(told, "collectorset zoo/late"));
}
END_TEST

START_TEST(a_set_that_is_invalid_says_why)
{
	begin();
	file(NODES);
	file(SET("ns", "agent", "s1", "\"restartPolicy\":\"Never\","));
	ck_assert_int_eq(explain("n1", "*"), EX_OK);
	says("cannot be acted on: ");
	says("restartPolicy");
	is_silent_about("next:");
}
END_TEST

START_TEST(items_of_a_bare_list_are_what_the_list_is)
{
	begin();
	file("{\"kind\":\"NodeList\",\"items\":[{\"metadata\":{\"name\":\"n9\",\"uid\":\"u9\","
	     "\"resourceVersion\":\"1\"}}]}");
	ck_assert_int_eq(explain("n9", NULL), EX_OK);
	says("node n9\n");
	says("there is no CollectorSet");
}
END_TEST

START_TEST(what_cannot_be_read_ends_with_its_code)
{
	begin();
	file(NODES);
	ck_assert_int_eq(explain("n4", "*"), EX_NOINPUT);
	ck_assert_ptr_nonnull(strstr(complained, "no node 'n4'"));
	begin();
	paths[path_count++] = xstrdup("/no/such/file.json");
	ck_assert_int_eq(explain("n1", "*"), EX_NOINPUT);
	ck_assert_ptr_nonnull(strstr(complained, "/no/such/file.json"));
	begin();
	file("{\"kind\":");
	ck_assert_int_eq(explain("n1", "*"), EX_DATAERR);
	ck_assert_ptr_nonnull(strstr(complained, "no JSON"));
	begin();
	file("{\"kind\":\"Node\",\"metadata\":{\"name\":7}}");
	ck_assert_int_eq(explain("n1", "*"), EX_DATAERR);
	ck_assert_str_eq(told, "");
}
END_TEST

UNIT_MAIN("explain", an_eligible_node_without_a_pod_gets_one, the_rule_that_keeps_a_pod_away_is_named,
    pods_that_are_there_are_told_with_what_becomes_of_them, sets_come_by_name_and_those_not_served_say_so,
    a_set_that_is_invalid_says_why, items_of_a_bare_list_are_what_the_list_is,
    what_cannot_be_read_ends_with_its_code)
