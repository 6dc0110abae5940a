"""Networks that answer pixel by pixel.

    /usr/bin/python3 tests/cli/test_maps.py build/release/mu8
"""

import json
import struct

import cli
import numpy as np
from heads import HeadTest, network
from onnx import TensorProto, helper


class Maps(HeadTest):
    """A network that answers pixel by pixel."""

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(12)
        self.w = rng.normal(0, 0.7, (3, 1, 3, 3)).astype(np.float32)
        self.pixels = rng.integers(0, 256, (40, 6, 8), dtype=np.uint8)
        self.write("maps.idx", struct.pack(">IIII", 0x803, 40, 6, 8) + self.pixels.tobytes())

    def model(self, last=None):
        nodes = [helper.make_node("Conv", ["x", "w"], ["z" if last else "y"], pads=[1, 1, 1, 1])]
        if last:
            nodes.append(helper.make_node(last, ["z"], ["y"], axis=1))
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 6, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 6, 8])],
            [helper.make_tensor("w", TensorProto.FLOAT, self.w.shape, self.w.ravel())])
        self.write("m.onnx", helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())

    def scores(self):
        x = np.pad(self.pixels / 255, ((0, 0), (1, 1), (1, 1)))
        return np.stack([sum(self.w[c, 0, i, j] * x[:, i:i + 6, j:j + 8] for i in range(3)
                             for j in range(3)) for c in range(3)], -1)

    def converted(self, *options):
        return self.json_of("convert", "--model", "m.onnx", "--deterministic", "--calibration",
                            "maps.idx", "--mean", 0, "--std", 1, *options, "-o", "m.mu8")

    def test_classes_at_each_position(self):
        self.model("Softmax")
        self.converted()
        p = np.exp(self.scores())
        p /= p.sum(-1, keepdims=True)
        folder = self.folder / "maps"
        folder.mkdir(exist_ok=True)
        found = self.json_of("predict", "m.mu8", "maps.idx#3", "--maps", "maps")["predictions"][0]
        self.assertEqual(found["shape"], [6, 8, 3])
        mean = np.load(folder / "maps.idx_3.mean.npy")
        np.testing.assert_allclose(mean, p[3], atol=0.03)
        entropy = np.load(folder / "maps.idx_3.entropy.npy")
        np.testing.assert_allclose(entropy, -(mean * np.log(mean)).sum(-1), atol=1e-5)
        self.assertAlmostEqual(found["predictive_entropy"], float(entropy.mean()), delta=1e-5)
        self.assertEqual(np.load(folder / "maps.idx_3.mutual_information.npy").shape, (6, 8))
        self.assertEqual(found["positions_of_class"],
                         np.bincount(mean.argmax(-1).ravel(), minlength=3).tolist())
        for name in ("label.png", "mutual_information.png"):
            self.assertEqual((folder / f"maps.idx_3.{name}").read_bytes()[:4], b"\x89PNG")
        self.assertIn("6 x 8 positions of 3 outputs", self.text_of("predict", "m.mu8", "maps.idx#3"))

    def test_eval_counts_positions(self):
        self.model("Softmax")
        self.converted()
        label = self.scores().argmax(-1)
        label[::2] = (label[::2] + 1) % 3  # half of the images are wrong
        np.savez(self.folder / "t.npz", x=self.pixels[:, None], y=label)
        note = 't.npz: "x": its elements are uint8'
        found = self.json_of("eval", "m.mu8", "--data", "t.npz", note=note)
        self.assertEqual((found["images"], found["positions"]), (40, 48))
        self.assertAlmostEqual(found["accuracy"], 0.5, delta=0.02)
        right = self.scores().argmax(-1)
        iou = [((right == c) & (label == c)).sum() / ((right == c) | (label == c)).sum()
               for c in range(3)]
        self.assertAlmostEqual(found["mean_iou"], np.mean(iou), delta=0.02)
        for shape in ((40, 1, 6, 8), (40, 48)):
            np.savez(self.folder / "s.npz", x=self.pixels[:, None], y=label.reshape(shape))
            same = self.json_of("eval", "m.mu8", "--data", "s.npz", note='s.npz: "x": its')
            self.assertEqual(same["accuracy"], found["accuracy"])
        np.savez(self.folder / "s.npz", x=self.pixels[:, None], y=label.transpose(0, 2, 1))
        self.fails("eval", "m.mu8", "--data", "s.npz",
                   says="s.npz: the targets: an input of the array is (8, 6), the model expects (1, 6, 8)")
        self.fails("eval", "m.mu8", "--data", "maps.idx", "--stop-error", "0.05", code=2,
                   says="--stop-error: decides about one answer, the model gives one at each")
        reference = self.json_of("eval", "--model", "m.onnx", "--mean-weights", "--mean", 0, "--std",
                                 1, "--data", "t.npz", note=note)
        self.assertAlmostEqual(found["nll"], reference["nll"], delta=0.01)

    def test_numbers_at_each_position(self):
        self.model()
        self.converted("--head", "values")
        (self.folder / "maps").mkdir(exist_ok=True)
        self.text_of("predict", "m.mu8", "maps.idx#5", "--maps", "maps")
        np.testing.assert_allclose(np.load(self.folder / "maps" / "maps.idx_5.mean.npy"),
                                   self.scores()[5], atol=0.03)
        np.savez(self.folder / "p.npz", **{"w.sigma": np.full(self.w.shape, 0.1, np.float32)})
        found = self.json_of("diff", "m.mu8", "--model", "m.onnx", "--posterior", "p.npz", "--mean", 0,
                             "--std", 1, "--data", "maps.idx", "--limit", 4, "--samples", 2)
        self.assertEqual(found["head"], "values")

    def test_targets_of_several_numbers_at_each_position(self):
        self.model()
        self.converted("--head", "values")
        noise = np.random.default_rng(5).normal(0, [0.1, 0.5, 2], (40, 6, 8, 3))
        y = (self.scores() + noise).astype(np.float32)
        right = np.sqrt((noise ** 2).mean((0, 1, 2)))

        def values(*arguments, key="values"):
            head = ("--head", "values") if "--model" in arguments else ()
            outcome = self.run_mu8(*arguments, *head, "--json")
            self.assertEqual(outcome.code, 0, outcome.stderr)
            self.assertEqual("the targets, (6, 8, 3) an input, are taken as nhwc" in outcome.stderr,
                             array is y)
            return json.loads(outcome.stdout)[key]

        plain = ("--mean", 0, "--std", 1)
        for array in (y, y.transpose(0, 3, 1, 2)):
            np.savez(self.folder / "t.npz", x=self.pixels[:, None], y=array)
            found = values("eval", "m.mu8", "--data", "t.npz")
            np.testing.assert_allclose([value["rmse"] for value in found], right, rtol=0.03)
            reference = values("eval", "--model", "m.onnx", "--mean-weights", *plain, "--data", "t.npz")
            np.testing.assert_allclose([value["rmse"] for value in reference], right, rtol=1e-4)
            fitted = values("convert", "--model", "m.onnx", "--deterministic", "--calibration", "t.npz",
                            *plain, "--noise", "fit", "-o", "n.mu8", key="noise_variance")
            np.testing.assert_allclose(np.sqrt(fitted), right, rtol=1e-3)
        for value in values("eval", "n.mu8", "--data", "t.npz"):
            self.assertAlmostEqual(value["intervals"]["coverage"][1], 0.9, delta=0.03)
        for wrong, says in ((y.transpose(0, 2, 3, 1), "t.npz: the targets: "),
                            (y[..., :2], "t.npz: has 96 targets an input, expected 144")):
            np.savez(self.folder / "t.npz", x=self.pixels[:, None], y=wrong)
            self.fails("eval", "m.mu8", "--data", "t.npz", says=says)

    def test_an_inputs_maps_come_together(self):
        self.model("Softmax")
        self.converted()
        (self.folder / "maps" / "maps.idx_3.label.png").mkdir(parents=True)
        self.fails("predict", "m.mu8", "maps.idx#3", "--maps", "maps",
                   says="maps/maps.idx_3.label.png: cannot be written: is a folder")
        self.assertEqual(len(list((self.folder / "maps").iterdir())), 1)
        (self.folder / "maps" / "maps.idx_3.label.png").rmdir()

    def test_no_maps_overwrite_each_other(self):
        self.model("Softmax")
        self.converted()
        for name in ("a", "b", "maps"):
            (self.folder / name).mkdir(exist_ok=True)
            np.save(self.folder / name / "one.npy", self.pixels[:1])
        (self.folder / "maps" / "one.npy").unlink()
        self.fails("predict", "m.mu8", "a/one.npy", "b/one.npy", "--maps", "maps",
                   says="b/one.npy: another input's maps have the same names")

    def test_one_answer_has_no_maps(self):
        HeadTest.converted(self, network(3), "--head", "values")
        (self.folder / "maps").mkdir(exist_ok=True)
        self.wrong_command("predict", "m.mu8", "x.npy", "--maps", "maps",
                           says="--maps: the model answers once")


if __name__ == "__main__":
    cli.main()
