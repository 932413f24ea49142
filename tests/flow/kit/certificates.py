"""A little authority: certificates that are good, expired, for another name, or signed by nobody that counts.

They have all the extensions that RFC 5280 wants, since Python 3.13 verifies strictly."""

import os
import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Everything in one directory: ca.crt, and NAME.pem (certificate and key) for each one asked for."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.ca = self._path("ca.crt")
        self._openssl("req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=test authority",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        open(self._path("index.txt"), "w").close()
        with open(self._path("ca.cnf"), "w") as config:
            config.write("[ca]\ndefault_ca=this\n[this]\ndatabase=index.txt\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n"
                         "new_certs_dir=.\nunique_subject=no\ncopy_extensions=copy\nx509_extensions=identifiers\n[any]\ncommonName=supplied\n"
                         "[identifiers]\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")

    def good(self, name="good", names="IP:127.0.0.1,DNS:localhost"):
        return self._sign(name, names, "20200101000000Z", "20991231000000Z")

    def expired(self):
        return self._sign("expired", "IP:127.0.0.1,DNS:localhost", "20200101000000Z", "20200201000000Z")

    def wrong_name(self):
        return self.good("wrong-name", "DNS:elsewhere.example")

    def self_signed(self):
        self._openssl("req", "-x509", *KEY, "-keyout", "self.key", "-out", "self.crt", "-days", "30", "-subj", "/CN=localhost",
                      "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        return self._join("self")

    def client(self):
        """(certificate, key) for a client."""
        self.good("client", "DNS:client")
        return self._path("client.crt"), self._path("client.key")

    def _sign(self, name, names, start, end):
        self._openssl("req", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
                      "-addext", f"subjectAltName={names}")
        self._openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key", "-startdate", start,
                      "-enddate", end, "-in", f"{name}.csr", "-out", f"{name}.crt")
        return self._join(name)

    def _join(self, name):
        with open(self._path(f"{name}.pem"), "wb") as pem:
            for part in ("crt", "key"):
                with open(self._path(f"{name}.{part}"), "rb") as source:
                    pem.write(source.read())
        return self._path(f"{name}.pem")

    def _path(self, name):
        return os.path.join(self.dir, name)

    def _openssl(self, *arguments):
        done = subprocess.run(("openssl", *arguments), cwd=self.dir, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
