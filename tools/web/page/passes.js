// What the first t passes say, for the figures. The prediction itself and its numbers are the
// engine's; the test of the page holds both against each other.

// [passes][classes] probabilities of a softmax's logits.
export function probabilities(prediction) {
  const classes = prediction.mean.length;
  return Array.from({length: prediction.samplesUsed}, (_, pass) => {
    const row = prediction.logits.subarray(
        pass * prediction.logitsStride, pass * prediction.logitsStride + classes);
    const most = Math.max(...row);
    const powers = Array.from(row, (logit) => Math.exp(logit - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  });
}

export const entropy = (p) => -p.reduce((sum, one) => sum + (one > 0 ? one * Math.log(one) : 0), 0);

// Of each t from 1 on, in nats: total = aleatoric + epistemic; and mean and deviation of each
// class.
export function prefixes(passes) {
  const classes = passes[0].length;
  const sum = new Float64Array(classes);
  const squares = new Float64Array(classes);
  let entropies = 0;
  return passes.map((p, at) => {
    const t = at + 1;
    p.forEach((one, c) => {
      sum[c] += one;
      squares[c] += one * one;
    });
    entropies += entropy(p);
    const mean = Array.from(sum, (one) => one / t);
    const total = entropy(mean);
    return {
      mean,
      deviation: mean.map((one, c) => Math.sqrt(Math.max(0, squares[c] / t - one * one))),
      total,
      aleatoric: entropies / t,
      epistemic: Math.max(0, total - entropies / t),
    };
  });
}

export const winner = (p) => p.reduce((best, one, c) => (one > p[best] ? c : best), 0);
