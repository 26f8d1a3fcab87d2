"""Several networks on the same samples: one table over networks and conditions, and with each sensor missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssma_ros.models import count_parameters
from ssma_ros.training.datasets.shared_samples import SharedSamples
from ssma_ros.training.evaluate.contenders import Entry, score_side_by_side
from ssma_ros.training.evaluate.evaluation import MISSING_CASES, spread_indices
from ssma_ros.training.evaluate.ledger import Ledger, entry_key
from ssma_ros.training.evaluate.pictures import group_chart
from ssma_ros.training.evaluate.report import Report, Table, percent
from ssma_ros.training.evaluate.scoring import ALL_SENSORS, MULTI_SCALE, CaseResult, Tally, cases_of
from ssma_ros.training.evaluate.tables import class_table, group_tables, score_table, trimap_table
from ssma_ros.training.evaluate.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from ssma_ros.contract import Contract
    from ssma_ros.training.datasets.cache import Samples
    from ssma_ros.training.evaluate.contenders import Contender

TALLIES_NAME = "tallies.json"


class Tabulation:
    """Scores every network in every case of missing sensors.

    Args:
        contenders: networks with distinct names.
        open_samples: opens the data for a contract.
        data: digest of the data.
        folder: where the tallies are kept; what is there already is not scored again.
        limit: at most this many samples, spread evenly; 0 = all.
        multi_scale: names of the networks that are also scored with flips and scales.

    Raises:
        SsmaError: the networks' classes differ, the data cannot be opened, or the folder holds other tallies.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        open_samples: Callable[[Contract], Samples],
        *,
        data: str,
        folder: Path,
        limit: int = 0,
        multi_scale: Collection[str] = (),
    ) -> None:
        self._contenders = contenders
        self._samples = SharedSamples([c.contract for c in contenders], open_samples)
        self._indices = spread_indices(len(self._samples), limit)
        groups = [self._samples.group(i) for i in self._indices]
        self._entries: dict[str, Entry] = {}
        for index, contender in enumerate(contenders):
            digest = contender.digest()
            for case in cases_of(contender.contract, multi_scale=contender.name in multi_scale):
                entry = Entry(index, case, Tally(contender.contract))
                key = entry_key(digest, entry, data, self._indices, groups)
                while key in self._entries:  # the same weights under another name: a row of their own
                    key += " again"
                self._entries[key] = entry
        self._ledger = Ledger(folder / TALLIES_NAME)
        self._ledger.restore(self._entries)

    def run(self, progress: str = "") -> None:
        """Score what is not scored yet; ``progress`` is the text of a bar, or none."""
        score_side_by_side(
            self._contenders, list(self._entries.values()), self._samples, self._indices, progress=progress,
            after_sample=lambda: self._ledger.save(self._entries, now=False),
        )
        self._ledger.save(self._entries)

    def results(self, *cases: str) -> dict[str, CaseResult]:
        """Of the named cases, by the names of the networks, those with flips and scales as ``NAME, msf``."""
        found = {}
        for entry in self._entries.values():
            if entry.case.name in cases:
                suffix = ", msf" if entry.case == MULTI_SCALE else ""
                found[self._contenders[entry.contender].name + suffix] = entry.result()
        return found

    def report(self, facts: Mapping[str, Any]) -> Report:
        """What was found; ``facts`` say what was scored."""
        whole = self.results(ALL_SENSORS.name, MULTI_SCALE.name)
        tables = [
            *group_tables(whole, "network"), *self._missing_tables(), score_table(whole, "network"),
            class_table(whole, "network"), trimap_table(whole, "network"), self._network_table(),
        ]
        document = {
            "networks": {c.name: self._facts_of(i) for i, c in enumerate(self._contenders)},
            "results": {
                c.name: [e.result().to_document() for e in self._entries.values() if e.contender == i]
                for i, c in enumerate(self._contenders)
            },
        }
        by_group = {name: {g: s.scores["miou"] for g, s in r.groups.items()} for name, r in whole.items()}
        pictures = {"conditions": group_chart(by_group)} if any(by_group.values()) else {}
        head = {**facts, "samples": len(self._indices), **versions()}
        return Report("Comparison", head, document, tables, pictures)

    def _missing_tables(self) -> list[Table]:
        """mIoU with sensors missing, of the networks that have a stream left then."""
        by_case = {case: self.results(case) for case in MISSING_CASES}
        cases = [case for case, found in by_case.items() if found]
        several = [c.name for c in self._contenders if sum(c.name in found for found in by_case.values()) > 1]
        if not several:
            return []
        rows = [
            [name, *(percent(by_case[case][name].scores["miou"]) if name in by_case[case] else "–" for case in cases)]
            for name in several
        ]
        return [Table("mIoU with sensors missing (%)", ["network", *cases], rows, "All samples together.")]

    def _network_table(self) -> Table:
        rows = []
        for index, contender in enumerate(self._contenders):
            facts = self._facts_of(index)
            rows.append([contender.name, facts["network"], ", ".join(facts["streams"]),
                         f"{facts['parameters'] / 1e6:.2f} M", facts["model"]])
        return Table("Networks", ["network", "kind", "streams", "parameters", "model"], rows)

    def _facts_of(self, index: int) -> dict[str, Any]:
        contender = self._contenders[index]
        return {
            "model": str(contender.path), "network": contender.network.name,
            "streams": list(contender.contract.modalities), "parameters": count_parameters(contender.network),
            "contract": contender.contract.digest(),
        }
