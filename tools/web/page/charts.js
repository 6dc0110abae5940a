// The page's figures as SVG text. Colours are the style sheet's, so both themes have them at once;
// widths are real pixels, so that text keeps its size on a phone.

const escapeText = (text) => String(text).replace(
    /[&<>"]/g, (one) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[one]);

const svg = (width, height, label, body) =>
    `<svg viewBox="0 0 ${width} ${height}" height="${height}" role="img" ` +
    `aria-label="${escapeText(label)}">${body}</svg>`;

const line = (x1, y1, x2, y2, style) =>
    `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${style}/>`;
const text = (x, y, words, style = "") =>
    `<text x="${x}" y="${y}" ${style}>${escapeText(words)}</text>`;

// Aleatoric and epistemic entropy on a line from 0 to the most there can be, all in nats.
export function uncertaintyBar({aleatoric, epistemic, most, width}) {
  const scale = (width - 2) / most;
  const a = aleatoric * scale;
  const e = epistemic * scale;
  const ticks = [];
  for (let nats = 0; nats <= most; nats += 0.5) {
    const x = 1 + nats * scale;
    ticks.push(
        line(x, 26, x, 31, 'class="axis"') +
        text(
            x, 44, nats.toFixed(1),
            `class="soft" text-anchor="${nats === 0 ? "start" : "middle"}"`));
  }
  return svg(
      width, 48,
      `Predictive entropy ${(aleatoric + epistemic).toFixed(4)} nats of at most ` +
          `${most.toFixed(4)}: aleatoric ${aleatoric.toFixed(4)}, ` +
          `epistemic ${epistemic.toFixed(4)}`,
      `<rect x="1" y="4" width="${width - 2}" height="22" fill="var(--panel)" ` +
          'stroke="var(--rule)"/>' +
          `<rect x="1" y="4" width="${a}" height="22" fill="var(--aleatoric)"/>` +
          `<rect x="${1 + a}" y="4" width="${e}" height="22" fill="var(--epistemic)"/>` +
          ticks.join(""));
}

// A row for each class of `order`: a dot for each of the first n passes, their mean and deviation.
export function classChart({names, order, passes, n, mean, deviation, width}) {
  const row = width < 500 ? 26 : 34;
  const left = Math.min(90, 14 + 7.5 * Math.max(...order.map((c) => names[c].length)));
  const right = 104;
  const span = width - left - right;
  const x = (p) => left + p * span;
  const height = order.length * row + 24;
  const parts = [];
  for (const p of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(
        line(x(p), 2, x(p), height - 20, 'class="grid"') +
        text(x(p), height - 5, p, 'class="soft" text-anchor="middle"'));
  }
  order.forEach((c, at) => {
    const middle = at * row + row / 2 + 2;
    const low = Math.max(0, mean[c] - deviation[c]);
    const high = Math.min(1, mean[c] + deviation[c]);
    parts.push(text(left - 10, middle + 4, names[c].slice(0, 11), 'text-anchor="end"'));
    parts.push(
        `<rect x="${x(low)}" y="${middle - 9}" width="${x(high) - x(low)}" height="18" ` +
        'fill="var(--band)"/>');
    for (let pass = 0; pass < n; ++pass) {
      // Where it stands within its row says nothing: the golden ratio spreads neighbours apart.
      const place = (pass * 0.6180339887) % 1;
      const [cx, cy] = [x(passes[pass][c]), middle - 7 + 14 * place].map((at) => at.toFixed(1));
      parts.push(`<circle cx="${cx}" cy="${cy}" r="2" fill="var(--text)" fill-opacity=".5"/>`);
    }
    parts.push(line(
        x(mean[c]), middle - 10, x(mean[c]), middle + 10, 'stroke="var(--mean)" stroke-width="3"'));
    parts.push(text(
        width - right + 14, middle + 4,
        `${(100 * mean[c]).toFixed(1)} ± ${(100 * deviation[c]).toFixed(1)} %`));
  });
  return svg(
      width, height,
      "Probability of each class: " +
          order
              .map(
                  (c) => `${names[c]} ${(100 * mean[c]).toFixed(1)} percent, standard deviation ` +
                      `${(100 * deviation[c]).toFixed(1)}`)
              .join("; "),
      parts.join(""));
}

// Entropies of the first t passes against t; `stops` are {at, name} of runs that would have ended.
export function settleChart({series, total, most, stops, width}) {
  const height = 230;
  const [left, right, top, bottom] = [40, 84, 14, 34];
  const x = (t) => left + (total === 1 ? 0.5 : (t - 1) / (total - 1)) * (width - left - right);
  const y = (nats) => height - bottom - (nats / most) * (height - top - bottom);
  const parts = [];
  for (let tick = 0; tick <= 4; ++tick) {
    const nats = (most * tick) / 4;
    parts.push(
        line(left, y(nats), width - right, y(nats), 'class="grid"') +
        text(
            left - 6, y(nats) + 4, nats.toFixed(most < 0.4 ? 3 : 2),
            'class="soft" text-anchor="end"'));
  }
  for (const t of new Set([1, Math.round(total / 4), Math.round(total / 2), total])) {
    if (t < 1) continue;
    parts.push(text(x(t), height - 16, t, 'class="soft" text-anchor="middle"'));
  }
  parts.push(text(
      (left + width - right) / 2, height - 2, "networks t", 'class="soft" text-anchor="middle"'));
  // Their names one below the other: the lines may be close.
  const names = stops.map(({at, name}, index) => {
    const late = x(at) > (left + width - right) / 2;
    parts.push(
        line(x(at), top, x(at), height - bottom, 'stroke="var(--rule)" stroke-dasharray="4 3"'));
    return text(
        x(at) + (late ? -4 : 4), height - bottom - 6 - 14 * index, name,
        `class="halo" text-anchor="${late ? "end" : "start"}"`);
  });
  // Names at the ends of the lines, kept apart.
  const ends = series.map((one, index) => ({index, at: y(one.values[one.values.length - 1])}))
                   .sort((a, b) => a.at - b.at);
  for (let i = 1; i < ends.length; ++i) ends[i].at = Math.max(ends[i].at, ends[i - 1].at + 15);
  const over = Math.max(0, ends[ends.length - 1].at - (height - bottom));
  for (const end of ends) {
    const {name, colour, values, dash} = series[end.index];
    const points = values.map((v, t) => `${x(t + 1).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
    parts.push(
        `<polyline points="${points}" fill="none" stroke="var(${colour})" stroke-width="2" ` +
        `${dash ? `stroke-dasharray="${dash}"` : ""}/>`);
    parts.push(text(width - right + 8, end.at - over + 4, name, `style="fill: var(${colour})"`));
  }
  return svg(
      width, height,
      "Entropies against the number of networks. At the end: " +
          series.map((one) => `${one.name} ${one.values[one.values.length - 1].toFixed(4)} nats`)
              .join(", "),
      parts.join("") + names.join(""));
}

// rows: arrays of texts, null for what there is not; `here` is the row in bold.
export function table({caption, header, rows, here = -1}) {
  const cell = (value, tag, scope) =>
      (value === null ? `<${tag} class="missing"${scope}>–</${tag}>` :
                        `<${tag}${scope}>${escapeText(value)}</${tag}>`);
  return `<table><caption>${escapeText(caption)}</caption><thead><tr>` +
      header.map((name) => cell(name, "th", ' scope="col"')).join("") + "</tr></thead><tbody>" +
      rows.map(
              (row, at) => `<tr${at === here ? ' class="here"' : ""}>` +
                  row.map(
                         (value, column) =>
                             (column === 0 ? cell(value, "th", ' scope="row"') :
                                             cell(value, "td", "")))
                      .join("") +
                  "</tr>")
          .join("") +
      "</tbody></table>";
}
