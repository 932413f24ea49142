"""Each lint can fail: small trees with one fault each, and one without."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import archive
import banned
import hardening
import headers
import layers
import manifests
import papers
import samples
import sizes


class Tree(unittest.TestCase):
    """A temporary root that a test fills with files."""

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="drave-lint-")
        self.addCleanup(shutil.rmtree, self.root)
        self.put("config.h", "")
        # The environment of make lint means the real tree.
        environment = mock.patch.dict(os.environ, {"DRAVE_BUILD": self.root, "LINT_CFLAGS": "-I" + self.root, "CI": ""})
        environment.start()
        self.addCleanup(environment.stop)

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        return full

    def header(self, path, body="", head="Something."):
        guard = "DRAVE_" + path.upper().replace("/", "_").replace(".", "_")
        self.put(path, f"/* {head} */\n#ifndef {guard}\n#define {guard}\n{body}\n#endif\n")

    def findings(self, lint):
        with open(os.devnull, "w", encoding="utf-8") as quiet, contextlib.redirect_stdout(quiet):
            return list(lint.check(self.root))

    def expect(self, lint, *findings):
        self.assertEqual(self.findings(lint), list(findings))


class Layers(Tree):
    def test_downstream_includes_are_fine(self):
        self.header("common/a.h")
        self.header("conf/b.h", '#include "common/a.h"')
        self.header("outputs/format.h", '#include "conf/b.h"')
        self.header("collector/c.h", '#include "outputs/format.h"')
        self.put("tests/unit/t.c", '#include "collector/c.h"\n#include "outputs/format.h"\n')
        self.expect(layers)

    def test_an_include_upstream_is_found(self):
        self.header("conf/b.h")
        self.put("common/a.c", '#include "config.h"\n#include "conf/b.h"\n')
        self.expect(layers, "common/a.c:2: common may not include 'conf/b.h'")

    def test_the_collector_sees_only_the_contract_of_outputs(self):
        self.header("outputs/kafka_output.h")
        self.put("collector/a.c", '#include "outputs/kafka_output.h"\n')
        self.expect(layers, "collector/a.c:1: collector may not include 'outputs/kafka_output.h'")

    def test_nothing_includes_tests(self):
        self.header("tests/unit/unit.h")
        self.put("collector/a.c", '#include "tests/unit/unit.h"\n')
        self.expect(layers, "collector/a.c:1: collector may not include 'tests/unit/unit.h'")

    def test_paths_begin_at_the_root(self):
        self.header("common/a.h")
        self.put("common/b.c", '#include "a.h"\n')
        self.expect(layers, "common/b.c:1: 'a.h' is no path from the root")

    def test_a_library_has_one_door(self):
        self.put("common/http.c", "#include <curl/curl.h>\n")
        self.put("outputs/kafka_output.c", "#include <librdkafka/rdkafka.h>\n")
        self.put("outputs/http_output.c", "#include <curl/curl.h>\n#  include <sqlite3.h>\n")
        self.put("tests/fake/mock.c", "#include <librdkafka/rdkafka.h>\n")
        self.expect(
            layers,
            "outputs/http_output.c:1: 'curl/curl.h' belongs behind common/http.c",
            "outputs/http_output.c:2: 'sqlite3.h' belongs behind collector/checkpoint_db.c",
        )

    def test_a_circle_of_modules_is_found(self):
        self.header("common/a.h")
        self.put("common/a.c", '#include "common/a.h"\n#include "common/b.h"\n')
        self.header("common/b.h", '#include "common/c.h"')
        self.header("common/c.h")
        self.put("common/c.c", '#include "common/a.h"\n')
        self.expect(layers, "common/c.c:1: a circle of modules: common/a -> common/b -> common/c -> common/a")

    def test_a_pure_file_does_not_reach_the_world(self):
        self.header("common/loop.h", "#include <uv.h>")
        self.header("collector/cri.h", '#include "common/loop.h"', head="Lines. Pure.")
        self.put("collector/cri.c", '#include "collector/cri.h"\nlong f(void) { return time(0); /* time() */ }\n')
        self.expect(
            layers,
            "collector/cri.c:1: a pure file reaches 'uv.h' by collector/cri.h -> common/loop.h -> uv.h",
            "collector/cri.c:2: a pure file asks the clock: time()",
            "collector/cri.h:4: a pure file reaches 'uv.h' by common/loop.h -> uv.h",
        )


class Headers(Tree):
    def test_a_good_header_is_fine(self):
        self.header("common/a.h", "#include <stddef.h>\nsize_t a(void);")
        self.put("common/a.c", '#include "config.h"\n#include "common/a.h"\n')
        self.put("common/a_part.c", '#include "config.h"\n#include "common/a.h"\n')
        self.expect(headers)

    def test_a_header_that_needs_another_is_found(self):
        self.header("common/a.h", "size_t a(void);")
        findings = self.findings(headers)
        self.assertEqual(len(findings), 1)
        self.assertTrue(findings[0].startswith("common/a.h:1: does not compile alone: "), findings)

    def test_the_order_of_includes_is_checked(self):
        self.header("common/a.h")
        self.header("common/b.h")
        self.put("common/a.c", '#include "common/a.h"\n')
        self.put("common/b.c", '#include "config.h"\n#include "common/a.h"\n#include "common/b.h"\n')
        self.expect(
            headers,
            'common/a.c:1: the first include is not "config.h"',
            'common/b.c:1: the second include is not its own header "common/b.h"',
        )

    def test_a_missing_guard_is_found(self):
        self.put("common/a.h", "int a(void);\n")
        self.expect(headers, "common/a.h:1: no include guard DRAVE_COMMON_A_H")


class Archive(Tree):
    def test_what_is_named_is_fine(self):
        self.put("common/a.c", "")
        self.header("common/a.h")
        self.put("common/Makefile.inc", "SOURCES = \\\n\tcommon/a.c common/a.h\n")
        self.put("tests/unit/test_a.c", "")
        self.put("tests/Makefile.inc", "UNIT_TESTS = \\\n\ttests/unit/test_a\n")
        self.expect(archive)

    def test_what_is_not_named_is_found(self):
        self.put("common/a.c", "")
        self.header("common/ab.h")
        self.put("common/Makefile.inc", "SOURCES = common/a.c common/ab.c common/cab.h\n")
        self.expect(archive, "common/ab.h:1: not named in common/Makefile.inc, so the archive lacks it")


class Banned(Tree):
    def test_calls_are_found_and_words_are_not(self):
        self.put("common/a.c", '/* strcpy(a, b) */\nconst char *s = "atoi(x)";\nint my_atoi(int);\nint y = atoi (s);\n')
        self.expect(banned, "common/a.c:4: atoi() is not used here: take strtoull")

    def test_every_banned_call_is_found(self):
        for name in banned.BANNED:
            self.put("common/a.c", f"void f(void)\n{{\n\t{name}(x);\n}}\n")
            self.assertEqual(len(self.findings(banned)), 1, name)


@unittest.skipIf(shutil.which("ctags") is None, "universal-ctags is not installed")
class Sizes(Tree):
    def function(self, lines):
        self.put("common/a.c", "int f(void)\n{\n" + "\tg();\n" * (lines - 3) + "}\n")

    def test_sixty_lines_are_fine_and_one_more_is_not(self):
        self.function(60)
        self.expect(sizes)
        self.function(61)
        self.expect(sizes, "common/a.c:1: common/a.c:f has 61 lines, 60 are the limit")

    def test_a_long_file_is_found(self):
        self.put("common/a.c", "\n" * 801)
        self.expect(sizes, "common/a.c:1: common/a.c has 801 lines, 800 are the limit")

    def test_the_allow_list_may_only_shrink(self):
        self.put("tests/lint/sizes.allow", "# why\ncommon/a.c:f 70\n")
        self.function(70)
        self.expect(sizes)
        self.function(71)
        self.expect(sizes, "common/a.c:1: common/a.c:f has 71 lines, 70 were granted, and the list may only shrink")
        self.function(65)
        self.expect(sizes, "tests/lint/sizes.allow:1: common/a.c:f has 65 lines: write 65")
        self.function(60)
        self.expect(sizes, "tests/lint/sizes.allow:1: common/a.c:f has 60 lines: take it off the list")
        self.put("common/a.c", "\n")
        self.expect(sizes, "tests/lint/sizes.allow:1: there is no common/a.c:f")


class Samples(Tree):
    def program(self, text, status=0):
        path = self.put("drave-collector", f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {status}\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def test_an_equal_sample_is_fine(self):
        self.program("[collector]\n;a = 1\n")
        self.put("conf/collector.ini", "[collector]\n;a = 1\n")
        self.expect(samples)

    def test_the_first_difference_is_shown(self):
        self.program("[collector]\n;a = 1\n;b = 2\n")
        self.put("conf/collector.ini", "[collector]\n;a = 2\n;b = 2\n")
        self.expect(samples, "conf/collector.ini:2: is not what the rows say: ';a = 1'")
        self.put("conf/collector.ini", "[collector]\n;a = 1\n;b = 2\n;c = 3\n")
        self.expect(samples, "conf/collector.ini:4: is not what the rows say: '(the end)'")

    def test_a_program_that_fails_is_found(self):
        self.program("", status=64)
        self.put("conf/collector.ini", "")
        self.expect(samples, "conf/collector.ini:1: drave-collector --print-sample failed")

    def test_the_table_of_a_man_page_is_compared(self):
        self.program(".It Ic a\n")
        self.put("docs/man/drave-collector.ini.5", '.Sh X\n.\\" begin options\n.It Ic a\n.\\" end options\n.Sh Y\n')
        self.expect(samples)
        self.put("docs/man/drave-collector.ini.5", '.\\" begin options\n.It Ic b\n.\\" end options\n')
        self.expect(samples, "docs/man/drave-collector.ini.5:1: is not what the rows say: '.It Ic a'")
        self.put("docs/man/drave-collector.ini.5", ".Sh X\n")
        self.expect(samples, "docs/man/drave-collector.ini.5:1: the lines 'begin options' and 'end options' are missing")

    def test_nothing_is_passed_over_in_silence_under_ci(self):
        self.put("conf/collector.ini", "")
        with mock.patch.dict(os.environ, {"CI": "true"}):
            self.expect(samples, "conf/collector.ini:1: drave-collector is not built, so nothing was compared")


class Manifests(Tree):
    def setUp(self):
        super().setUp()
        path = self.put("drave-collector", "#!/bin/sh\nawk -v f=\"$3\" '/bad/ { print f \":\" NR \": a bad key\"; bad = 1 } END { exit bad }' \"$3\" >&2\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        self.put("configure.ac", "AC_INIT([drave], [1.2.3], [])\n")
        self.put("deploy/Makefile.inc", "EXTRA_DIST += deploy/a/collector.ini deploy/a.yaml\n")
        self.put("deploy/a/collector.ini", "[collector]\n")
        self.put("deploy/a.yaml", "image: drave:1.2.3\n")

    def test_a_good_one_is_fine(self):
        self.expect(manifests)

    def test_a_bad_configuration_is_found_at_its_line(self):
        self.put("deploy/a/collector.ini", "[collector]\nbad = 1\n")
        self.expect(manifests, "deploy/a/collector.ini:2: a bad key")

    def test_a_bad_one_within_yaml_too(self):
        self.put("deploy/a.yaml", "data:\n  collector.ini: |\n    [collector]\n\n    bad = 1\n  other: bad\n")
        self.expect(manifests, "deploy/a.yaml:5: a bad key")

    def test_an_image_of_another_version_is_found(self):
        self.put("deploy/a.yaml", "x:\n  image: drave:1.2.2\n")
        self.expect(manifests, "deploy/a.yaml:2: the image is not of version 1.2.3")

    def test_what_the_archive_would_lack_is_found(self):
        self.put("deploy/b.yaml", "")
        self.expect(manifests, "deploy/b.yaml:1: is not named in deploy/Makefile.inc, so the archive lacks it")

    def test_nothing_is_passed_over_in_silence_under_ci(self):
        os.unlink(os.path.join(self.root, "drave-collector"))
        with mock.patch.dict(os.environ, {"CI": "true"}):
            self.expect(manifests, "deploy:1: drave-collector is not built, so no configuration was checked")


class Hardening(Tree):
    def program(self, *flags):
        source = self.put("main.c", '#include <stdio.h>\nint main(int c, char **v) { char b[64]; sprintf(b, "%s%d", v[0], c); return puts(b); }\n')
        command = [os.environ.get("CC", "cc").split()[0], "-O2", *flags, "-o", os.path.join(self.root, "drave-collector"), source]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    def test_a_hardened_program_is_fine(self):
        self.program("-fPIE", "-pie", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-all", "-Wl,-z,relro,-z,now,-z,noexecstack")
        self.expect(hardening)

    def test_each_flag_is_missed(self):
        self.program("-no-pie", "-U_FORTIFY_SOURCE", "-fno-stack-protector", "-Wl,-z,norelro,-z,lazy,-z,execstack")
        self.expect(hardening, *[f"drave-collector:1: not hardened: {sign}" for sign in hardening.SIGNS])


class Papers(Tree):
    def test_what_is_there_may_be_named(self):
        self.put("common/a.c", "static void f(int x)\n{\n\tg(x);\n}\n")
        self.put("README.md", "See `common/a.c:f`, `common/a.c` and [more](docs/B.md#part) or [that](https://example.org/).\n")
        self.put("docs/B.md", "[back](../README.md)\n")
        self.expect(papers)

    def test_what_is_not_there_is_found(self):
        self.put("common/a.c", "static void f(int x)\n{\n\tg(x);\n}\n")
        self.put("docs/B.md", "`common/a.c:g`\n`common/b.c`\n[x](C.md)\n")
        self.expect(papers, "docs/B.md:1: common/a.c has no function g", "docs/B.md:2: there is no common/b.c",
                    "docs/B.md:3: the link leads nowhere: C.md")

    def test_a_merge_left_half_done_is_found(self):
        self.put("README.md", "<" * 7 + " ours\na\n" + "=" * 7 + "\nb\n" + ">" * 7 + " theirs\n")
        self.expect(papers, "README.md:1: left over from a merge", "README.md:5: left over from a merge")


if __name__ == "__main__":
    unittest.main()
