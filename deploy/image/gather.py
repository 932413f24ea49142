#!/usr/bin/env python3
"""Adds to the programs of an image what they need to run:  gather.py STAGE VERSION REVISION SECONDS [SOURCE-URL]

STAGE/usr/bin has the programs, and this machine is the Debian that they were built on. Into STAGE go the shared libraries that the loader
finds for them and the loader, authorities' certificates, the few files of /etc that libraries look for, empty directories to mount on, and of
every Debian package that any of this is from: its copyright, and its entry for scanners that look for known holes (var/lib/dpkg/status.d).

STAGE/usr/share/drave/sbom.spdx.json lists the packages (SPDX 2.3). STAGE.json becomes the image's configuration.
"""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import uuid

# Nothing to load, but their code is in the programs.
COMPILED_IN = ("uthash-dev",)
DIRECTORIES = {"dev": 0o755, "etc/drave": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var/lib/drave": 0o755, "var/log": 0o755}
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/usr/sbin/nologin\n"
                  "nonroot:x:65532:65532:nonroot:/:/usr/sbin/nologin\n"
                  "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
# As in Debian, where these are merged; the last is where OpenSSL looks by itself (Kafka without ca_file), the first-named file is curl's.
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin",
         "etc/os-release": "../usr/lib/os-release", "usr/lib/ssl/cert.pem": "/" + CERTIFICATES}


def told(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Stage:
    def __init__(self, root):
        self.root = root
        self.packages = {}  # name -> what of it is in the image

    def path(self, name):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def copy(self, source, name, package, mode=0o644):
        shutil.copyfile(source, self.path(name))
        os.chmod(self.path(name), mode)
        self.packages.setdefault(package, []).append("/" + name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), 0o644)

    def link(self, name, target):
        os.symlink(target, self.path(name))


def owner(path):
    """The package that a file of this machine is from."""
    return told("dpkg", "-S", os.path.realpath(path)).split(":")[0]


def add_libraries(stage):
    found = set()
    for program in sorted(os.listdir(os.path.join(stage.root, "usr/bin"))):
        for line in told("ldd", os.path.join(stage.root, "usr/bin", program)).splitlines():
            if "not found" in line:
                sys.exit(f"gather.py: {program}: {line.strip()}")
            found.update(re.findall(r"(/\S+) \(0x", line))
    for library in sorted(found):
        # One for this machine's processor alone would not run on another.
        if "glibc-hwcaps" in library:
            sys.exit(f"gather.py: a library of a special processor: {library}")
        name = os.path.join(os.path.realpath(os.path.dirname(library)), os.path.basename(library)).lstrip("/")
        stage.copy(library, name, owner(library), 0o755)


def add_surroundings(stage):
    for name, mode in DIRECTORIES.items():
        os.makedirs(os.path.join(stage.root, name))
        os.chmod(os.path.join(stage.root, name), mode)
    for name, text in FILES.items():
        stage.write(name, text)
    for name, target in LINKS.items():
        stage.link(name, target)
    stage.copy("/" + CERTIFICATES, CERTIFICATES, "ca-certificates")
    stage.copy("/usr/lib/os-release", "usr/lib/os-release", "base-files")


def add_papers(stage, licence):
    """Licences, and what a scanner wants to know of each package."""
    common = "usr/share/common-licenses"
    for name in sorted(os.listdir("/" + common)):
        if os.path.islink(f"/{common}/{name}"):
            stage.link(f"{common}/{name}", os.readlink(f"/{common}/{name}"))
        else:
            stage.copy(f"/{common}/{name}", f"{common}/{name}", "base-files")
    for package in COMPILED_IN:
        stage.packages[package] = []
    for package in sorted(stage.packages):
        stage.copy(f"/usr/share/doc/{package}/copyright", f"usr/share/doc/{package}/copyright", package)
        stage.write(f"var/lib/dpkg/status.d/{package}", told("dpkg-query", "-s", package))
    shutil.copyfile(licence, stage.path("usr/share/doc/drave/copyright"))
    os.chmod(stage.path("usr/share/doc/drave/copyright"), 0o644)


def facts(package):
    names = ("Version", "Architecture", "source:Package", "source:Version", "Maintainer", "Homepage")
    return dict(zip(names, told("dpkg-query", "-W", "-f", "\n".join("${%s}" % name for name in names), package).split("\n")))


def spdx_package(name, version, identity, **more):
    return {"SPDXID": identity, "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION", **more}


def debian_package(package, files):
    fact = facts(package)
    return spdx_package(
        package, fact["Version"], f"SPDXRef-deb-{re.sub('[^A-Za-z0-9.-]', '-', package)}",
        supplier="Organization: Debian", **({"homepage": fact["Homepage"]} if fact["Homepage"] else {}),
        sourceInfo=f"built from Debian's source package {fact['source:Package']} {fact['source:Version']}",
        comment=f"licences: /usr/share/doc/{package}/copyright; files: {' '.join(files)}",
        externalRefs=[{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                       "referenceLocator": f"pkg:deb/debian/{package.replace('+', '%2B')}@{fact['Version'].replace('+', '%2B')}"
                                           f"?arch={fact['Architecture']}&distro=debian-13"}])


def sbom(stage, version, revision, created):
    programs = [f"/usr/bin/{name}" for name in sorted(os.listdir(os.path.join(stage.root, "usr/bin")))]
    drave = spdx_package("drave", version, "SPDXRef-drave", licenseDeclared="Apache-2.0", comment=f"files: {' '.join(programs)}", sourceInfo=f"commit {revision}")
    packages = [debian_package(package, files) for package, files in sorted(stage.packages.items())]
    image = spdx_package(f"drave:{version}", version, "SPDXRef-image", primaryPackagePurpose="CONTAINER")
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")]
    relations += [("SPDXRef-image", "CONTAINS", package["SPDXID"]) for package in [drave, *packages]]
    content = json.dumps([revision, [(package["name"], package["versionInfo"]) for package in packages]])
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"drave-{version}-image",
            "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
            "creationInfo": {"created": created, "creators": [f"Tool: drave-gather-{version}"]},
            "packages": [image, drave, *packages],
            "relationships": [{"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other} for one, kind, other in relations]}


def config(version, revision, created, source):
    labels = {"title": "drave", "description": "log collector and its placement controller", "version": version, "revision": revision,
              "created": created, "licenses": "Apache-2.0", **({"source": source} if source else {})}
    return {"Cmd": ["/usr/bin/drave-collector"], "Env": ["PATH=/usr/bin"], "WorkingDir": "/",
            "Labels": {f"org.opencontainers.image.{name}": value for name, value in labels.items()}}


def main(root, version, revision, seconds, source=None):
    created = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    stage = Stage(root)
    add_libraries(stage)
    add_surroundings(stage)
    add_papers(stage, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../LICENSE"))
    stage.write("usr/share/drave/sbom.spdx.json", json.dumps(sbom(stage, version, revision, created), indent=1) + "\n")
    with open(root.rstrip("/") + ".json", "w", encoding="utf-8") as file:
        json.dump(config(version, revision, created, source), file)


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    os.umask(0o022)
    main(*sys.argv[1:])
