"""OUT/report.html: one page that holds everything, its figures too. Also OUT/figures/*.png."""

from . import items, machine, sections, tasks, timing
from .html import page, paragraph, section, table
from .networks import NETWORKS, is_converted
from .store import read_json, write_file

TITLE = "Quantized Bayesian networks: quality of uncertainty"


def summary_section(settings, summary, failures):
    """Complete or partial, and how many targets are met."""
    missing, judged = summary["missing"], summary["targets"]
    count = {state: sum(t["met"] is state for t in judged) for state in (True, False, None)}
    parts = []
    if missing:
        parts.append(paragraph(
            f"This report is partial: {len(missing)} of {summary['items']} items are missing. They "
            "are named under Missing, and shown as missing in every table and map.", "warning"))
    else:
        parts.append(paragraph(f"Complete: all {summary['items']} items that were asked for."))
    parts.append(paragraph(
        f"Targets: {count[True]} met, {count[False]} not met, {count[None]} not measured."))
    names = ", ".join(NETWORKS[n].title for n in settings.networks)
    parts.append(paragraph(
        f"Networks: {names}. Parts: {', '.join(settings.parts)}. Clean test set: "
        f"{settings.clean_images or 'all'} images, T = {settings.samples}, {settings.seeds} seeds "
        f"({settings.kl_seeds} for the KL ratio). Shifted cells: {settings.images or 'all'} "
        f"images, T = {settings.shift_samples}."))
    if failures:
        first = min(failures)
        parts.append(paragraph(f"{len(failures)} runs failed in the last call; the first: {first}: "
                               f"{failures[first].splitlines()[0]}", "warning"))
    return section("summary", "Summary", *parts)


def missing_section(summary):
    missing = summary["missing"]
    if not missing:
        return section("missing", "Missing", paragraph("Nothing: every item has been run."))
    return section("missing", "Missing",
                   paragraph(f"{len(missing)} items have not been run. The same command goes on "
                             "with them."),
                   table(["item"], [[name] for name in missing]))


def fp32_programs(places, settings):
    """What predicted the FP32 items that are there."""
    records = [read_json(places.out / "items" / f"{one.name}.json")
               for one in items.all_items(settings) if not is_converted(one.format)]
    return {"PyTorch" if "torch" in record["inputs"] else "mu8" for record in records if record}


def provenance_section(places, settings, measured):
    versions = machine.versions(places.mu8, tasks.TOOLS)
    rows = [[f"timed on: {key}", value] for key, value in measured["machine"].items()]
    rows += [[f"reported on: {key}", value] for key, value in machine.machine().items()]
    rows += [[f"version: {key}", value or "unknown"] for key, value in versions.items()]
    rows += [["program mu8, SHA-256", tasks.sha256(places.mu8)[:16]],
             ["FP32 predictions by", ", ".join(sorted(fp32_programs(places, settings)))]]
    rows += [[f"setting: {key}", ", ".join(map(str, value)) if isinstance(value, tuple) else value]
             for key, value in vars(settings).items()]
    return section("provenance", "Machine, versions and settings", table(["what", "value"], rows))


def write(places, settings, summary, failures):
    """Writes the report and its figures."""
    figures = {}

    def keep(name, content):
        """Notes a figure for the folder; returns it."""
        if content is not None:
            figures[name] = content
        return content

    measured = timing.read(places)
    body = [summary_section(settings, summary, failures),
            sections.table1(summary), sections.targets(summary),
            sections.shift(summary, keep), sections.shift_dnn(summary, keep),
            sections.confidence(summary, keep), sections.differences(summary, keep),
            sections.reliability(summary, keep), sections.risk(summary, keep),
            sections.ood(summary, keep), sections.convergence(summary, keep),
            sections.times(summary, measured), missing_section(summary),
            provenance_section(places, settings, measured)]
    navigation = [("summary", "Summary"), ("table1", "Table 1"), ("targets", "Targets"),
                  ("shift", "Shift"), ("differences", "Differences"),
                  ("reliability", "Reliability"), ("ood", "Out of distribution"),
                  ("convergence", "Convergence"), ("times", "Times"), ("missing", "Missing"),
                  ("provenance", "Machine")]
    write_file(places.out / "report.html", page(TITLE, navigation, *body))
    for name, content in figures.items():
        write_file(places.out / "figures" / f"{name}.png", content)
