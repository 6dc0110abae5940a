"""Results as Markdown: a table per question, under a description of the machine."""


def cell(value, digits=1):
    return "" if value is None else f"{value:,.{digits}f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def machine_lines(machine):
    virtual = "a virtual machine; " if machine["virtual"] else ""
    load = (f"{machine['load_before'][0]:.2f} before, {machine['load_after'][0]:.2f} after, of "
            f"{machine['cores']} cores")
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return [
        f"- CPU: {machine['cpu']} (family {machine['family']}, model {machine['model']}; "
        f"{virtual}{', '.join(machine['caches'])}); {', '.join(machine['flags'])}",
        f"- pinned to core {machine['pinned_cpu']}, one thread; load average {load}; governor "
        f"{machine['governor'] or 'not visible'}; clock {machine['clock_source']}",
        f"- {machine['system']}; {machine['compiler']}; {packages}",
        f"- mu8 {machine['source']}",
    ]


def starting(rows, prefix):
    return [row for row in rows if row["name"].startswith(prefix)]


def limits(rows):
    body = [[row["name"], row.get("label", ""), cell(row["GMAC/s"]) + " GMAC/s"]
            for row in starting(rows, "peak/")]
    body += [[row["name"], row.get("label", ""), cell(row["GB/s"], 1) + " GB/s"]
             for row in starting(rows, "read/")]
    return table(["limit", "what", "measured"], body)


def layers(rows):
    body = []
    for row in starting(rows, "conv/"):
        share = row.get("of_peak")
        body.append([row["name"], cell(row["cpu_time"] / 1e3, 1), cell(row["GMAC/s"], 1),
                     "" if share is None else f"{100 * share:.0f} %"])
    return table(["layer", "us", "GMAC/s", "of the peak"], body)


def sampler(rows):
    return table(["sampler", "billion weights/s"],
                 [[row["name"], cell(row["Gweights/s"], 2)] for row in starting(rows, "sample/")])


def models(rows):
    body = []
    for row in starting(rows, "model/"):
        prediction = [cell(row.get(f"us_per_prediction_{key}"), 0)
                      for key in ("min", "p50", "p99", "p99.9")]
        body.append([row["name"], cell(row["us_per_pass_p50"], 1), *prediction,
                     row.get("label", ""), f"{row['arena_bytes']:,.0f}"])
    return table(["model", "us a pass, p50", "us a prediction, min", "p50", "p99", "p99.9", "over",
                  "arena bytes"], body)


def pass_ratios(rows):
    body = [[row["name"], cell(row["bayesian_us_min"], 1), cell(row["deterministic_us_min"], 1),
             f"{row['ratio_p50']:.2f} ({row['ratio_p10']:.2f} to {row['ratio_p90']:.2f})"]
            for row in starting(rows, "pass/")]
    return table(["pass", "Bayesian, us (min)", "deterministic, us (min)",
                  "ratio p50 (p10 to p90)"], body)


def memory(rows):
    body = [[row["model"], str(row["batch"]), f"{row['file_bytes']:,}", f"{row['arena_bytes']:,}",
             f"{(row['process_bytes_peak'] - row['process_bytes_before']) / 1024:,.0f}",
             f"{row['process_bytes_peak'] / 1024:,.0f}"] for row in rows]
    return table(["model", "batch", "file bytes", "arena bytes", "process growth, KiB",
                  "process peak, KiB"], body)


def torch(result):
    if "left_out" in result:
        return f"Left out: {result['left_out']}"
    body = [[row["name"], str(row["batch"]), cell(row["ms_per_image_min"], 2),
             cell(row["mu8_ms_per_image_min"], 3), cell(row["ratio_median"], 1)]
            for row in result["rows"]]
    return (f"ResNet-20, T = {result['samples']}, torch {result['torch']} (BLAS: "
            f"{result['blas']}), one thread; bayesian-torch "
            f"{result['bayesian_torch'] or 'is not installed'}.\n\n"
            + table(["network", "batch", "ms an image (min)", "mu8, ms (min)",
                     "ratio (median)"], body))


def markdown(results):
    kernel_rows, model_rows = results["kernels"]["rows"], results["models"]["rows"]
    checked = (f"Compared with a reference before timing: {results['kernels']['checked']} layers, "
               f"{results['models']['checked']} models, "
               f"{sum(row['checked'] for row in results['peers']['rows'])} results beside peers.")
    parts = ["# mu8: benchmark results", "\n".join(machine_lines(results["machine"])), checked,
             "[bench/README.md](../README.md) says what each name means.",
             "## Limits of this core", limits(kernel_rows), "## Layers", layers(kernel_rows),
             "## Drawing weights", sampler(kernel_rows), "## Predictions, T = 50",
             models(model_rows), "## A Bayesian pass over a deterministic one",
             pass_ratios(model_rows), "## Memory", memory(results["memory"]),
             "## Beside kernel libraries",
             "Times are minima over the rounds; ratios are medians of a peer's time over mu8's in "
             "the same round.", results["peers"]["markdown"].strip()]
    if "torch" in results:
        parts += ["## Beside PyTorch", torch(results["torch"])]
    return "\n\n".join(parts) + "\n"
