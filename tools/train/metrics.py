"""What a predictive distribution is judged by: accuracy, NLL, Brier score and ECE."""

import torch


def predictive_metrics(probabilities, labels, bins=15):
    """Metrics of mean probabilities [N, C] against labels [N].

    nll: mean of -ln p[y]. brier: mean of sum_c (p_c - 1[c = y])^2.
    ece: sum_b n_b/N |acc_b - conf_b| over `bins` equal-width, right-closed bins of the top
    probability (Guo et al. 2017, eq. 3).
    """
    p, count = probabilities.double(), len(labels)
    confidence, predicted = p.max(1)
    correct = (predicted == labels).double()
    of_label = p[torch.arange(count), labels]
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, correct - confidence)
    return {
        "accuracy": correct.mean().item(),
        "nll": -of_label.clamp_min(1e-300).log().mean().item(),
        "brier": ((p * p).sum(1) - 2 * of_label + 1).mean().item(),
        f"ece{bins}": gaps.abs().sum().item() / count,
    }
