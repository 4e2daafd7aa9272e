"""A PostgreSQL cluster of its own that archives its write-ahead log, as docs/OPERATIONS.md has it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text


class ArchivedPostgres:
    """The cluster on a Unix socket in `directory`, which is to be short; `programs` is where initdb is."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.directory = Path(tempfile.mkdtemp(prefix="pg-"))
        self.wal, self.base, self.data = (self.directory / name for name in ("wal", "base", "data"))
        self.user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(self.directory, account.pw_uid, account.pw_gid)
            self.user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._run("mkdir", str(self.wal))
        self._program("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(
                f"listen_addresses = ''\nunix_socket_directories = '{self.directory}'\nwal_level = replica\n"
                f"archive_mode = on\narchive_command = 'test ! -f {self.wal}/%f && cp %p {self.wal}/%f'\n"
            )
        self.start()

    @property
    def url(self) -> str:
        """Of the database that stands for the authority's."""
        return f"postgresql+psycopg://postgres@/postgres?host={self.directory}"

    def start(self) -> None:
        self._program("pg_ctl", "-D", self.data, "-w", "-t", "60", "start")

    def stop(self) -> None:
        self._program("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")

    def close(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def base_backup(self) -> None:
        self._program(
            "pg_basebackup", "-h", self.directory, "-U", "postgres", "-D", self.base, "-X", "none", "-c", "fast"
        )

    def ask(self, statement: str) -> Any:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            answer = connection.execute(text(statement)).scalar()
        engine.dispose()
        return answer

    def lose_and_restore(self, target_time: str) -> None:
        """The data directory is lost; base backup and archived log bring it back to a moment."""
        self.ask("SELECT pg_switch_wal()")
        time.sleep(1)  # until the archiver has copied it
        self.stop()
        shutil.rmtree(self.data)
        self._run("cp", "-a", str(self.base), str(self.data))
        with (self.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write(
                f"restore_command = 'cp {self.wal}/%f %p'\nrecovery_target_time = '{target_time}'\n"
                "recovery_target_action = 'promote'\n"
            )
        self._run("touch", str(self.data / "recovery.signal"))
        self.start()
        while self.ask("SELECT pg_is_in_recovery()"):  # it answers reads before it has got there
            time.sleep(0.05)

    def _program(self, name: str, *words: object) -> None:
        self._run(str(self.programs / name), *map(str, words))

    def _run(self, *words: str) -> None:
        subprocess.run(
            words, check=True, cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.user
        )
