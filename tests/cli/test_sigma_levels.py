"""The levels of 1-bit sigmas: the rule of importance is chosen, and their noise corrected, so that
the passes disagree about new inputs as FP32's do.

    /usr/bin/python3 tests/cli/test_sigma_levels.py build/release/mu8
"""

import struct

import cli
import numpy as np
import onnx
from onnx import TensorProto, helper

SIDE, CLASSES, SEEDS = 8, 10, (1, 2, 3)


class SigmaLevels(cli.CommandTest):
    """A dense layer whose inputs differ twentyfold in their spread."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(1)
        cls.weights = rng.standard_normal((CLASSES, SIDE * SIDE)) * .25
        cls.spread = np.exp(rng.uniform(np.log(.05), 0, SIDE * SIDE))
        for name, count in (("c.idx", 256), ("t.idx", 400)):
            noise = rng.uniform(-127, 127, (count, SIDE, SIDE))
            pixels = np.uint8(127 + cls.spread.reshape(SIDE, SIDE) * noise)
            (cls.folder / name).write_bytes(
                struct.pack(">4I", 0x803, count, SIDE, SIDE) + pixels.tobytes())

    def posterior(self, sigma):
        """Options of the network with a sigma for each input."""
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            [helper.make_node("Flatten", ["x"], ["f"]),
             helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)], "g",
            [value("x", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
            [value("y", TensorProto.FLOAT, ["n", CLASSES])],
            [helper.make_tensor("w", TensorProto.FLOAT, self.weights.shape,
                                np.float32(self.weights).ravel())])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                                    ir_version=7), self.folder / "n.onnx")
        np.savez(self.folder / "n.npz",
                 **{"w.sigma": np.float32(np.broadcast_to(sigma, self.weights.shape))})
        return ("--model", "n.onnx", "--posterior", "n.npz", "--head", "softmax", "--mean", .5,
                "--std", .3)

    def disagreement(self, *model):
        """Mutual information over new inputs, summed over the seeds."""
        return sum(self.json_of("eval", *model, "--data", "t.idx", "--seed", seed)[
            "mean_mutual_information"] for seed in SEEDS)

    def converted(self, posterior, *options):
        """What convert says, and how the file's mutual information compares with FP32's."""
        said = self.json_of("convert", *posterior, "--calibration", "c.idx", "--sigma-bits", 1,
                            "-o", "n.mu8", *options)
        return said, self.disagreement("n.mu8") / self.disagreement(*posterior, "--engine-noise")

    def test_too_much_noise_is_corrected(self):
        posterior = self.posterior(.02 / self.spread)  # as Laplace's approximation has it
        said, ratio = self.converted(posterior)
        self.assertLess(said["sigma_gain"], .95)
        self.assertLess(abs(ratio - 1), .03)
        stored = self.json_of("inspect", "n.mu8")["metadata"]["sigma_gain"]
        self.assert_near(float(stored), said["sigma_gain"], 1e-6)
        for rule in ("fisher", "power"):
            said, ratio = self.converted(posterior, "--sigma-importance", rule)
            self.assertEqual(said["sigma_gain"], 1)
            self.assertGreater(ratio, 1.08)

    def test_the_rule_of_importance_is_that_whose_noise_is_right(self):
        posterior = self.posterior(.3 * self.spread)
        said, ratio = self.converted(posterior)
        self.assertEqual((said["sigma_importance"], said["sigma_gain"]), ("power", 1))
        self.assertLess(abs(ratio - 1), .03)
        self.assertLess(self.converted(posterior, "--sigma-importance", "fisher")[1], .9)


if __name__ == "__main__":
    cli.main()
