/* A revision's body, read back, and the order of revisions. */
#include "config.h"

#include "controller/revision.h"

#include <errno.h>
#include <string.h>

#include "controller/pod.h"
#include "tests/unit/objects.h"
#include "tests/unit/unit.h"

START_TEST(body_reads_back_as_the_same_template)
{
	cJSON *json = objects_set_json("foo", 1, "{\"app\":\"a\",\"controller-revision-hash\":\"stale\"}",
	    "{\"containers\":[{\"name\":\"c\"}]}");
	cJSON *metadata = cJSON_GetObjectItem(json, "metadata"), *body;
	struct collector_set *set = NULL;
	struct revision *revision = NULL;
	struct buf data, out;

	cJSON_AddItemToObject(metadata, "annotations",
	    objects_json("{\"kubernetes.io/change-cause\":\"why\","
			 "\"kubectl.kubernetes.io/last-applied-configuration\":\"long\"}"));
	ck_assert_int_eq(collector_set_read(&set, json, NULL), 0);
	buf_init(&data, POD_TEMPLATE_BYTES);
	buf_init(&out, 2 * POD_TEMPLATE_BYTES);
	pod_template_data(set->pod_template, &data);
	revision_body(set, "abcd", 7, data.data, data.len, &out);
	body = cJSON_Parse(buf_text(&out));
	ck_assert_ptr_nonnull(body);
	metadata = cJSON_GetObjectItem(body, "metadata");
	ck_assert_str_eq(cJSON_GetObjectItem(body, "apiVersion")->valuestring, "apps/v1");
	ck_assert_str_eq(cJSON_GetObjectItem(body, "kind")->valuestring, "ControllerRevision");
	ck_assert_str_eq(
	    cJSON_GetObjectItem(cJSON_GetObjectItem(metadata, "annotations"), "kubernetes.io/change-cause")
		->valuestring,
	    "why");
	ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(metadata, "annotations")), 1);
	cJSON_AddStringToObject(metadata, "uid", "r");
	cJSON_AddStringToObject(metadata, "resourceVersion", "9");
	ck_assert_int_eq(revision_read(&revision, body, NULL), 0);
	ck_assert_str_eq(revision->meta.name, "foo-abcd");
	ck_assert_str_eq(revision->meta.namespace_name, "ns");
	ck_assert_str_eq(revision_hash(revision), "abcd");
	ck_assert_str_eq(kube_labels_get(&revision->meta.labels, "app"), "a");
	ck_assert_str_eq(revision->meta.controller.uid, "uid-foo");
	ck_assert_int_eq(revision->number, 7);
	ck_assert_uint_eq(revision->data_len, data.len);
	ck_assert_mem_eq(revision->data, data.data, data.len);
	revision_free(revision);
	collector_set_free(set);
	buf_release(&data);
	buf_release(&out);
	cJSON_Delete(body);
	cJSON_Delete(json);
}
END_TEST

START_TEST(a_long_set_name_leaves_room_for_the_hash)
{
	char long_name[254], name[REVISION_NAME_BYTES];

	memset(long_name, 'a', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	revision_name(name, long_name, "bcdf");
	ck_assert_uint_eq(strlen(name), 223 + strlen("-bcdf"));
	ck_assert_str_eq(name + 223, "-bcdf");
	revision_name(name, "foo", "bcdf");
	ck_assert_str_eq(name, "foo-bcdf");
}
END_TEST

START_TEST(oldest_first_by_number_creation_and_name)
{
	static const struct {
		const char *name, *created;
		int number;
	} rows[] = {{"z", "2026-01-01T00:00:02Z", 1}, {"b", "2026-01-01T00:00:00Z", 2},
	    {"a", "2026-01-01T00:00:01Z", 2}, {"c", "2026-01-01T00:00:01Z", 2}};
	struct revision *revisions[4], *sorted[4];

	for (size_t i = 0; i < 4; i++) {
		cJSON *json =
		    objects_json("{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\",\"resourceVersion\":\"1\","
				 "\"creationTimestamp\":\"%s\"},\"revision\":%d}",
			rows[i].name, rows[i].created, rows[i].number);

		ck_assert_int_eq(revision_read(&revisions[i], json, NULL), 0);
		ck_assert_str_eq(revision_hash(revisions[i]), "");
		ck_assert_uint_eq(revisions[i]->data_len, 0);
		sorted[3 - i] = revisions[i];
		cJSON_Delete(json);
	}
	qsort(sorted, 4, sizeof sorted[0], revision_compare);
	for (size_t i = 0; i < 4; i++)
		ck_assert_msg(sorted[i] == revisions[i], "place %zu", i);
	for (size_t i = 0; i < 4; i++)
		revision_free(revisions[i]);
}
END_TEST

UNIT_MAIN("revision", body_reads_back_as_the_same_template, a_long_set_name_leaves_room_for_the_hash,
    oldest_first_by_number_creation_and_name)
