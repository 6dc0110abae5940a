"""What is mutated, and which tests look at it first."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Stratum:
    """A part of mu8 whose tests are tested."""

    name: str
    mutants: int  # how many are tried
    # {source: what is compiled for a mutant of it}; of a header, those of its users that matter.
    sources: dict[str, tuple[str, ...]]
    first: str  # doctest's filter of the files whose tests find most


def _alone(*paths: str) -> dict[str, tuple[str, ...]]:
    return {path: (path,) for path in paths}


STRATA = [
    Stratum("reader", 120, _alone(
        "formats/reader.cpp", "formats/check_graph.cpp", "formats/check_operators.cpp",
        "formats/check_parameters.cpp", "formats/check_codes.cpp", "formats/check_outputs.cpp",
        "formats/check_metadata.cpp", "formats/recheck.cpp", "formats/stream.cpp",
        "formats/crc32c.cpp"),
        "*/test_invalid_files.cpp,*/test_reader.cpp,*/test_layout.cpp,*/test_moments_section.cpp,"
        "*/test_stream.cpp,*/test_crc32c.cpp,*/test_recheck.cpp,*/test_bounds.cpp"),
    Stratum("requantize", 50, {
        **_alone("kernels/scalar/convolve.cpp", "kernels/portable/requantize.cpp"),
        "formats/arithmetic.h": (
            "engine/src/layers.cpp", "engine/src/operators.cpp", "engine/src/weighted_layer.cpp",
            "engine/src/draw.cpp", "formats/check_graph.cpp", "formats/check_parameters.cpp",
            "tests/formats/test_arithmetic.cpp"),
    }, "*/kernels/*,*/test_arithmetic.cpp"),
    Stratum("sampler", 50, {
        **_alone("kernels/scalar/sample.cpp"),
        "kernels/random.h": (
            "kernels/scalar/sample.cpp", "engine/src/passes.cpp", "tests/kernels/test_random.cpp"),
    }, "*/test_sample.cpp,*/test_random.cpp,*/test_format_document.cpp"),
    Stratum("planner", 50, _alone("converters/lower/placement.cpp", "engine/src/panel_place.cpp"),
            "*/test_placement.cpp,*/test_small_arena.cpp,*/test_session.cpp,*/test_streamed.cpp"),
    Stratum("stopping", 60, _alone("engine/src/stopping.cpp"),
            "*/test_stopping*.cpp,*/test_threshold_stops.cpp,*/test_value_stops.cpp,"
            "*/test_abstain.cpp"),
]

# Tests that take most of the time and look for crashes; what they alone find counts as survived.
LEFT_OUT = ("auto: each prediction*,damage: files of heads*,"
            "changed model: *,heads: any batch*,auto: before its first pass*,damage: any byte*")
