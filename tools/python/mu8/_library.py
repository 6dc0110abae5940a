"""The engine's library by ctypes: the structs of mu8/mu8_c.h and tools/python/library.cpp."""

import ctypes
import pathlib
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int32, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p

FOLDER = pathlib.Path(__file__).parent.absolute()
HEADS = ("softmax", "sigmoid", "values", "gaussian", "reconstruction")
INPUTS = ("pixels", "numbers")
METHODS = ("sampling", "moments", "auto")
NOISES = ("independent", "antithetic")
KERNELS = ("auto", "scalar", "avx2", "avx512vnni", "avx512vbmi", "avxvnni", "portable", "neon", "neondot",
           "neoni8mm", "armdsp", "helium", "wasm128")
ENDED = ("all_samples", "label", "above", "below", "deadline", "within", "decided", "moments")
DECISIONS = ("not_chosen", "undecided", "above", "below")
MEASURES = ("none", "predictive_entropy", "mutual_information", "variance", "total_variance", "error")
STOP_NONE, STOP_LABEL, STOP_THRESHOLD, STOP_WITHIN, STOP_THRESHOLDS = range(5)
NO_LABEL = 0xffffffff


class Error(Exception):
    """What mu8 refuses: the message says what, where and what was expected. `status` is the engine's number
    (mu8/status.h) or None, where the `mu8` command or the package itself refuses."""

    def __init__(self, message, status=None):
        super().__init__(message)
        self.status = status


class Diagnostic(ctypes.Structure):
    _fields_ = [("status", c_int32), ("option", c_int32), ("offset", c_uint64), ("layer", c_int32),
                ("tensor", c_int32), ("found", c_uint64), ("expected", c_uint64)]


class Options(ctypes.Structure):
    _fields_ = [("mc_samples", c_uint32), ("batch", c_uint32), ("seed", c_uint64), ("keep_logits", c_uint8),
                ("kernels", c_uint8), ("noise", c_uint8), ("stop_rule", c_uint8), ("stop_error", c_float),
                ("stop_class", c_uint32), ("stop_threshold", c_float), ("stop_within", c_float),
                ("workers", c_uint32), ("parallel_for", c_void_p), ("parallel_context", c_void_p),
                ("keep_going", c_void_p), ("keep_going_context", c_void_p), ("stop_chosen", c_void_p),
                ("profile", c_void_p), ("profile_context", c_void_p), ("check_products", c_uint8),
                ("method", c_uint8), ("panel_bytes", c_uint32), ("doubt_margin", c_float),
                ("doubt_entropy_from", c_float), ("doubt_entropy_to", c_float)]


# mu8_replay_record, as numpy takes it: all that a prediction is a function of beside its input.
REPLAY = [("model_hash", "<u8"), ("seed", "<u8"), ("mc_samples", "<u4"), ("samples_used", "<u4"),
          ("stop_error", "<f4"), ("stop_threshold", "<f4"), ("stop_within", "<f4"), ("stop_class", "<u4"),
          ("stop_chosen_crc", "<u4"), ("library_version", "<u4"), ("format_major", "<u2"),
          ("format_minor", "<u2"), ("method", "u1"), ("noise", "u1"), ("stop_rule", "u1"), ("ended", "u1")]
REPLAY_BYTES = 56

POINTERS = ("mean", "variance", "noise_variance", "target", "output_entropy", "output_expected_entropy",
            "logits", "logit_covariance", "decisions", "predictive_entropy", "expected_entropy",
            "mutual_information", "error", "error_variance", "label", "samples_used", "clamped_inputs",
            "clamped_scales", "clipped_passes", "ended", "abstains", "replay")


class Arrays(ctypes.Structure):
    _fields_ = [*((name, c_void_p) for name in POINTERS),
                *((name, c_size_t) for name in ("outputs", "entropies", "logits_row", "covariance"))]


def _load():
    path = FOLDER / "_mu8.so"
    if not path.exists():
        raise ImportError(f"{path} is missing: build the package (pip install PATH_OF_MU8)")
    library = ctypes.CDLL(str(path))
    sizes = (c_size_t * 5)()
    library.mu8_python_sizes(sizes)
    mine = [ctypes.sizeof(kind) for kind in (Options, Diagnostic)]
    if [*sizes][1:] != [*mine, REPLAY_BYTES, ctypes.sizeof(Arrays)]:
        raise ImportError(f"{path} is of another version than {__file__}: install the package anew")
    model, diagnostic = c_void_p, POINTER(Diagnostic)
    for name, result, *arguments in (
            ("mu8_default_options", Options),
            ("mu8_model_open", c_int32, c_void_p, c_size_t, model, diagnostic),
            ("mu8_model_input_height", c_uint32, model), ("mu8_model_input_width", c_uint32, model),
            ("mu8_model_input_channels", c_uint32, model), ("mu8_model_class_count", c_uint32, model),
            ("mu8_model_output_height", c_uint32, model), ("mu8_model_output_width", c_uint32, model),
            ("mu8_model_head", c_uint32, model), ("mu8_model_input_kind", c_uint32, model),
            ("mu8_model_output_range", c_bool, model, c_uint32, POINTER(c_float), POINTER(c_float)),
            ("mu8_model_abstain_measure", c_uint32, model),
            ("mu8_model_abstain_threshold", c_bool, model, c_uint32, POINTER(c_float)),
            ("mu8_model_has_moments", c_bool, model), ("mu8_model_hash", c_uint64, model),
            ("mu8_model_metadata", c_size_t, model, c_char_p, POINTER(c_void_p)),
            ("mu8_explain", c_size_t, diagnostic, c_char_p, c_size_t),
            ("mu8_python_start", c_int32, model, POINTER(Options), c_uint32, POINTER(c_void_p), diagnostic),
            ("mu8_python_run", c_int32, c_void_p, c_void_p, c_bool, c_size_t, POINTER(Arrays), diagnostic),
            ("mu8_python_end", None, c_void_p)):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library, sizes[0]


LIBRARY, MODEL_BYTES = _load()


def check(status, diagnostic):
    """Raises Error unless status is 0."""
    if status == 0:
        return
    if status == -1:
        raise MemoryError("mu8: the session's memory")
    if status == -2:
        raise Error("the system gives no more threads")
    text = ctypes.create_string_buffer(512)
    LIBRARY.mu8_explain(ctypes.byref(diagnostic), text, len(text))
    raise Error(text.value.decode(), status)
