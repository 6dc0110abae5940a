"""Outputs that ought to be the input again.

    /usr/bin/python3 tests/cli/test_reconstructions.py build/release/mu8
"""

import struct

import cli
import numpy as np
from heads import PIXELS, HeadTest, X, network
from onnx import TensorProto, helper


def autoencoder(last=None, dark=0):
    """x -> 2 numbers -> x again; the first `dark` outputs are always about -8."""
    enc = np.array([[0.9, -0.3, 0.5, 0.2], [0.1, 0.8, -0.4, 0.6]], np.float32)
    rows = {"we": enc, "be": np.zeros(2, np.float32), "wd": np.linalg.pinv(enc).astype(np.float32),
            "bd": np.full(PIXELS, 0.1, np.float32)}
    rows["wd"][:dark], rows["bd"][:dark] = 0, -8
    nodes = [helper.make_node("Gemm", ["x", "we", "be"], ["z"], transB=1),
             helper.make_node("Gemm", ["z", "wd", "bd"], ["r" if last else "y"], transB=1)]
    if last:
        nodes.append(helper.make_node(last, ["r"], ["y"]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", PIXELS])],
        [helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.ravel())
         for name, value in rows.items()])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString()
    return content, lambda x: x @ enc.T @ rows["wd"].T + rows["bd"]


class Reconstructions(HeadTest):
    def test_the_error_is_that_to_the_input(self):
        content, network_of = autoencoder()
        rng = np.random.default_rng(10)
        sizes = np.array([1, 100, 0.01, 5], np.float32)
        raw = rng.normal(0, 1, (300, PIXELS)).astype(np.float32) * sizes
        far = rng.choice([-1.5, 1.5], (200, PIXELS)).astype(np.float32) * sizes  # no layer saturates
        np.savez(self.folder / "t.npz", x=raw)
        np.savez(self.folder / "far.npz", x=far)
        self.write("m.onnx", content)
        scaled = ("--mean", "0,0,0,0", "--std", ",".join(map(str, sizes)))
        report = self.json_of("convert", "--model", "m.onnx", "--deterministic", "--head",
                              "reconstruction", "--calibration", "t.npz", *scaled, "-o", "m.mu8")
        self.assertEqual(report["head"], "reconstruction")
        found = self.json_of("predict", "m.mu8", "t.npz", "--samples", 2)["predictions"]
        right = ((network_of(raw / sizes) - raw / sizes) ** 2).mean(1)
        np.testing.assert_allclose([one["error"] for one in found], right, rtol=0.05, atol=0.02)
        outcome = self.json_of("eval", "m.mu8", "--data", "t.npz", "--ood", "far.npz")
        reference = self.json_of("eval", "--model", "m.onnx", "--mean-weights", "--head",
                                 "reconstruction", *scaled, "--data", "t.npz", "--ood", "far.npz")
        self.assertAlmostEqual(outcome["error"] / reference["error"], 1, delta=0.02)
        self.assertAlmostEqual(outcome["ood"][0]["by_error"]["auroc"],
                               reference["ood"][0]["by_error"]["auroc"], delta=0.01)
        self.assertGreater(outcome["ood"][0]["by_error"]["auroc"], 0.6)
        self.assertIn("squared error", self.text_of("predict", "m.mu8", "t.npz#0"))

    def test_of_pixels(self):
        content, network_of = autoencoder()
        self.converted(content, "--head", "reconstruction")
        pixels = np.frombuffer((self.folder / "images").read_bytes()[20:], np.uint8).reshape(-1, PIXELS)
        x = pixels[:5] / 255
        for i, right in enumerate(((network_of(x) - x) ** 2).mean(1)):
            self.write("one.npy", b"")
            np.save(self.folder / "one.npy", pixels[i])
            found = self.json_of("predict", "m.mu8", "one.npy",
                                 note="one.npy: its elements are uint8")["predictions"][0]
            self.assertAlmostEqual(found["error"], right, delta=0.05 * right + 0.001)

    def test_an_error_for_each_pixel(self):
        content, network_of = autoencoder()
        self.write("images", struct.pack(">IIII", 0x803, 40, 2, 2) + np.random.default_rng(3).integers(
            0, 256, (40, PIXELS), dtype=np.uint8).tobytes())
        self.write("m.onnx", content)
        self.json_of("convert", "--model", "m.onnx", "--deterministic", "--calibration", "images",
                     "--mean", 0, "--std", 1, "--head", "reconstruction", "-o", "m.mu8")
        (self.folder / "maps").mkdir(exist_ok=True)
        found = self.json_of("predict", "m.mu8", "images#3", "--maps", "maps")["predictions"][0]
        self.assertEqual([name.split("images_3")[1] for name in found["maps"]],
                         [".mean.npy", ".variance.npy", ".error.npy", ".error.png"])
        error = np.load(self.folder / "maps" / "images_3.error.npy")
        self.assertEqual(error.shape, (2, 2, 1))
        self.assertAlmostEqual(float(error.mean()), found["error"], delta=1e-5)
        pixels = np.frombuffer((self.folder / "images").read_bytes()[16:], np.uint8).reshape(-1, PIXELS)
        x = pixels[3] / 255
        np.testing.assert_allclose(error.ravel(), (network_of(x) - x) ** 2, atol=0.01)
        self.text_of("predict", "m.mu8", "images#3", "--maps", "maps")

    def test_a_sigmoid_at_the_end(self):
        content, logits_of = autoencoder("Sigmoid")
        network_of = lambda x: 1 / (1 + np.exp(-logits_of(x)))
        report = self.converted(content, "--head", "reconstruction")
        self.assertIn("Sigmoid at the graph's end", report["head_reason"])
        pixels = np.frombuffer((self.folder / "images").read_bytes()[20:], np.uint8).reshape(-1, PIXELS)
        x = pixels / 255
        right = ((network_of(x) - x) ** 2).mean(1)
        outcome = self.json_of("eval", "m.mu8", "--data", "images")
        self.assertAlmostEqual(outcome["error"] / right.mean(), 1, delta=0.01)
        reference = self.json_of("eval", "--model", "m.onnx", "--mean-weights", "--head",
                                 "reconstruction", "--mean", 0, "--std", 1, "--data", "images")
        self.assertAlmostEqual(reference["error"] / right.mean(), 1, delta=1e-5)
        self.converted(content, "--head", "values")
        np.testing.assert_allclose(self.prediction()["mean"], network_of(X)[0], atol=0.01)

    def test_a_border_that_is_always_dark_is_no_loss(self):
        report = self.converted(autoencoder("Sigmoid", dark=2)[0], "--head", "reconstruction")
        self.assertNotEqual(report["verdict"]["verdict"], "lost")

    def test_a_sigmoid_never_reaches_what_lies_beyond(self):
        beyond = ("head reconstruction: the outputs are a Sigmoid's, between 0 and 1, and are held "
                  "against the normalized input; ")
        self.write("m.onnx", autoencoder("Sigmoid")[0])
        self.write("pixels", struct.pack(">IIII", 0x803, 40, 2, 2) + bytes(range(160)))
        self.fails("convert", "--model", "m.onnx", "--deterministic", "--head", "reconstruction",
                   "--calibration", "pixels", "--mean", "0.5", "--std", "0.25", "-o", "m.mu8",
                   says=beyond + "with mean 0.500000 and std 0.250000 pixels lie between -2.000000 and "
                   "2.000000: expected pixels of 0 to 1")
        convert = ("convert", "--model", "m.onnx", "--deterministic", "--head", "reconstruction",
                   "--calibration", "t.npz", "--mean", "0", "--std", "1", "-o", "m.mu8")
        x = np.random.default_rng(4).uniform(0, 1, (50, PIXELS)).astype(np.float32)
        np.savez(self.folder / "t.npz", x=3 * x)
        self.fails(*convert, says=f"{beyond}{(3 * x > 1.0001).sum()} of 200 numbers lie beyond: expected "
                   "--mean and --std that bring them to 0 to 1")
        x[7, 2] = 1.5
        np.savez(self.folder / "t.npz", x=x)
        self.json_of(*convert, note=beyond + "1 of 200 numbers lie beyond, which no output can reach")

    def test_other_shapes_and_ends_are_refused(self):
        self.fails(*self.convert(network(3), "--deterministic", "--head", "reconstruction"),
                   says="head reconstruction: the outputs are 1x1x3, the input is 1x1x4")
        self.fails(*self.convert(autoencoder("Softmax")[0], "--deterministic", "--head",
                                 "reconstruction"), says="--head reconstruction contradicts the model")


if __name__ == "__main__":
    cli.main()
