"""How notebooks show predictions and reports: tables, without scripts or styles from elsewhere."""

from html import escape


def table(rows):
    head, *body = rows
    cells = "".join(f"<th style='text-align:left'>{escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row) + "</tr>"
                    for row in body)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"


def prediction_html(prediction):
    title = f"mu8.Prediction: {len(prediction)} inputs, head {prediction.head}"
    return f"<p>{escape(title)}</p>" + table(prediction.rows(20))


def report_html(report):
    rows = [("figure", "value")]
    rows += [(str(key), f"{value:.6g}" if isinstance(value, float) else str(value))
             for key, value in report.items() if not isinstance(value, (dict, list))]
    for key, value in report.items():
        if isinstance(value, dict):
            rows += [(f"{key}.{name}", f"{each:.6g}" if isinstance(each, float) else str(each))
                     for name, each in value.items() if not isinstance(each, (dict, list))]
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    return f"<p>mu8 {escape(report.command)}</p>" + table(rows) + notes
