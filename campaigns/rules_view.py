"""The rules of calling that hold for a campaign, for people: packs with what they are sure of, caps, consent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from campaigns import capping, dispositions, rule_changes
from campaigns.models import Campaign
from dialer.abandonment import RulePack, rule_pack
from dialer.calling_rules import Reading
from dialer.caps import Cap

# From the least to the most sure: what must be checked first is said first.
SURENESS = {
    "unsure": "unsure, to be checked",
    "told": "as others tell it",
    "ours": "our own choice",
    "read": "read in the text",
}


@dataclass(frozen=True, slots=True)
class PackShown:
    """One pack and where it holds: the campaign, or lists by their names."""

    pack: RulePack
    lists: Sequence[str]  # empty: the whole campaign

    def readings(self) -> list[tuple[str, Reading]]:
        """Return where each rule was read; of a region's law with the region, of the country's with nothing."""
        law = self.pack.calling
        found = [("", one) for one in law.readings]
        return found + [(region, one) for region, own in law.regions.items() for one in own.readings]

    def by_sureness(self) -> dict[str, list[str]]:
        """Return what is as sure as each word says: `{"told": ["hours", "caps in US-FL, US-OK"]}`, least sure first."""
        regions: dict[tuple[str, str], list[str]] = {}
        for region, one in self.readings():
            regions.setdefault((one.sure, one.rule), []).append(region)
        found: dict[str, list[str]] = {}
        for (sure, rule), where in regions.items():
            named = [region for region in where if region]
            if len(named) < len(where):
                found.setdefault(sure, []).append(rule)
            if named:
                found.setdefault(sure, []).append(f"{rule} in {', '.join(named)}")
        return {sure: found[sure] for sure in SURENESS if sure in found}

    def as_json(self) -> dict[str, Any]:
        """Return the pack for a program."""
        readings = [
            {"rule": one.rule, "region": region or None, "sure": one.sure, "source": one.source}
            for region, one in self.readings()
        ]
        return {
            "pack": self.pack.name, "since": self.pack.since, "source": self.pack.source, "lists": list(self.lists),
            "readings": readings,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RulesShown:
    """Everything that is asked of a campaign's calls besides its own hours and goals."""

    packs: Sequence[PackShown]
    consent: str  # who asks for it; empty: nobody does
    caps: Sequence[Cap]  # of the campaign and of the installation
    dispositions: Sequence[str]  # labels of the words its agents have

    def as_json(self) -> dict[str, Any]:
        """Return the rules for a program."""
        return {
            "packs": [one.as_json() for one in self.packs],
            "consent_needed_by": self.consent or None,
            "caps": [{"per": cap.per, "cap": str(cap)} for cap in self.caps],
            "dispositions": list(self.dispositions),
        }


def of_campaign(session: Session, campaign: Campaign) -> RulesShown:
    """Read the rules of a campaign and of its lists."""
    lists: dict[str, list[str]] = {}
    for one in rule_changes.lists_with_packs(session, campaign):
        lists.setdefault(str(one.rule_pack), []).append(one.name)
    packs = [PackShown(rule_pack(campaign.rule_pack), ())]
    packs += [PackShown(rule_pack(name), names) for name, names in sorted(lists.items())]
    asking = [
        shown.pack.name + (f" (lists {', '.join(shown.lists)})" if shown.lists else "")
        for shown in packs
        if campaign.mode in shown.pack.calling.consent
    ]
    if campaign.needs_consent:
        asking.insert(0, "the campaign itself")
    words = [one.label for one in dispositions.all_of(session, campaign.id)]
    return RulesShown(packs, ", ".join(asking), capping.in_force(session, campaign), words)
