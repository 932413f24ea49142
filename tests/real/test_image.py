#!/usr/bin/env python3
"""The image: built twice, at two places, from a clone and from a copy without one.  As root; DRAVE_REAL_CACHE as for tools/debian-root.

Its archive is taken apart here by what the formats say, not by the code that wrote it.
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest

TREE = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
LIMIT_BYTES = 25_000_000
PROGRAMS = ("drave-collector", "drave-controller")
LIBRARY = re.compile(r"usr/lib(64|/[a-z0-9_]+-linux-gnu)/(lib|ld-linux)[\w+.-]+\.so\.[\d.]+")
EXPECTED = [re.compile(pattern) for pattern in (
    r"usr/bin/(drave-collector|drave-controller)", LIBRARY.pattern, r"(bin|lib|lib64|sbin)",
    r"etc/(passwd|group|nsswitch\.conf|os-release|ssl/certs/ca-certificates\.crt)", r"usr/lib/(os-release|ssl/cert\.pem)",
    r"usr/share/(common-licenses/[\w.-]+|doc/[a-z0-9+.-]+/copyright|drave/sbom\.spdx\.json)", r"var/lib/dpkg/status\.d/[a-z0-9+.-]+")]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class ImageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="drave-image-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.root = run(f"{TREE}/tools/debian-root", "make", "trixie", "build,test,image").strip()
        cls.path = os.path.join(cls.dir, "drave.tar")
        run(f"{TREE}/deploy/image/build", cls.path)
        with tarfile.open(cls.path) as archive:
            cls.members = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}
        cls.docker = json.loads(cls.members["manifest.json"])[0]
        cls.config = json.loads(cls.members[cls.docker["Config"]])
        cls.layer = cls.members[cls.docker["Layers"][0]]
        cls.tree = os.path.join(cls.dir, "tree")
        with tarfile.open(fileobj=io.BytesIO(cls.layer), mode="r:gz") as layer:
            cls.entries = {entry.name: entry for entry in layer}
            layer.extractall(cls.tree, numeric_owner=True)
        with open(os.path.join(cls.dir, "drave.spdx.json"), encoding="utf-8") as file:
            cls.sbom_text = file.read()
        cls.packages = {package["name"]: package for package in json.loads(cls.sbom_text)["packages"]}

    def there(self, *command):
        """In the Debian that it was built in."""
        return run(f"{TREE}/tools/debian-root", "run", self.root, self.dir, *command)

    def test_a_second_build_elsewhere_has_the_same_bytes(self):
        elsewhere = os.path.join(self.dir, "a/much/longer/path")
        run(f"{TREE}/tools/copy-source", elsewhere)
        run(f"{elsewhere}/deploy/image/build", f"{self.dir}/second.tar")
        for one, other in (("drave.tar", "second.tar"), ("drave.spdx.json", "second.spdx.json")):
            with open(os.path.join(self.dir, one), "rb") as first, open(os.path.join(self.dir, other), "rb") as second:
                self.assertEqual(hashlib.sha256(first.read()).hexdigest(), hashlib.sha256(second.read()).hexdigest(), one)

    def test_the_steps_of_the_containerfile_make_the_same_tree(self):
        run(f"{TREE}/tools/copy-source", f"{self.dir}/container")
        with open(f"{TREE}/deploy/image/Containerfile", encoding="utf-8") as file:
            steps = [step.replace("/stage", "/build/stage") for step in re.findall(r"^RUN (.*)$", file.read(), re.M) if not step.startswith("apt-get")]
        self.assertEqual(len(steps), 2)
        arguments = (f"REVISION={self.config['config']['Labels']['org.opencontainers.image.revision']}", f"EPOCH={next(iter(self.entries.values())).mtime}")
        for step in steps:
            self.there("env", "-C", "/build/container", *arguments, "sh", "-ec", step)
        self.assertEqual(run("diff", "--recursive", "--no-dereference", self.tree, f"{self.dir}/stage"), "")

    def test_it_is_small(self):
        self.assertLess(os.path.getsize(self.path), LIMIT_BYTES)

    def test_both_manifests_name_the_same_whole_image(self):
        def blob(descriptor):
            content = self.members["blobs/" + descriptor["digest"].replace(":", "/")]
            self.assertEqual((descriptor["digest"], descriptor["size"]), ("sha256:" + hashlib.sha256(content).hexdigest(), len(content)))
            return content
        self.assertEqual(json.loads(self.members["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
        [entry] = json.loads(self.members["index.json"])["manifests"]
        manifest = json.loads(blob(entry))
        self.assertEqual(blob(manifest["config"]), self.members[self.docker["Config"]])
        self.assertEqual([blob(layer) for layer in manifest["layers"]], [self.members[layer] for layer in self.docker["Layers"]])
        with tarfile.open(fileobj=io.BytesIO(self.layer), mode="r:gz") as layer:
            plain = layer.fileobj
            plain.seek(0)
            self.assertEqual(self.config["rootfs"]["diff_ids"], ["sha256:" + hashlib.sha256(plain.read()).hexdigest()])
        with open(f"{TREE}/configure.ac", encoding="utf-8") as file:
            version = re.search(r"AC_INIT\(\[drave\], \[(.*?)\]", file.read())[1]
        self.assertEqual(self.docker["RepoTags"], [f"drave:{version}"])
        self.assertEqual(entry["annotations"]["io.containerd.image.name"], f"docker.io/library/drave:{version}")

    def test_the_label_tells_the_commit(self):
        labels = self.config["config"]["Labels"]
        self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")
        commit = run("git", "-C", TREE, "rev-parse", "--short=12", "HEAD").strip()
        self.assertRegex(labels["org.opencontainers.image.revision"], f"^{commit}(-dirty)?$")
        self.assertIn(f"({labels['org.opencontainers.image.revision']})", run("chroot", self.tree, "drave-collector", "--version"))

    def test_nothing_unexpected_is_in_it(self):
        files = [name for name, entry in self.entries.items() if not entry.isdir()]
        self.assertEqual([name for name in files if not any(pattern.fullmatch(name) for pattern in EXPECTED)], [])
        self.assertEqual({(entry.uid, entry.gid, entry.uname, entry.gname) for entry in self.entries.values()}, {(0, 0, "", "")})
        self.assertEqual(len({entry.mtime for entry in self.entries.values()}), 1)
        self.assertEqual([name for name, entry in self.entries.items() if entry.mode & 0o6000 or (entry.mode & 0o22 and entry.isfile())], [])
        self.assertEqual([name for name in files if not os.path.exists(os.path.join(self.tree, name)) and not self.entries[name].issym()], [])

    def test_both_programs_run_in_it_for_root_and_others(self):
        environment = dict(variable.split("=", 1) for variable in self.config["config"]["Env"])
        for program in PROGRAMS:
            for user in ("0:0", "65532:65532"):
                told = run(shutil.which("chroot"), f"--userspec={user}", self.tree, program, "--version", env=environment)
                self.assertRegex(told, rf"^{program} ")
            run("chroot", self.tree, program, "--help")
        self.assertRegex(run("chroot", self.tree, "drave-collector", "--version"), r"librdkafka 2\.8")

    def test_it_carries_no_library_that_nobody_loads(self):
        loaded = set()
        for program in PROGRAMS:
            loader = run("readelf", "-lW", f"{self.tree}/usr/bin/{program}").partition("interpreter: ")[2].partition("]")[0]
            told = run("chroot", self.tree, loader, "--list", f"/usr/bin/{program}")
            self.assertNotIn("not found", told)
            loaded.update(re.findall(r"(\S+) \(0x", told))
        names = {os.path.basename(name) for name in loaded if "vdso" not in name}
        self.assertEqual({os.path.basename(name) for name in self.entries if LIBRARY.fullmatch(name)}, names)

    def test_the_sbom_lists_the_package_of_each_library(self):
        libraries = [name for name in self.entries if LIBRARY.fullmatch(name)]
        self.assertGreater(len(libraries), 20)
        real = self.there("realpath", *("/" + name for name in libraries)).split()
        owners = {line.split(":")[0] for line in self.there("dpkg", "-S", *real).splitlines()}
        listed = {name for name, package in self.packages.items() if package["SPDXID"].startswith("SPDXRef-deb-")}
        self.assertEqual(owners - listed, set())
        self.assertEqual(listed - owners, {"base-files", "ca-certificates", "uthash-dev"})
        versions = self.there("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *listed)
        self.assertEqual(dict(line.split() for line in versions.splitlines()), {name: self.packages[name]["versionInfo"] for name in listed})
        for name in listed:
            self.assertIn(f"usr/share/doc/{name}/copyright", self.entries)
            self.assertIn(f"var/lib/dpkg/status.d/{name}", self.entries)

    def test_the_sbom_lies_in_the_image_and_relates_all(self):
        with open(f"{self.tree}/usr/share/drave/sbom.spdx.json", encoding="utf-8") as file:
            self.assertEqual(file.read(), self.sbom_text)
        document = json.loads(self.sbom_text)
        self.assertEqual(document["spdxVersion"], "SPDX-2.3")
        contained = {relation["relatedSpdxElement"] for relation in document["relationships"] if relation["relationshipType"] == "CONTAINS"}
        self.assertEqual(contained, {package["SPDXID"] for package in document["packages"]} - {"SPDXRef-image"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
