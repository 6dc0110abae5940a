"""The work items of a study: which `mu8 eval` runs there are, what each is called and costs.

An item is one network in one format over one data cell with one seed. Its name says all of that,
so that results of other settings lie beside each other. Everything here is a function of the
settings alone.
"""

import dataclasses

from .networks import FORMATS, NETWORKS, formats_of

# The 16 types of Ovadia et al. 2019, in their order of kinds; tools/corrupt makes them.
CORRUPTIONS = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "gaussian_blur",
               "defocus_blur", "glass_blur", "zoom_blur", "fog", "frost", "brightness", "contrast",
               "saturate", "elastic_transform", "pixelate", "spatter")
SEVERITIES = (1, 2, 3, 4, 5)
# Of a pass of the FP32 reference and of one by moments, in passes of the engine: only balances the ranks.
FP32_COST, MOMENTS_COST = 5.0, 4.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is run. Counts of images: 0 for all."""

    networks: tuple
    formats: tuple
    parts: tuple
    samples: int  # T of the clean cell
    seeds: int  # for mean and deviation
    kl_seeds: int  # for the KL ratio
    clean_images: int
    types: tuple
    severities: tuple
    images: int  # per shifted cell
    shift_samples: int
    shift_fp32_seeds: int  # more than one shows how much FP32 differs from itself
    corruption_seed: int
    convergence_samples: tuple
    convergence_images: int
    convergence_seeds: int


@dataclasses.dataclass(frozen=True)
class Item:
    network: str
    format: str
    cell: str  # clean, convergence, or TYPE_SEVERITY
    images: int  # the first so many; 0: all
    samples: int
    seed: int

    @property
    def name(self):
        images = f"n{self.images}" if self.images else "all"
        return f"{self.network}.{self.format}.{self.cell}.{images}.T{self.samples}.seed{self.seed}"

    @property
    def clean(self):
        """Keeps its predictions for the KL ratio, and runs the out-of-distribution sets too."""
        return self.cell == "clean"

    @property
    def shifted(self):
        return self.cell not in ("clean", "convergence")


def shift_cells(settings):
    return [(t, s) for t in settings.types for s in settings.severities]


def runs_part(settings, network, part):
    return part in settings.parts and part in NETWORKS[network].parts


def shift_networks(settings):
    return [n for n in settings.networks if runs_part(settings, n, "shift")]


def item(settings, network, form, cell, images, samples, seed):
    """An item; a deterministic network and moments take one pass and have no seed."""
    if FORMATS[form].one_pass:
        samples = seed = 1
    return Item(network, form, cell, images, samples, seed)


def clean_items(settings, network, form, seeds):
    return [item(settings, network, form, "clean", settings.clean_images, settings.samples, seed)
            for seed in ([1] if FORMATS[form].one_pass else range(1, seeds + 1))]


def shift_item(settings, network, form, kind, severity, seed=1):
    return item(settings, network, form, f"{kind}_{severity}", settings.images,
                settings.shift_samples, seed)


def convergence_items(settings, network, form, samples):
    return [item(settings, network, form, "convergence", settings.convergence_images, samples, seed)
            for seed in range(1, settings.convergence_seeds + 1)]


def all_items(settings):
    """Every item of the study, each once, in a fixed order."""
    found = []
    for network in settings.networks:
        for form in formats_of(network, settings.formats):
            if runs_part(settings, network, "table"):
                found += clean_items(settings, network, form,
                                     max(settings.seeds, settings.kl_seeds))
            if runs_part(settings, network, "ood"):
                found += clean_items(settings, network, form, settings.seeds)
            if runs_part(settings, network, "shift"):
                seeds = settings.shift_fp32_seeds if form == "fp32" else 1
                found += [shift_item(settings, network, form, *cell, seed)
                          for seed in range(1, seeds + 1) for cell in shift_cells(settings)]
            if runs_part(settings, network, "convergence") and not FORMATS[form].one_pass:
                for samples in settings.convergence_samples:
                    found += convergence_items(settings, network, form, samples)
    return list(dict.fromkeys(found))


def image_passes(one):
    """Images x T of an item, foreign sets included."""
    network = NETWORKS[one.network]
    sets = [network.test_images] + [size for *_, size in network.ood if one.clean]
    return sum(min(size, one.images or size) for size in sets) * one.samples


def cost(one):
    """In passes of LeNet-5's engine over an image, about."""
    slow = (FP32_COST if one.format in ("fp32", "det_fp32") else
            MOMENTS_COST if FORMATS[one.format].by_moments else 1.0)
    return NETWORKS[one.network].cost * slow * image_passes(one)


def deal(tasks, cost_of, name_of, count):
    """`tasks` in `count` shares of about equal cost: longest first, each to the least loaded."""
    shares, loads = [[] for _ in range(count)], [0.0] * count
    for task in sorted(tasks, key=lambda t: (-cost_of(t), name_of(t))):
        least = loads.index(min(loads))
        shares[least].append(task)
        loads[least] += cost_of(task)
    return shares
