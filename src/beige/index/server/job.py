"""What a server was told to do, watched until it is done."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from beige.documents.chunk import Failure
from beige.errors import StoreError
from beige.index.report import KINDS, Change, Report
from beige.index.server.connection import Connection, MissingError

FIRST, LONGEST = 0.01, 0.5
"""Seconds between two looks at a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a server.

    Attributes:
        id: what the server calls it.
        names: of the documents that it is about.
    """

    id: str
    names: Collection[str]

    def finish(self, connection: Connection, tell: Callable[[Change], None]) -> Report:
        """Wait until all of it is durable or has failed.

        Args:
            connection: to the server.
            tell: called with each change as it is heard of.

        Returns:
            What was done.

        Raises:
            StoreError: the server cannot be asked, or has forgotten the job.
        """
        told: list[Change] = []
        pause = FIRST
        while True:
            state = self._look(connection, len(told))
            with connection.understood():
                for said in state["changes"]:
                    told.append(Change(**said))
                    tell(told[-1])
                if state["finished"] is not None:
                    report, untold = self._report(state, told)
                    break
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)
        for change in untold:
            tell(change)
        return report

    def _look(self, connection: Connection, told: int) -> Mapping[str, Any]:
        try:
            state: Mapping[str, Any] = connection.get(f"/v1/jobs/{self.id}", changes=told)
        except MissingError as error:
            raise StoreError(
                f"{connection} was started anew and has forgotten what it was sent: run the same command again, "
                "nothing is done twice"
            ) from error
        return state

    def _report(self, state: Mapping[str, Any], told: Collection[Change]) -> tuple[Report, list[Change]]:
        """What was done, and what of it was not told one by one."""
        failures = [Failure(said["source"], said["reason"]) for said in state["failures"]]
        report = Report(
            documents={kind: state["documents"][kind] for kind in KINDS},
            chunks=state["chunks"],
            tokens=state["tokens"],
            cut=state["cut"],
            failures=failures,
        )
        done = {change.source for change in told}
        if state["status"] == "failed" and not report.documents["failed"]:  # it was broken off as a whole
            lost = [name for name in self.names if name not in done]
            report.documents["failed"] = len(lost)
            report.failures = [Failure(name, failures[-1].reason) for name in lost]
        untold = [Change("failed", one.source, reason=one.reason) for one in report.failures if one.source not in done]
        counted = Counter(change.kind for change in [*told, *untold])
        for kind in KINDS:
            untold += [Change(kind, next(iter(self.names), ""))] * (report.documents[kind] - counted[kind])
        return report, untold
