"""Small files that ask for much, or that mean harm: each is refused, with the cause, in little time.

    /usr/bin/python3 tests/cli/test_hostile.py build/release/mu8

Every command must end within 10 seconds and 2 GB without a signal, and nothing that it prints may act
on a terminal. tools/measure_import has the graphs whose cost could grow faster than their size.
"""

import io
import json
import os
import resource
import struct
import subprocess
import zipfile
import zlib

import cli
import numpy as np
import onnx
from onnx import TensorProto, helper

LEAST, LONGEST = -2**63, 10.0
INT64, FLOAT = TensorProto.INT64, TensorProto.FLOAT
WEIGHTS = helper.make_tensor("w", FLOAT, [3, 4], [0.1] * 12)
DENSE = helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)


def integers(name, values):
    return helper.make_tensor(name, INT64, [len(values)], values)


def model(nodes, initializers, shape=("n", 1, 2, 2), classes=3, labels=None):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, ["n", classes])], initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    if labels is not None:
        helper.set_model_props(made, {"labels": labels})
    return made.SerializeToString()


def processor_seconds():
    """Of all commands so far: other work on the machine does not count."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def flat(**attributes):
    return helper.make_node("Flatten", ["x"], ["f"], **attributes)


class HostileTest(cli.CommandTest):
    def setUp(self):
        super().setUp()
        pixels = bytes(range(4 * 4))
        self.write("images", struct.pack(">IIII", 0x803, 4, 2, 2) + pixels)

    def write(self, name, content):
        (self.folder / name).write_bytes(content)

    def run_bounded(self, *arguments):
        start = processor_seconds()
        outcome = self.run_mu8(*arguments)
        self.assertLess(processor_seconds() - start, LONGEST, cli.describe(outcome))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        self.assertLess(peak, 2 << 30, cli.describe(outcome))
        self.assertIn(outcome.code, (0, 1), cli.describe(outcome))
        for character in outcome.stdout + outcome.stderr:
            self.assertTrue(character == "\n" or character.isprintable(),
                            f"{character!r} is printed" + cli.describe(outcome))
        return outcome

    def refused(self, *arguments, says):
        outcome = self.run_bounded(*arguments)
        self.assertEqual(outcome.code, 1, cli.describe(outcome))
        self.assertIn(says, outcome.stderr)
        return outcome

    def convert(self, content):
        self.write("m.onnx", content)
        return ("convert", "--model", "m.onnx", "--deterministic", "--calibration", "images",
                "-o", "m.mu8")


class Graphs(HostileTest):
    def test_an_initializer_without_a_name(self):
        self.refused(*self.convert(model([flat(), DENSE], [WEIGHTS, integers("", [1, -1])])),
                     says="1 initializer has no name")

    def test_a_reshape_with_one_input(self):
        reshape = helper.make_node("Reshape", ["x"], ["f"])
        self.refused(*self.convert(model([reshape, DENSE], [WEIGHTS])), says="neither input 1")

    def test_both_at_once(self):
        reshape = helper.make_node("Reshape", ["x", ""], ["f"])
        self.refused(*self.convert(model([reshape, DENSE], [WEIGHTS, integers("", [1, -1])])),
                     says="Reshape")

    def test_pads_of_the_least_integer(self):
        for pads in ([0, 0, LEAST, 0, 0, 0, 0, 0], [0, 0, LEAST, 0, 0, 0, LEAST, 0]):
            nodes = [helper.make_node("Pad", ["x", "p"], ["q"]),
                     helper.make_node("Flatten", ["q"], ["f"]), DENSE]
            self.refused(*self.convert(model(nodes, [WEIGHTS, integers("p", pads)])),
                         says="out of range")

    def test_slices_to_the_ends_of_the_integers(self):
        nodes = [helper.make_node("Slice", ["x", "s", "e", "a"], ["q"]),
                 helper.make_node("Flatten", ["q"], ["f"]), DENSE]
        for start, end, good in ((LEAST, 2**63 - 1, True), (0, LEAST, False),
                                 (2**63 - 1, 2**63 - 1, False)):
            content = model(nodes, [WEIGHTS, integers("s", [start]), integers("e", [end]),
                                    integers("a", [2])])
            if good:
                self.assertEqual(self.run_bounded(*self.convert(content)).code, 0)
            else:
                self.refused(*self.convert(content), says="nothing is left")

    def test_pads_that_make_a_huge_image(self):
        nodes = [helper.make_node("Pad", ["x", "p"], ["q"]),
                 helper.make_node("GlobalAveragePool", ["q"], ["y"])]
        pads = integers("p", [0, 0, 30000, 30000, 0, 0, 30000, 30000])
        self.refused(*self.convert(model(nodes, [pads])), says="elements")

    def test_more_classes_than_weights(self):
        nodes = [helper.make_node("Pad", ["x", "p"], ["q"]),
                 helper.make_node("GlobalAveragePool", ["q"], ["y"])]
        outcome = self.run_bounded(*self.convert(
            model(nodes, [integers("p", [0, 0, 0, 0, 0, 65534, 0, 0])], classes=65535)))
        self.assertLessEqual(len(outcome.stderr), 2000)

    def test_a_tensor_written_twice(self):
        self.refused(*self.convert(model([flat(), flat(), DENSE], [WEIGHTS])),
                     says='"f" is written twice')

    def test_a_cycle(self):
        nodes = [helper.make_node("Add", ["x", "b"], ["a"]),
                 helper.make_node("Relu", ["a"], ["b"]),
                 helper.make_node("Flatten", ["b"], ["f"]), DENSE]
        self.refused(*self.convert(model(nodes, [WEIGHTS])), says="in a cycle: ")

    def test_dimensions_whose_product_overflows(self):
        weights = helper.make_tensor("w", FLOAT, [1, 1], [0.1])
        weights.dims[0], weights.dims[1] = 2**40, 2**40
        self.refused(*self.convert(model([flat(), DENSE], [weights])), says="too large")

    def test_a_tensor_of_many_dimensions(self):
        weights = helper.make_tensor("w", FLOAT, [1] * 1000, [0.1])
        self.refused(*self.convert(model([flat(), DENSE], [weights])), says="1000 dimensions")

    def test_one_tensor_read_by_many_nodes(self):
        nodes, last = [], "x"
        for i in range(1000):  # each would keep a copy of a megabyte
            nodes.append(helper.make_node("Mul", [last, "many"], [f"m{i}"]))
            last = f"m{i}"
        nodes.append(helper.make_node("Gemm", [last, "big"], ["y"]))
        many = helper.make_tensor("many", FLOAT, [262144], bytes(4 * 262144), raw=True)
        big = helper.make_tensor("big", FLOAT, [262144, 1], bytes(4 * 262144), raw=True)
        self.refused(*self.convert(model(nodes, [many, big], shape=("n", 262144), classes=1)),
                     says="many times what the file holds")

    def test_integers_cast_by_many_nodes(self):
        nodes = [helper.make_node("Cast", ["i"], [f"c{k}"], to=FLOAT) for k in range(2000)]
        nodes += [flat(), DENSE]
        nodes += [helper.make_node("Add", ["x", f"c{k}"], [f"s{k}"]) for k in range(2000)]
        values = helper.make_tensor("i", INT64, [262144], bytes(8 * 262144), raw=True)
        nodes.append(helper.make_node("Sum", ["y"] + [f"s{k}" for k in range(2000)], ["z"]))
        graph = onnx.load_from_string(model(nodes, [WEIGHTS, values]))
        graph.graph.output[0].name = "z"
        self.refused(*self.convert(graph.SerializeToString()), says="and 1901 more problems")


    def test_constants_that_only_seem_to_hold_numbers(self):
        for raw, dims in ((b"", [1]), (b"\5", [1]), (bytes(16), [7])):
            value = TensorProto(data_type=INT64, dims=dims, raw_data=raw)
            nodes = [helper.make_node("ConstantOfShape", ["d"], ["t"], value=value),
                     helper.make_node("Reshape", ["x", "t"], ["f"]), DENSE]
            self.refused(*self.convert(model(nodes, [WEIGHTS, integers("d", [2])])),
                         says="its value holds")

    def test_one_list_read_by_many_nodes(self):
        """Truth values of Dropout and axes of Unsqueeze: looked at before they are copied."""
        count = 4000
        big = helper.make_tensor("t", TensorProto.BOOL, [1000 * count], bytes(1000 * count), raw=True)
        nodes, last = [], "x"
        for i in range(count):
            nodes.append(helper.make_node("Dropout", [last, "", "t"], [f"d{i}"]))
            last = f"d{i}"
        nodes += [helper.make_node("Flatten", [last], ["f"]), DENSE]
        self.refused(*self.convert(model(nodes, [WEIGHTS, big])), says="training_mode is not a")


class Terminal(HostileTest):
    MARKS = "\x1b[31mred\x1b[0m \u202egnp.exe \x9b31m c1 \x7f"

    def test_names_of_nodes(self):
        node = helper.make_node("LSTM", ["x"], ["f"], name="a\nmu8: written ok" + self.MARKS)
        outcome = self.refused(*self.convert(model([node, DENSE], [WEIGHTS])), says="LSTM")
        self.assertNotIn("\nmu8: written ok", outcome.stderr)

    def test_labels(self):
        labels = "\n".join([self.MARKS, "b\rwritten ok", "c\u2066"])
        self.assertEqual(self.run_bounded(*self.convert(
            model([flat(), DENSE], [WEIGHTS], labels=labels))).code, 0)
        for command in (("inspect", "m.mu8"), ("inspect", "m.mu8", "--json"),
                        ("eval", "m.mu8", "--data", "images")):
            self.assertEqual(self.run_bounded(*command).code, 0)

    def test_names_of_files(self):
        name = "no\x1b[2Jfile\nmu8: written ok.mu8"
        outcome = self.refused("inspect", name, says="no such file")
        self.assertNotIn("\nmu8: written ok", outcome.stderr)


class OtherFiles(HostileTest):
    def test_a_plan_of_nested_lists(self):
        self.write("plan.json", b"[" * 100000 + b"]" * 100000)
        self.refused(*self.convert(model([flat(), DENSE], [WEIGHTS])), "--bits", "plan.json",
                     says="plan.json")

    def test_arrays_that_the_network_does_not_have(self):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }" % (3 << 28)
            header += b" " * ((-len(header) - 11) % 64) + b"\n"
            with archive.open("other.sigma.npy", "w", force_zip64=True) as array:
                array.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
                for _ in range(48):
                    array.write(bytes(1 << 20))
        self.write("p.npz", packed.getvalue())
        self.write("m.onnx", model([flat(), DENSE], [WEIGHTS]))
        self.refused("convert", "--model", "m.onnx", "--posterior", "p.npz", "--calibration",
                     "images", "-o", "m.mu8", says="p.npz")

    def test_a_picture_that_unpacks_to_gigabytes(self):
        def chunk(kind, body):
            return (struct.pack(">I", len(body)) + kind + body
                    + struct.pack(">I", zlib.crc32(kind + body)))
        rows = zlib.compress(bytes(64 << 20), 9)
        for side in (2, 16384):
            self.write("big.png", b"\x89PNG\r\n\x1a\n"
                       + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
                       + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
            self.assertEqual(self.run_bounded(*self.convert(model([flat(), DENSE],
                                                                  [WEIGHTS]))).code, 0)
            self.refused("predict", "m.mu8", "big.png", says="big.png")

    def test_labels_without_an_end(self):
        self.refused(*self.convert(model([flat(), DENSE], [WEIGHTS])), "--labels", "/dev/zero",
                     says="/dev/zero")

    def test_many_labels(self):
        classes = 65535
        weights = helper.make_tensor("w", FLOAT, [classes, 4], bytes(16 * classes), raw=True)
        labels = "\n".join(f"class {i}" for i in range(classes))
        command = self.convert(model([flat(), DENSE], [weights], classes=classes, labels=labels))
        self.assertEqual(self.run_bounded(*command, "--json").code, 0)
        self.assertEqual(self.run_bounded("inspect", "m.mu8").code, 0)
        outcome = self.run_bounded("inspect", "m.mu8", "--json")
        self.assertEqual(len(json.loads(outcome.stdout)["labels"]), classes)


class Pictures(HostileTest):
    """Damaged ones, through the command; tests/converters/host has each kind."""
    def setUp(self):
        super().setUp()
        self.run_bounded(*self.convert(model([flat(), DENSE], [WEIGHTS])))

    @staticmethod
    def png(*chunks):
        made = b"\x89PNG\r\n\x1a\n"
        for kind, data in chunks:
            made += struct.pack(">I", len(data)) + kind + data
            made += struct.pack(">I", zlib.crc32(kind + data))
        return made

    def refused_picture(self, content, says):
        self.write("p.png", content)
        self.refused("predict", "m.mu8", "p.png", says=says)

    def test_png(self):
        rows = zlib.compress(b"\0\0\1\0\0\7")
        palette = struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 0)
        self.refused_picture(
            self.png((b"IHDR", palette), (b"PLTE", b"abcdef"), (b"IDAT", rows), (b"IEND", b"")),
            "p.png: damaged PNG image: a pixel has colour 7")
        grey = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
        whole = self.png((b"IHDR", grey), (b"IDAT", rows), (b"IEND", b""))
        self.refused_picture(whole[:-12], "p.png: damaged PNG image: it ends before its last chunk")
        self.refused_picture(whole[:29] + b"\0" + whole[30:], "its chunk IHDR has another checksum")

    def test_jpeg(self):
        whole = (cli.DATA / "images" / "baseline.jpg").read_bytes()
        scan = whole.index(b"\xff\xda")
        self.refused_picture(whole[:scan] + b"\xff\xd9", "p.png: damaged JPEG image: there is no scan")


class Names(HostileTest):
    """Two layers of one name, with bytes that no line or no text can hold."""

    def model(self, name):
        nodes = [flat(), helper.make_node("Gemm", ["f", "w"], ["h"], name="name", transB=1),
                 helper.make_node("Gemm", ["h", "v"], ["y"], name="name", transB=1)]
        content = model(nodes, [WEIGHTS, helper.make_tensor("v", FLOAT, [3, 3], [0.2] * 9)])
        return content.replace(b"name", name)  # of four bytes, too: protobuf would refuse them

    def test_each_layer_has_a_line_of_its_own(self):
        for name, shown in ((b"a\nb\n", "a\\nb\\n"), (b"\xff\xfe\x00b", "\\xff\\xfe\\x00b"),
                            (b"\x1b[1m", "\\x1b[1m"), (b"same", "same")):
            with self.subTest(name):
                self.assertEqual(self.run_bounded(*self.convert(self.model(name))).code, 0)
                layers = json.loads(self.run_bounded("inspect", "m.mu8", "--json").stdout)["layers"]
                self.assertEqual([layer["name"] for layer in layers], [shown, shown + "#2"])

    def test_a_plan_for_them_is_one_that_convert_takes(self):
        sigmas = {"w.sigma": np.full((3, 4), 0.1, np.float32),
                  "v.sigma": np.full((3, 3), 0.1, np.float32)}
        np.savez(self.folder / "p.npz", **sigmas)
        posterior = ("--posterior", "p.npz", "--model", "m.onnx", "--calibration", "images")
        for name in (b"same", b"\xff\xfe\nb"):
            with self.subTest(name):
                self.write("m.onnx", self.model(name))
                self.assertEqual(self.run_bounded("allocate", *posterior, "--average-bits", 3, "-o",
                                                  "plan.json").code, 0)
                plan = json.loads(self.bytes_of("plan.json"))["layers"]
                outcome = self.run_bounded("convert", *posterior, "--bits", "plan.json", "-o",
                                           "m.mu8", "--json")
                self.assertEqual(outcome.code, 0, cli.describe(outcome))
                layers = json.loads(outcome.stdout)["layers"]
                self.assertEqual([layer["mu_bits"] for layer in layers],
                                 [layer["mu_bits"] for layer in plan])


class Json(HostileTest):
    """What took minutes, or the whole stack. tests/converters/host/test_json.cpp has the rest."""

    def test_lists_within_lists(self):
        for deep in ("[" * 1000000, '{"predictions": ' + "[" * 1000000, '{"a":' * 1000000):
            self.write("deep.json", deep.encode())
            self.refused("replay", "deep.json", "m.mu8", "images", says="has more than 64 lists")
            command = self.convert(model([flat(), DENSE], [WEIGHTS]))
            self.refused(*command, "--bits", "deep.json", says="has more than 64 lists")

    def test_many_layers_in_a_plan(self):
        layers = [{"name": f"k{i}", "mu_bits": 9} for i in range(200000)]
        self.write("many.json", json.dumps({"layers": layers}).encode())
        command = self.convert(model([flat(), DENSE], [WEIGHTS]))
        self.refused(*command, "--bits", "many.json", says="layer 0 has 9 bits")

    def test_many_keys_in_a_plan(self):
        keys = {f"k{i}": {} for i in range(60000)}
        self.write("many.json", json.dumps({**keys, "layers": [{}]}).encode())
        command = self.convert(model([flat(), DENSE], [WEIGHTS]))
        self.refused(*command, "--bits", "many.json", says="layer 0 lacks name or mu_bits")

    def test_many_tensors_in_a_safetensors_header(self):
        tensor = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        header = json.dumps({f"k{i}.sigma": tensor for i in range(40000)}).encode()
        self.write("p.safetensors", struct.pack("<Q", len(header)) + header)
        self.write("m.onnx", model([flat(), DENSE], [WEIGHTS]))
        self.refused("convert", "--posterior", "p.safetensors", "--model", "m.onnx",
                     "--calibration", "images", "-o", "m.mu8", says='there is no initializer "k0"')


class Outputs(HostileTest):
    """Where a result goes. tests/converters/host/test_output_file.cpp has links, permissions and more."""
    def setUp(self):
        super().setUp()
        self.command = self.convert(model([flat(), DENSE], [WEIGHTS]))[:-1]

    def test_a_pipe_is_written_to(self):
        os.mkfifo(self.folder / "pipe")
        reader = subprocess.Popen(["cat", "pipe"], cwd=self.folder, stdout=subprocess.PIPE)
        self.assertEqual(self.run_bounded(*self.command, "pipe").code, 0)
        content, _ = reader.communicate(timeout=LONGEST)
        self.assertEqual(self.run_bounded(*self.command, "plain.mu8").code, 0)
        self.assertEqual(content, self.bytes_of("plain.mu8"))
        self.assertTrue((self.folder / "pipe").is_fifo())
        (self.folder / "pipe").unlink()

    def test_a_device_is_written_to(self):
        self.assertEqual(self.run_bounded(*self.command, "/dev/null").code, 0)
        self.assertTrue(os.path.exists("/dev/null") and not os.path.isfile("/dev/null"))

    def test_a_full_device_says_so(self):
        self.refused(*self.command, "/dev/full", says="No space left on device")

    def test_a_limit_of_the_file_size(self):
        self.write("m.mu8", b"old")
        code = ("import resource, signal, subprocess, sys; "
                "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
                "sys.exit(subprocess.run(sys.argv[1:]).returncode)")
        done = subprocess.run(["/usr/bin/python3", "-c", code, self.program, *self.command, "m.mu8"],
                              cwd=self.folder, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assertEqual(self.bytes_of("m.mu8"), b"old")
        self.assertEqual([name for name in os.listdir(self.folder) if "mu8." in name], [])

    def test_two_conversions_to_one_output_at_once(self):
        self.assertEqual(self.run_bounded(*self.command, "expected.mu8").code, 0)
        for _ in range(10):
            both = [subprocess.Popen([self.program, *self.command, "one.mu8"], cwd=self.folder,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                    for _ in range(2)]
            for process in both:
                _, stderr = process.communicate(timeout=LONGEST)
                self.assertEqual(process.returncode, 0, stderr)
            self.assert_same_bytes("one.mu8", "expected.mu8")
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("one.mu8.")],
                         [])


if __name__ == "__main__":
    cli.main()
