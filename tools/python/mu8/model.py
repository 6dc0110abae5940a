"""A .mu8 file in memory, and what predicts with it."""

from __future__ import annotations

import ctypes
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Sequence, Union, overload

import numpy as np
import numpy.typing as npt

from . import _layout
from ._library import (ENDED, HEADS, INPUTS, KERNELS, LIBRARY, MEASURES, METHODS, MODEL_BYTES,
                       NO_LABEL, NOISES, REPLAY, STOP_LABEL, STOP_THRESHOLD, STOP_THRESHOLDS, STOP_WITHIN,
                       Arrays, Diagnostic, Error, check)
from .prediction import Prediction

if TYPE_CHECKING:
    from .ensemble import Ensemble

CLAMPED_SHARE = 0.05  # of an input's values beyond the stored range: more is said


@dataclass(frozen=True)
class Stop:
    """End an input's passes once a question about it is decided, wrongly with probability `error` at most
    (engine/STOPPING.md).

    outputs: None, the label; else which outputs: an index, a name, several of them, or "all".
    threshold: whether their probability (0 to 1), or value in its unit, is above it; for labels 0.5 unless given.
    within: numbers: until the output's mean is known up to this, in its unit.
    """
    error: float = 0.05
    outputs: Union[None, int, str, Sequence[Union[int, str]]] = None
    threshold: Optional[float] = None
    within: Optional[float] = None


@dataclass(frozen=True)
class Doubt:
    """Method "auto": which inputs moments leave to sampling (docs/MOMENTS.md): those whose mean is less than
    `margin` from another decision of `stop`, in probability (of numbers in shares of the output's range), and
    those with a predictive entropy from entropy[0] to entropy[1] nats."""
    margin: float = 0.2
    entropy: Optional[Sequence[float]] = None


class Model:
    """A model that predicts; thread-safe: each call has a session of its own, and Python's lock is free while
    the engine works. Use load(); close() or `with` gives its memory back."""

    def __init__(self, data: Union[bytes, bytearray, memoryview], path: Optional[str] = None) -> None:
        self.path = path
        # Aligned, as the engine wants it, and our own: nobody changes it.
        self._bytes = np.empty(len(data) + 64, np.uint8)
        begin = -self._bytes.ctypes.data % 64
        self._file = view = self._bytes[begin:begin + len(data)]
        view[:] = np.frombuffer(data, np.uint8)
        self._storage = (ctypes.c_uint64 * (MODEL_BYTES // 8))()
        self._model: Optional[ctypes.c_void_p] = ctypes.cast(self._storage, ctypes.c_void_p)
        diagnostic = Diagnostic()
        status = LIBRARY.mu8_model_open(view.ctypes.data, len(data), self._model, ctypes.byref(diagnostic))
        try:
            check(status, diagnostic)
        except Error as error:
            raise Error(f"{path}: {error}" if path else str(error), error.status) from None
        size = [getattr(LIBRARY, f"mu8_model_input_{what}")(self._model)
                for what in ("height", "width", "channels")]
        self.input_shape: tuple[int, int, int] = (size[0], size[1], size[2])  # height, width, channels
        self.input_kind = INPUTS[LIBRARY.mu8_model_input_kind(self._model)]
        self.head = HEADS[LIBRARY.mu8_model_head(self._model)]
        self.outputs = LIBRARY.mu8_model_class_count(self._model)
        self.positions = (LIBRARY.mu8_model_output_height(self._model),
                          LIBRARY.mu8_model_output_width(self._model))
        self.has_moments = LIBRARY.mu8_model_has_moments(self._model)
        self.hash = LIBRARY.mu8_model_hash(self._model)
        self.name = self.metadata("name")
        labels = self.metadata("labels")
        self.labels = labels.split("\n") if labels else None
        self._own_layout = _layout.own_layout(self.metadata("input_layout"), self.input_shape)

    def metadata(self, key: str) -> Optional[str]:
        """The value of a key that the file holds, as text; None without it."""
        self._open()
        text = ctypes.c_void_p()
        length = LIBRARY.mu8_model_metadata(self._model, key.encode(), ctypes.byref(text))
        return ctypes.string_at(text, length).decode("utf-8", "replace") if length else None

    def abstain_threshold(self, output: int = 0) -> Optional[tuple[str, float]]:
        """(measure, threshold): predictions abstain where the measure is above it; None without one."""
        self._open()
        threshold = ctypes.c_float()
        if not LIBRARY.mu8_model_abstain_threshold(self._model, output, ctypes.byref(threshold)):
            return None
        return MEASURES[LIBRARY.mu8_model_abstain_measure(self._model)], threshold.value

    def output_range(self, output: int = 0) -> Optional[tuple[float, float]]:
        """(low, high) of a number, of which a stop rule's promise speaks; None without one."""
        self._open()
        low, high = ctypes.c_float(), ctypes.c_float()
        found = LIBRARY.mu8_model_output_range(self._model, output, ctypes.byref(low), ctypes.byref(high))
        return (low.value, high.value) if found else None

    def predict(self, inputs: npt.ArrayLike, samples: int = 50, *, seed: int = 1, method: str = "sampling",
                noise: str = "independent", stop: Optional[Stop] = None, doubt: Optional[Doubt] = None,
                threads: int = 1, batch: int = 64, logits: bool = False, kernels: str = "auto",
                layout: Optional[str] = None, progress: bool = False) -> Prediction:
        """Predicts inputs [N, ...], or one without a batch dimension: a Prediction of N.

        uint8: pixels, of models made from pictures. Floats: in the units of the calibration data; of a model
        made from pictures in the network's own, normalized ones. Arrays are taken as the model's ONNX file takes
        them, say (N, C, H, W), or in another layout that fits, which a warning says; `layout` names one of
        "nchw", "nhwc", "nhw", "ncw", "nwc", "nf". PyTorch tensors on the CPU are arrays, too.
        samples: T, networks that are drawn; the same samples and seed give the same bytes, whatever batch,
        threads (0: all cores) and kernels. method: "sampling", "moments" (one pass, docs/MOMENTS.md) or "auto".
        noise: "independent" or "antithetic" (pairs of opposite noise). logits: keep each pass's logits.
        progress: a bar by tqdm, where it is installed.
        Raises Error with the engine's message where something is wrong.
        """
        self._open()
        images = self._inputs(inputs, layout)
        options = LIBRARY.mu8_default_options()
        options.mc_samples, options.seed = whole("samples", samples, 2**32), whole("seed", seed, 2**64)
        options.batch = max(1, min(whole("batch", batch, 2**32), max(len(images), 1)))
        options.keep_logits = bool(logits)
        options.method = choice("method", method, METHODS)
        options.noise = choice("noise", noise, NOISES)
        options.kernels = choice("kernels", kernels, KERNELS)
        if doubt is not None:
            options.doubt_margin = doubt.margin
            if doubt.entropy is not None:
                options.doubt_entropy_from, options.doubt_entropy_to = doubt.entropy
        chosen = self._set_stop(stop, options)
        arrays, made = self._make_arrays(len(images), options, stop, method)
        self._run(images, options, whole("threads", threads, 1025), arrays, made, progress)
        del chosen  # the options point to it
        return self._finish(made, images)

    def predict_proba(self, inputs: npt.ArrayLike, samples: int = 50, **options: Any) -> np.ndarray:
        """Mean probabilities [N, classes], as scikit-learn's classifiers give them."""
        self.check_probabilities()
        return self.predict(inputs, samples, **options).mean

    def check_probabilities(self) -> None:
        """Raises Error where the head has no probabilities."""
        if self.head not in ("softmax", "sigmoid"):
            raise Error(f"predict_proba: the model's head is {self.head}, which has no probabilities")

    def to_bytes(self) -> bytes:
        """The file."""
        self._open()
        return self._file.tobytes()

    def close(self) -> None:
        """Gives the model's memory back; it cannot predict any more."""
        self._model = None
        self._bytes = self._file = np.empty(0, np.uint8)

    def __enter__(self) -> Model:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self):
        raise TypeError("a mu8.Model is not pickled: send its file, and load it there")

    def __repr__(self):
        shape = "x".join(map(str, self.input_shape))
        return (f"<mu8.Model {self.name or self.path or ''}: {self.input_kind} {shape} -> {self.head} of "
                f"{self.outputs}>")

    def _open(self):
        if self._model is None:
            raise Error("the model is closed")

    def _inputs(self, inputs, layout):
        array = np.asarray(inputs)
        if self.input_kind == "numbers" and array.dtype == np.uint8:
            array = array.astype(np.float32)
        elif array.dtype != np.uint8:
            if array.dtype.kind == "f":
                array = array.astype(np.float32, copy=False)
            elif self.input_kind == "numbers" and array.dtype.kind in "iu":
                array = array.astype(np.float32)
            else:
                raise Error(f"inputs are {array.dtype}, expected "
                            + ("floats" if self.input_kind == "numbers" else
                               "uint8 (pixels) or floats in the network's own, normalized units"))
        return _layout.to_nhwc(array, self.input_shape, self._own_layout, layout)

    def _outputs_of(self, outputs):
        if isinstance(outputs, (int, str, np.integer)):
            outputs = range(self.outputs) if outputs == "all" else [outputs]
        found = []
        for output in outputs:
            if isinstance(output, str):
                if output not in (self.labels or []):
                    raise Error(f"stop.outputs: no output is named '{output}', expected "
                                + (", ".join(self.labels) if self.labels else "an index: the file has no names"))
                output = self.labels.index(output)
            if not 0 <= output < self.outputs:
                raise Error(f"stop.outputs: {output}, expected 0 to {self.outputs - 1}")
            found.append(int(output))
        if not found:
            raise Error("stop.outputs is empty, expected an output at least")
        return found

    def _set_stop(self, stop, options):
        """Returns what must live as long as the options."""
        if stop is None:
            return None
        options.stop_error = stop.error
        if stop.outputs is None:
            if stop.threshold is not None or stop.within is not None:
                raise Error("stop: a threshold or `within` without outputs that it is about")
            options.stop_rule = STOP_LABEL
            return None
        outputs = self._outputs_of(stop.outputs)
        if stop.within is not None:
            if stop.threshold is not None or len(outputs) > 1:
                raise Error("stop: `within` is about one output, and goes without a threshold")
            options.stop_rule, options.stop_class, options.stop_within = STOP_WITHIN, outputs[0], stop.within
            return None
        threshold = 0.5 if stop.threshold is None and self.head == "sigmoid" else stop.threshold
        if threshold is None:
            raise Error("stop: outputs without a threshold or `within`")
        options.stop_threshold = threshold
        if len(outputs) == 1 and not (isinstance(stop.outputs, str) and stop.outputs == "all"):
            options.stop_rule, options.stop_class = STOP_THRESHOLD, outputs[0]
            return None
        options.stop_rule = STOP_THRESHOLDS
        chosen = np.zeros(self.outputs, np.uint8)
        chosen[outputs] = 1
        options.stop_chosen = chosen.ctypes.data
        return chosen

    def _make_arrays(self, count, options, stop, method):
        """What the engine fills: {name: array}, and the struct of pointers to them."""
        height, width = self.positions
        shape = (self.outputs,) if height == width == 1 else (height, width, self.outputs)
        many, head = height * width > 1, self.head
        made = {name: np.zeros((count, *shape), np.float32) for name in ("mean", "variance")}
        for name in ("predictive_entropy", "expected_entropy", "mutual_information"):
            if head in ("softmax", "sigmoid"):
                made[name] = np.zeros(count, np.float32)
        if head in ("values", "gaussian"):
            made["noise_variance"] = np.full((count, *shape), np.nan, np.float32)
        if head == "reconstruction":
            made["target"] = np.zeros((count, *shape), np.float32)
            made.update(error=np.zeros(count, np.float32), error_variance=np.zeros(count, np.float32))
        entropies = shape if head == "sigmoid" else shape[:2] if head == "softmax" and many else None
        if entropies:
            for name in ("output_entropy", "output_expected_entropy"):
                made[name] = np.zeros((count, *entropies), np.float32)
        for name in ("label", "samples_used", "clamped_inputs"):
            made[name] = np.zeros(count, np.uint32)
        if head == "gaussian":
            made["clamped_scales"] = np.zeros(count, np.uint32)
        if stop is not None and head in ("values", "gaussian"):
            made["clipped_passes"] = np.zeros(count, np.uint32)
        if options.stop_rule == STOP_THRESHOLDS:
            made["decisions"] = np.zeros((count, *shape), np.uint8)
        made.update(ended=np.zeros(count, np.uint8), abstains=np.zeros(count, bool),
                    replay=np.zeros(count, REPLAY))
        row = int(np.prod(shape)) * (2 if head == "gaussian" else 1)
        arrays = Arrays(outputs=int(np.prod(shape)), logits_row=row,
                        entropies=int(np.prod(entropies)) if entropies else 0)
        if options.keep_logits:
            rows = 1 if method == "moments" else options.mc_samples
            made["logits"] = np.full((count, rows, row), np.nan, np.float32)
            if method == "moments":
                classes = row // (height * width)
                full = head == "softmax" and classes <= 64
                arrays.covariance = row * (classes if full else 1)
                covariance = ((row,) if not full else (height * width, classes, classes) if many else
                              (classes, classes))
                made["logit_covariance"] = np.full((count, *covariance), np.nan, np.float32)
        for name, array in made.items():
            setattr(arrays, name, array.ctypes.data)
        return arrays, made

    def _run(self, images, options, threads, arrays, made, progress):
        model, memory = self._model, self._bytes  # which another thread's close() must not take away
        if model is None:
            raise Error("the model is closed")
        session, diagnostic = ctypes.c_void_p(), Diagnostic()
        check(LIBRARY.mu8_python_start(model, ctypes.byref(options), threads, ctypes.byref(session),
                                       ctypes.byref(diagnostic)), diagnostic)
        # In pieces, between which Python may show how far it is, or end by Ctrl-C.
        piece = options.batch * 4
        rows = {name: array.strides[0] for name, array in made.items()}
        try:
            for first in bar(range(0, len(images), piece), progress):
                part = images[first:first + piece]
                at = Arrays.from_buffer_copy(arrays)
                for name, array in made.items():
                    setattr(at, name, array.ctypes.data + first * rows[name])
                status = LIBRARY.mu8_python_run(session, part.ctypes.data, images.dtype != np.uint8, len(part),
                                                ctypes.byref(at), ctypes.byref(diagnostic))
                check(status, diagnostic)
        finally:
            LIBRARY.mu8_python_end(session)
            del memory

    def _finish(self, made, images):
        if made["label"].size and (made["label"] == NO_LABEL).all() or self.head != "softmax":
            made["label"] = None
        else:
            made["label"] = made["label"].astype(np.int64)
        noise = made.get("noise_variance")
        if noise is not None and np.isnan(noise).all():
            made["noise_variance"] = None
        made["ended"] = np.array(ENDED)[made["ended"]]
        beyond = made["clamped_inputs"] > CLAMPED_SHARE * images[0].size if len(images) else np.zeros(0, bool)
        if beyond.any():
            units = ("floats are in the network's own, normalized units; uint8 are pixels"
                     if self.input_kind == "pixels" else "they are in the units of the calibration data")
            warnings.warn(f"mu8: {beyond.sum()} of {len(images)} inputs have more than "
                          f"{CLAMPED_SHARE:.0%} of their values beyond the range that the file can store: "
                          f"{units}", stacklevel=3)
        return Prediction(head=self.head, labels=self.labels, **made)


def whole(name, value, end):
    """The number, if it is a whole one from 0 up to below `end`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < end:
        raise Error(f"{name} is {value!r}, expected a whole number from 0 to {end - 1}")
    return int(value)


def choice(name, value, choices):
    if value not in choices:
        raise Error(f"{name} is {value!r}, expected one of {', '.join(choices)}")
    return choices.index(value)


def bar(pieces, progress):
    """The pieces, with a bar of tqdm where it is asked for and installed."""
    if not progress:
        return pieces
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError:
        return pieces
    return tqdm(pieces, unit="batch")


File = Union[str, os.PathLike, bytes, bytearray, memoryview]


@overload
def load(file: File) -> Model: ...


@overload
def load(file: Union[list[Any], tuple[Any, ...]]) -> Ensemble: ...


def load(file):
    """Opens a .mu8 file: a path, or its bytes; of a list of them an Ensemble. All of it is checked. Raises Error,
    OSError."""
    if isinstance(file, (bytes, bytearray, memoryview)):
        return Model(file)
    if isinstance(file, (list, tuple)):
        from .ensemble import Ensemble
        return Ensemble([load(each) for each in file])
    with open(os.fspath(file), "rb") as stream:
        return Model(stream.read(), os.fspath(file))
