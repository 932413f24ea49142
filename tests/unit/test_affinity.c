/* Node affinity against upstream's tables (component-helpers, nodeaffinity). */
#include "config.h"

#include "controller/affinity.h"

#include <errno.h>
#include <string.h>

#include "controller/placement.h"
#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

static struct affinity *read_required(const char *required)
{
	cJSON *json = objects_json(
	    "{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":%s}}", required);
	struct affinity *affinity = NULL;
	struct err err = {.code = 0};

	ck_assert_msg(affinity_read(&affinity, json, &err) == 0, "%s", err.text);
	cJSON_Delete(json);
	return affinity;
}

/* terms: the list behind nodeSelectorTerms. */
static bool terms_match(const char *terms, const char *node_name, const char *labels)
{
	char *required = xasprintf("{\"nodeSelectorTerms\":%s}", terms);
	struct affinity *affinity = read_required(required);
	struct node *node = objects_node(node_name, 1, labels, "[]");
	bool matches = affinity_matches(affinity, node);

	ck_assert_int_eq(affinity_matches(affinity, node), matches); /* and has changed nothing */
	node_free(node);
	affinity_free(affinity);
	free(required);
	return matches;
}

struct terms_row {
	const char *what, *terms, *node_name, *labels;
	bool matches;
};

static void check_terms(const struct terms_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(
		    terms_match(rows[i].terms, rows[i].node_name, rows[i].labels) == rows[i].matches, "%s",
		    rows[i].what);
}

#define LABEL_TERM(key, op, values)                                                                          \
	"{\"matchExpressions\":[{\"key\":\"" key "\",\"operator\":\"" op "\",\"values\":[" values "]}]}"
#define FIELD_TERM(key, op, values)                                                                          \
	"{\"matchFields\":[{\"key\":\"" key "\",\"operator\":\"" op "\",\"values\":[" values "]}]}"
#define BOTH_TERM(label_value, name)                                                                         \
	"{\"matchExpressions\":[{\"key\":\"label_1\",\"operator\":\"In\",\"values\":[\"" label_value         \
	"\"]}],"                                                                                             \
	"\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"" name "\"]}]}"
#define LABEL_1 "{\"label_1\":\"label_1_val\"}"

START_TEST(TestNodeSelectorMatch)
{
	static const struct terms_row rows[] = {
	    {"bad field and label selectors",
		"[" FIELD_TERM("metadata.name", "In", "\"host_1\",\"host_2\"") "," LABEL_TERM(
		    "label_1", "Within", "\"label_1_val\"") "]",
		"host_1", LABEL_1, false},
	    {"field yes, label no", "[" BOTH_TERM("label_1_val", "host_1") "]", "host_1", "{}", false},
	    {"both", "[" BOTH_TERM("label_1_val", "host_1") "]", "host_1", LABEL_1, true},
	    {"label yes, field no", "[" BOTH_TERM("label_1_val", "host_1") "]", "host_2", LABEL_1, false},
	    {"the second term",
		"[" LABEL_TERM("label_1", "In", "\"no\"") "," FIELD_TERM(
		    "metadata.name", "In", "\"host_1\"") "]",
		"host_1", "{}", true},
	    {"a wrong term does not spoil the one behind it",
		"[" LABEL_TERM("label_1", "Within", "\"x\"") "," LABEL_TERM(
		    "label_1", "In", "\"label_1_val\"") "]",
		"host_1", LABEL_1, true},
	};
	check_terms(rows, sizeof rows / sizeof rows[0]);
}
END_TEST

START_TEST(TestMatchNodeSelectorTerms)
{
	static const struct terms_row rows[] = {
	    {"nil terms", "null", "host_1", LABEL_1, false},
	    {"no terms", "[]", "host_1", LABEL_1, false},
	    {"labels only, yes", "[" LABEL_TERM("label_1", "In", "\"label_1_val\"") "]", "host_1", LABEL_1,
		true},
	    {"labels only, no", "[" LABEL_TERM("label_1", "In", "\"label_1_val\"") "]", "host_1",
		"{\"label_1\":\"label_1_val-failed\"}", false},
	    {"fields only, yes", "[" FIELD_TERM("metadata.name", "In", "\"host_1\"") "]", "host_1", "{}",
		true},
	    {"fields only, no", "[" FIELD_TERM("metadata.name", "In", "\"host_1\"") "]", "host_2", "{}",
		false},
	    {"invalid field: two values", "[" FIELD_TERM("metadata.name", "In", "\"host_1\",\"host_2\"") "]",
		"host_1", LABEL_1, false},
	    {"invalid field: no values", "[" FIELD_TERM("metadata.name", "In", "") "]", "host_1", LABEL_1,
		false},
	    {"invalid field: operator", "[" FIELD_TERM("metadata.name", "Exists", "") "]", "host_1", LABEL_1,
		false},
	    {"invalid field: key", "[" FIELD_TERM("metadata.uid", "NotIn", "\"x\"") "]", "host_1", LABEL_1,
		false},
	    {"not this field", "[" FIELD_TERM("metadata.name", "NotIn", "\"host_1\"") "]", "host_1", "{}",
		false},
	    {"any but this field", "[" FIELD_TERM("metadata.name", "NotIn", "\"host_1\"") "]", "host_2", "{}",
		true},
	    {"fields and labels, both", "[" BOTH_TERM("label_1_val", "host_1") "]", "host_1", LABEL_1, true},
	    {"fields yes, labels no", "[" BOTH_TERM("label_1_val", "host_1") "]", "host_1",
		"{\"label_1\":\"label_1_val-failed\"}", false},
	    {"fields no, labels yes", "[" BOTH_TERM("label_1_val", "host_1") "]", "host_2", LABEL_1, false},
	    {"terms are ORed: fields or labels",
		"[" FIELD_TERM("metadata.name", "In", "\"host_1\"") "," LABEL_TERM(
		    "label_1", "In", "\"label_1_val\"") "]",
		"host_2", LABEL_1, true},
	    {"neither of the terms",
		"[" FIELD_TERM("metadata.name", "In", "\"host_1\"") "," LABEL_TERM(
		    "label_1", "In", "\"label_1_val\"") "]",
		"host_2", "{}", false},
	    {"empty terms match nothing", "[{},{\"matchExpressions\":[],\"matchFields\":[]}]", "host_1",
		LABEL_1, false},
	    {"an empty term is skipped", "[{}," LABEL_TERM("label_1", "Exists", "") "]", "host_1", LABEL_1,
		true},
	};
	check_terms(rows, sizeof rows / sizeof rows[0]);
}
END_TEST

START_TEST(TestNodeSelectorRequirementsAsSelector)
{
	static const struct {
		const char *key, *operation, *values, *label; /* label of foo; NULL = it has none */
		bool matches;
	} rows[] = {
	    {"foo", "In", "\"bar\",\"baz\"", "\"baz\"", true},
	    {"foo", "In", "\"bar\",\"baz\"", "\"Baz\"", false},
	    {"foo", "In", "\"bar\"", NULL, false},
	    {"foo", "In", "\"\"", "\"\"", true},
	    {"foo", "In", "", "\"bar\"", false},
	    {"foo", "NotIn", "\"bar\",\"baz\"", "\"baz\"", false},
	    {"foo", "NotIn", "\"bar\"", "\"baz\"", true},
	    {"foo", "NotIn", "\"bar\"", NULL, true},
	    {"foo", "NotIn", "", "\"bar\"", false},
	    {"foo", "Exists", "", "\"\"", true},
	    {"foo", "Exists", "", NULL, false},
	    {"foo", "Exists", "\"bar\"", "\"bar\"", false},
	    {"foo", "DoesNotExist", "", NULL, true},
	    {"foo", "DoesNotExist", "", "\"bar\"", false},
	    {"foo", "DoesNotExist", "\"bar\"", NULL, false},
	    {"foo", "Gt", "\"1\"", "\"2\"", true},
	    {"foo", "Gt", "\"1\"", "\"1\"", false},
	    {"foo", "Gt", "\"9\"", "\"10\"", true},
	    {"foo", "Gt", "\"1\"", "\"two\"", false},
	    {"foo", "Gt", "\"1\"", NULL, false},
	    {"foo", "Gt", "\"one\"", "\"2\"", false},
	    {"foo", "Gt", "\"-1\"", "\"2\"", false}, /* a number, but no label's value */
	    {"foo", "Gt", "\"1\",\"1\"", "\"2\"", false},
	    {"foo", "Gt", "", "\"2\"", false},
	    {"foo", "Gt", "\"9223372036854775806\"", "\"9223372036854775807\"", true},
	    {"foo", "Gt", "\"1\"", "\"9223372036854775808\"", false},
	    {"foo", "Gt", "\"9223372036854775808\"", "\"9\"", false},
	    {"foo", "Gt", "\"1\"", "\"0x10\"", false},
	    {"foo", "Gt", "\"1\"", "\"2.5\"", false},
	    {"foo", "Lt", "\"7\"", "\"6\"", true},
	    {"foo", "Lt", "\"7\"", "\"7\"", false},
	    {"foo", "Lt", "\"7\"", "\"07\"", false},
	    {"foo", "Lt", "\"10\"", "\"007\"", true},
	    {"foo", "Lt", "\"seven\"", "\"6\"", false},
	    {"foo", "Lt", "\"7\"", NULL, false},
	    {"foo", "in", "\"bar\"", "\"bar\"", false},
	    {"foo", "", "\"bar\"", "\"bar\"", false},
	    {"foo", "In", "\"not a value\",\"bar\"", "\"bar\"", false},
	    {"foo bar", "DoesNotExist", "", NULL, false},
	    {"", "DoesNotExist", "", NULL, false},
	    {"-foo", "DoesNotExist", "", NULL, false},
	    {"Example.com/foo", "DoesNotExist", "", NULL, false},
	    {"example..com/foo", "DoesNotExist", "", NULL, false},
	    {"/foo", "DoesNotExist", "", NULL, false},
	    {"example.com/", "DoesNotExist", "", NULL, false},
	    {"a.b-c.d/foo_Bar.1", "DoesNotExist", "", NULL, true},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *terms = xasprintf(
		    "[{\"matchExpressions\":[{\"key\":\"%s\",\"operator\":\"%s\",\"values\":[%s]}]}]",
		    rows[i].key, rows[i].operation, rows[i].values);
		char *labels =
		    rows[i].label != NULL ? xasprintf("{\"foo\":%s}", rows[i].label) : xstrdup("{}");

		ck_assert_msg(terms_match(terms, "host_1", labels) == rows[i].matches, "row %zu: %s %s %s", i,
		    rows[i].key, rows[i].operation, rows[i].values);
		free(terms);
		free(labels);
	}
}
END_TEST

/* ---- nodeSelector and affinity together ---------------------------------------------------------------- */

#define SELECTOR(pairs)     "{\"nodeSelector\":{" pairs "},\"containers\":[{\"name\":\"c\"}]}"
#define WITH(node_affinity) "{\"affinity\":" node_affinity ",\"containers\":[{\"name\":\"c\"}]}"
#define REQUIRED(terms)                                                                                      \
	"{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"                            \
	"\"nodeSelectorTerms\":" terms "}}}"
#define SELECTOR_WITH(pairs, node_affinity)                                                                  \
	"{\"nodeSelector\":{" pairs "},\"affinity\":" node_affinity ",\"containers\":[{\"name\":\"c\"}]}"
#define FOO_BAR "{\"foo\":\"bar\"}"
#define TWO_EXPRESSIONS(second)                                                                              \
	"[{\"matchExpressions\":[{\"key\":\"GPU\",\"operator\":\"Exists\"},{\"key\":\"GPU\",\"operator\":"   \
	"\"NotIn\",\"values\":[\"" second "\"]}]}]"

START_TEST(TestPodMatchesNodeSelectorAndAffinityTerms)
{
	static const struct {
		const char *what, *spec, *labels, *node_name;
		bool fits;
	} rows[] = {
	    {"no selector", SELECTOR(""), "{}", "node", true},
	    {"missing labels", SELECTOR("\"foo\":\"bar\""), "{}", "node", false},
	    {"same labels", SELECTOR("\"foo\":\"bar\""), FOO_BAR, "node", true},
	    {"node labels are superset", SELECTOR("\"foo\":\"bar\""), "{\"foo\":\"bar\",\"baz\":\"blah\"}",
		"node", true},
	    {"node labels are subset", SELECTOR("\"foo\":\"bar\",\"baz\":\"blah\""), FOO_BAR, "node", false},
	    {"In", WITH(REQUIRED("[" LABEL_TERM("foo", "In", "\"bar\",\"value2\"") "]")), FOO_BAR, "node",
		true},
	    {"Gt", WITH(REQUIRED("[" LABEL_TERM("kernel-version", "Gt", "\"0204\"") "]")),
		"{\"kernel-version\":\"0206\"}", "node", true},
	    {"NotIn", WITH(REQUIRED("[" LABEL_TERM("mem-type", "NotIn", "\"DDR\",\"DDR2\"") "]")),
		"{\"mem-type\":\"DDR3\"}", "node", true},
	    {"Exists", WITH(REQUIRED("[" LABEL_TERM("GPU", "Exists", "") "]")),
		"{\"GPU\":\"NVIDIA-GRID-K1\"}", "node", true},
	    {"no match", WITH(REQUIRED("[" LABEL_TERM("foo", "In", "\"value1\",\"value2\"") "]")), FOO_BAR,
		"node", false},
	    {"nil terms", WITH(REQUIRED("null")), FOO_BAR, "node", false},
	    {"empty terms", WITH(REQUIRED("[]")), FOO_BAR, "node", false},
	    {"empty matchExpressions", WITH(REQUIRED("[{\"matchExpressions\":[]}]")), FOO_BAR, "node", false},
	    {"no affinity", SELECTOR(""), FOO_BAR, "node", true},
	    {"null affinity", WITH("null"), FOO_BAR, "node", true},
	    {"nil node affinity", WITH("{\"nodeAffinity\":null}"), FOO_BAR, "node", true},
	    {"nil required",
		WITH("{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":null}}"), FOO_BAR,
		"node", true},
	    {"preferred only",
		WITH("{\"nodeAffinity\":{\"preferredDuringSchedulingIgnoredDuringExecution\":[{\"weight\":1,"
		     "\"preference\":" LABEL_TERM("foo", "In", "\"no\"") "}]}}"),
		FOO_BAR, "node", true},
	    {"ANDed expressions, all hold", WITH(REQUIRED(TWO_EXPRESSIONS("AMD"))),
		"{\"GPU\":\"NVIDIA-GRID-K1\"}", "node", true},
	    {"ANDed expressions, one does not", WITH(REQUIRED(TWO_EXPRESSIONS("NVIDIA-GRID-K1"))),
		"{\"GPU\":\"NVIDIA-GRID-K1\"}", "node", false},
	    {"ORed terms",
		WITH(REQUIRED("[" LABEL_TERM("foo", "In", "\"bar\",\"value2\"") "," LABEL_TERM(
		    "diffkey", "In", "\"wrong\",\"value2\"") "]")),
		FOO_BAR, "node", true},
	    {"affinity and nodeSelector, both hold",
		SELECTOR_WITH("\"foo\":\"bar\"", REQUIRED("[" LABEL_TERM("foo", "Exists", "") "]")), FOO_BAR,
		"node", true},
	    {"affinity and nodeSelector, one does not",
		SELECTOR_WITH("\"foo\":\"bar\"", REQUIRED("[" LABEL_TERM("foo", "Exists", "") "]")),
		"{\"foo\":\"barrrrrr\"}", "node", false},
	    {"invalid value",
		WITH(REQUIRED("[" LABEL_TERM("foo", "NotIn", "\"invalid value: ___@#$%^\"") "]")), FOO_BAR,
		"node", false},
	    {"matchFields In, yes", WITH(REQUIRED("[" FIELD_TERM("metadata.name", "In", "\"node_1\"") "]")),
		"{}", "node_1", true},
	    {"matchFields In, no", WITH(REQUIRED("[" FIELD_TERM("metadata.name", "In", "\"node_1\"") "]")),
		"{}", "node_2", false},
	    {"two terms: field no, expression yes",
		WITH(REQUIRED("[" FIELD_TERM("metadata.name", "In", "\"node_1\"") "," LABEL_TERM(
		    "foo", "In", "\"bar\"") "]")),
		FOO_BAR, "node_2", true},
	    {"one term: field no, expression yes",
		WITH(REQUIRED("[{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":["
			      "\"node_1\"]}],\"matchExpressions\":[{\"key\":\"foo\",\"operator\":\"In\","
			      "\"values\":[\"bar\"]}]}]")),
		FOO_BAR, "node_2", false},
	    {"one term: both",
		WITH(REQUIRED("[{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":["
			      "\"node_1\"]}],\"matchExpressions\":[{\"key\":\"foo\",\"operator\":\"In\","
			      "\"values\":[\"bar\"]}]}]")),
		FOO_BAR, "node_1", true},
	    {"two terms: neither",
		WITH(REQUIRED("[" FIELD_TERM("metadata.name", "In", "\"node_1\"") "," LABEL_TERM(
		    "foo", "In", "\"not-match\"") "]")),
		FOO_BAR, "node_2", false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct collector_set *set = objects_set("foo", "{\"a\":\"b\"}", rows[i].spec);
		struct node *node = objects_node(rows[i].node_name, 1, rows[i].labels, "[]");
		struct placement placement = placement_decide(set->pod_template, node);

		ck_assert_msg(placement.should_run == rows[i].fits, "%s", rows[i].what);
		ck_assert_msg(placement.should_continue == rows[i].fits, "%s", rows[i].what);
		node_free(node);
		collector_set_free(set);
	}
}
END_TEST

START_TEST(wrong_types_are_errors)
{
	static const char *const wrong[] = {
	    "[]",
	    "{\"nodeAffinity\":1}",
	    "{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":\"x\"}}",
	    REQUIRED("{}"),
	    REQUIRED("[1]"),
	    REQUIRED("[{\"matchExpressions\":{}}]"),
	    REQUIRED("[{\"matchFields\":[2]}]"),
	    REQUIRED("[{\"matchExpressions\":[{\"key\":1}]}]"),
	    REQUIRED("[" LABEL_TERM("foo", "In", "1") "]"),
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		cJSON *json = objects_json("%s", wrong[i]);
		struct affinity *affinity = NULL;
		struct err err = {.code = 0};

		ck_assert_msg(affinity_read(&affinity, json, &err) == -EINVAL, "%s", wrong[i]);
		ck_assert_ptr_null(affinity);
		ck_assert_uint_gt(strlen(err.text), 0);
		cJSON_Delete(json);
	}
}
END_TEST

START_TEST(each_term_is_explained)
{
	struct affinity *affinity = read_required(
	    "{\"nodeSelectorTerms\":[{}," LABEL_TERM("zone", "In", "\"a\",\"b\"") "," LABEL_TERM(
		"zone", "Exists", "\"a\"") "," FIELD_TERM("metadata.name", "In", "\"n\"") "]}");
	struct node *node = objects_node("n", 1, "{\"zone\":\"c\"}", "[]");
	struct buf out;

	buf_init(&out, 4096);
	affinity_explain(affinity, node, &out);
	ck_assert_str_eq(buf_text(&out),
	    "term 1: no, the term is empty\n"
	    "term 2: no: zone In [a, b], the node has 'c'\n"
	    "term 3: no, the term is wrong: Exists and DoesNotExist take no values\n"
	    "term 4: yes: metadata.name In [n]\n");
	buf_release(&out);
	node_free(node);
	affinity_free(affinity);
}
END_TEST

UNIT_MAIN("affinity", TestNodeSelectorMatch, TestMatchNodeSelectorTerms,
    TestNodeSelectorRequirementsAsSelector, TestPodMatchesNodeSelectorAndAffinityTerms,
    wrong_types_are_errors, each_term_is_explained)
