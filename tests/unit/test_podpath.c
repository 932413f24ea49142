#include "config.h"

#include "collector/podpath.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define UID  "0f8fad5b-d9cb-469f-a165-70867728950e"
#define HASH "0123456789abcdef0123456789abcdef"

static bool is_pod(const char *name)
{
	struct podpath pod;

	return podpath_parse_pod(name, &pod);
}

static enum logfile_kind kind_of(const char *name)
{
	return podpath_parse_file(name).kind;
}

START_TEST(a_pod_directory_tells_namespace_pod_and_uid)
{
	struct podpath pod;

	ck_assert(podpath_parse_pod("team-a_api-7d4b9c.v2_" UID, &pod));
	ck_assert_str_eq(pod.namespace_name, "team-a");
	ck_assert_str_eq(pod.pod, "api-7d4b9c.v2");
	ck_assert_str_eq(pod.uid, UID);
}
END_TEST

START_TEST(a_static_pod_has_its_hash_for_a_uid)
{
	struct podpath pod;

	ck_assert(podpath_parse_pod("kube-system_etcd-node-1_" HASH, &pod));
	ck_assert_str_eq(pod.uid, HASH);
}
END_TEST

START_TEST(the_longest_names_fit)
{
	char name[400], label[64], subdomain[254];
	struct podpath pod;

	memset(label, 'n', 63);
	label[63] = '\0';
	memset(subdomain, 'p', 253);
	subdomain[100] = '.';
	subdomain[253] = '\0';
	snprintf(name, sizeof name, "%s_%s_%s", label, subdomain, UID);
	ck_assert(podpath_parse_pod(name, &pod));
	ck_assert_str_eq(pod.namespace_name, label);
	ck_assert_str_eq(pod.pod, subdomain);
	ck_assert(podpath_is_container(label));

	snprintf(name, sizeof name, "n%s_pod_%s", label, UID);
	ck_assert(!is_pod(name));
	snprintf(name, sizeof name, "n_p%s_%s", subdomain, UID);
	ck_assert(!is_pod(name));
	snprintf(name, sizeof name, "%sx", label);
	ck_assert(!podpath_is_container(name));
}
END_TEST

START_TEST(names_that_kubernetes_refuses_are_no_pods)
{
	static const char *const names[] = {"", "_", "__", "a", "a_b", "a_b_", "_b_" UID, "a__" UID,
	    "A_b_" UID, "a_B_" UID, "-a_b_" UID, "a-_b_" UID, "a.b_b_" UID, "a_.b_" UID, "a_b._" UID,
	    "a_b..c_" UID, "a_b.-c_" UID, "a_b-.c_" UID, "a_b_c_" UID, "a_b_" UID "x", "a_b_" UID "_",
	    "a_b_" HASH "0", "a_b_0f8fad5b-d9cb-469f-a165-70867728950",
	    "a_b_0f8fad5b-d9cb-469f-a165-70867728950g", "a_b_0f8fad5bxd9cb-469f-a165-70867728950e", "a_b_..",
	    "a/_b_" UID, "a_b c_" UID, "\xc3\xa4_b_" UID, "a_b\n_" UID, "..", ".", "pods"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		ck_assert_msg(!is_pod(names[i]), "'%s' was taken", names[i]);
}
END_TEST

START_TEST(a_container_is_a_label)
{
	ck_assert(podpath_is_container("app"));
	ck_assert(podpath_is_container("0"));
	ck_assert(podpath_is_container("istio-proxy"));
	ck_assert(podpath_is_container("a--b"));
	ck_assert(!podpath_is_container(""));
	ck_assert(!podpath_is_container("a.b"));
	ck_assert(!podpath_is_container("App"));
	ck_assert(!podpath_is_container("-app"));
	ck_assert(!podpath_is_container("app-"));
	ck_assert(!podpath_is_container(".."));
	ck_assert(!podpath_is_container("a_b"));
}
END_TEST

START_TEST(file_names_tell_restart_and_rotation)
{
	struct logfile_name file = podpath_parse_file("12.log");

	ck_assert_int_eq(file.kind, LOGFILE_LIVE);
	ck_assert_uint_eq(file.restart, 12);
	ck_assert_str_eq(file.rotation, "");

	file = podpath_parse_file("0.log.20260131-123456");
	ck_assert_int_eq(file.kind, LOGFILE_ROTATED);
	ck_assert_uint_eq(file.restart, 0);
	ck_assert_str_eq(file.rotation, "20260131-123456");

	file = podpath_parse_file("4294967295.log.20260131-123456.gz");
	ck_assert_int_eq(file.kind, LOGFILE_GZIP);
	ck_assert_uint_eq(file.restart, 4294967295);
	ck_assert_str_eq(file.rotation, "20260131-123456");
}
END_TEST

START_TEST(other_files_are_none)
{
	static const char *const names[] = {"", "0", ".log", "log", "0.logs", "0.log.", "00.log", "01.log",
	    "-1.log", "+1.log", " 1.log", "4294967296.log", "99999999999999999999999.log", "0.log.tmp",
	    "0.log.gz", "0.log.20260131", "0.log.20260131-12345", "0.log.20260131-1234567",
	    "0.log.20260131_123456", "0.log.2026013a-123456", "0.log.20260131-123456.",
	    "0.log.20260131-123456.tmp", "0.log.20260131-123456.gz.tmp", "0.log.20260131-123456.gzip",
	    "0.log.20260131-123456.GZ", "0.log/20260131-123456", "a0.log", "0x1.log"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		ck_assert_msg(kind_of(names[i]) == LOGFILE_NONE, "'%s' was taken", names[i]);
}
END_TEST

START_TEST(files_are_ordered_as_they_were_written)
{
	static const char *const names[] = {"0.log.20251231-235959", "0.log.20260101-000000.gz",
	    "0.log.20260101-000001", "0.log", "2.log.20240101-000000", "2.log", "10.log"};
	size_t count = sizeof names / sizeof names[0];

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			struct logfile_name a = podpath_parse_file(names[i]),
					    b = podpath_parse_file(names[j]);
			int order = podpath_compare(&a, &b);

			ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
		}
	}
}
END_TEST

START_TEST(a_rotated_file_and_its_gzip_are_equal)
{
	struct logfile_name plain = podpath_parse_file("0.log.20260131-123456"),
			    gzip = podpath_parse_file("0.log.20260131-123456.gz");

	ck_assert_int_eq(podpath_compare(&plain, &gzip), 0);
}
END_TEST

START_TEST(docker_counts_rotations)
{
	unsigned age = 7;

	ck_assert_int_eq(podpath_parse_docker("0af1-json.log", &age), LOGFILE_LIVE);
	ck_assert_uint_eq(age, 0);
	ck_assert_int_eq(podpath_parse_docker("0af1-json.log.1", &age), LOGFILE_ROTATED);
	ck_assert_uint_eq(age, 1);
	ck_assert_int_eq(podpath_parse_docker("0af1-json.log.10.gz", &age), LOGFILE_GZIP);
	ck_assert_uint_eq(age, 10);
}
END_TEST

START_TEST(other_names_are_none_of_dockers)
{
	static const char *const names[] = {"", "-json.log", "xyz-json.log", "0af1-json.log.",
	    "0af1-json.log.0", "0af1-json.log.01", "0af1-json.log.4294967296", "0af1-json.log.1.tmp",
	    "0af1-json.log.gz", "0af1-json.logx", "0af1-json", "0af1"};
	unsigned age = 7;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		ck_assert_msg(
		    podpath_parse_docker(names[i], &age) == LOGFILE_NONE, "'%s' was taken", names[i]);
	ck_assert_uint_eq(age, 7);
}
END_TEST

UNIT_MAIN("podpath", a_pod_directory_tells_namespace_pod_and_uid, a_static_pod_has_its_hash_for_a_uid,
    the_longest_names_fit, names_that_kubernetes_refuses_are_no_pods, a_container_is_a_label,
    file_names_tell_restart_and_rotation, other_files_are_none, files_are_ordered_as_they_were_written,
    a_rotated_file_and_its_gzip_are_equal, docker_counts_rotations, other_names_are_none_of_dockers)
