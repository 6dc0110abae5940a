"""The rows as tables: allocation.csv, a line a run, and allocation.md, means over the seeds."""

import csv
import statistics

COLUMNS = ("method", "bits", "seed", "average_bits", "file_bytes", "accuracy", "nll", "ece", "brier",
           "mean_entropy", "auroc_errors", "auroc_ood", "kl_simulated", "kl_seeds", "divergence",
           "seconds", "plan")
MEASURED = COLUMNS[3:-1]
JUDGED = (*COLUMNS[3:-3], "plan")  # what a plan's file says


def groups(rows):
    """Rows by method and bits: those of several seeds together."""
    found = {}
    for row in rows:
        found.setdefault((row["method"], row["bits"]), []).append(row)
    return found


def mean_and_deviation(own, key):
    """Over the seeds; None where there is nothing, and no deviation of one."""
    values = [row[key] for row in own if row[key] is not None]
    if not values:
        return None, None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def shown(key, value, deviation=None):
    if value is None:
        return ""
    if key in ("accuracy", "ece"):
        more = "" if deviation is None else f" ± {100 * deviation:.2f}"
        return f"{100 * value:.2f}{more} %"
    if key == "file_bytes":
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_tables(out, rows):
    with open(out / "allocation.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    columns = ["method", "bits", "seeds", *MEASURED, "plan"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for (method, bits), own in groups(rows).items():
        plans = list(dict.fromkeys(row["plan"] for row in own))
        cells = [method, f"{bits:g}", str(len(own)),
                 *(shown(key, *mean_and_deviation(own, key)) for key in MEASURED),
                 plans[0] if len(plans) == 1 else f"{len(plans)} plans"]
        lines.append("| " + " | ".join(cells) + " |")
    (out / "allocation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
