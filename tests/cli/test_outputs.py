"""Where results go: no input is lost, files appear together or not at all, streams are streams.

    /usr/bin/python3 tests/cli/test_outputs.py build/release/mu8

tests/converters/host/test_output_file.cpp has links, permissions and more of single files.
"""

import os
import shutil
import struct
import subprocess
import unittest

import cli
import numpy as np
import onnx
from heads import HeadTest
from onnx import TensorProto, helper

FULL = "/dev/full"
FEW = ("--samples", 2)


def setUpModule():
    cli.CommandTest.text_of("convert", *cli.LENET5, *cli.QUICK, "-o", "net.mu8")


class OutputTest(cli.CommandTest):
    def fresh(self, name):
        """An empty folder in the folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


class Inputs(OutputTest):
    """A file that is read is no output, whichever name leads to it."""
    def test_labels_found_beside_images(self):
        folder = self.fresh("idx")
        (folder / "images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, 1, 28, 28) + bytes(784))
        (folder / "labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 1) + b"\7")
        os.link(folder / "labels-idx1-ubyte", folder / "other")
        os.symlink("idx", self.folder / "idx link")
        for name in ("idx/labels-idx1-ubyte", "idx/other", "idx link/other", "./idx/../idx/other"):
            with self.subTest(name):
                self.wrong_command("eval", "net.mu8", "--data", "idx/images-idx3-ubyte", *FEW,
                                   "--predictions", name,
                                   says=f"--predictions: {name} is the file of idx/labels-idx1-ubyte, "
                                        "which is read: it would be lost")

    def test_images_of_a_folder(self):
        for option in ("--data", "--ood"):
            folder = self.fresh("pictures" + option)
            shutil.copy(cli.PICTURES[0], folder / "a.png")
            data = [option, folder.name] if option == "--data" else ["--data", cli.PICTURES[0].parent,
                                                                    "--ood", folder.name]
            self.wrong_command("eval", "net.mu8", *data, *FEW, "--report", f"{folder.name}/a.png",
                               says=f"--report: {folder.name}/a.png is the file of {folder.name}/a.png")

    def test_calibration_images_of_a_folder(self):
        folder = self.fresh("calibration")
        for picture in cli.PICTURES:
            shutil.copy(picture, folder)
        name = f"calibration/{cli.PICTURES[0].name}"
        self.fails("convert", *cli.LENET5, "--calibration", "calibration", "--calibration-passes", 2,
                   "-o", name, says=f"{name}: is the file of {name}, which is read")

    def test_external_data_of_a_graph(self):
        graph = onnx.load(cli.DATA / "lenet5_mnist.onnx")
        onnx.save(graph, str(self.folder / "external.onnx"), save_as_external_data=True, location="weights",
                  size_threshold=0)
        self.fails("convert", "--model", "external.onnx", *cli.POSTERIOR, *cli.NORMAL, *cli.QUICK, "-o",
                   "weights", says="weights: is the file of ./weights, which is read: it would be lost")


class Maps(HeadTest):
    def test_maps_in_place_of_an_input(self):
        weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 1, 1, 1], [1.0, -1.0])
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)],
            "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 2, 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2, 2, 3])], [weights])
        self.write("m.onnx", helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())
        np.save(self.folder / "x.npy", np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3))
        self.text_of("convert", "--model", "m.onnx", "--deterministic", "--calibration", "x.npy", "-o",
                     "maps.mu8")
        for ending in (".mean.npy", ".entropy.npy"):
            name = f"x.npy{ending}"
            shutil.copy(self.folder / "x.npy", self.folder / name)
            self.fails("predict", "maps.mu8", "x.npy", name, "--maps", ".",
                       says=f"./{name}: is the file of {name}, which is read: it would be lost")
            (self.folder / name).unlink()


class Together(OutputTest):
    """Files of one command appear when all of it has gone well."""
    def convert(self, *options, **how):
        return subprocess.run([self.program, "convert", *map(str, cli.LENET5), *map(str, cli.QUICK),
                               *options], cwd=self.folder, check=False, stderr=subprocess.PIPE, **how)

    @unittest.skipUnless(os.path.exists(FULL), "this system has no /dev/full")
    def test_a_second_file_that_cannot_be_written(self):
        self.fails("convert", *cli.LENET5, *cli.QUICK, "-o", "first.mu8", "--report", FULL,
                   says=f"{FULL}: cannot be written: No space left on device")
        self.fails("eval", "net.mu8", "--data", cli.DIGITS, "--limit", 2, *FEW, "--predictions", "first",
                   "--uncertainty", FULL, says=f"{FULL}: cannot be written: No space left on device")

    @unittest.skipUnless(os.path.exists(FULL), "this system has no /dev/full")
    def test_a_full_stdout(self):
        (self.folder / "old.mu8").write_bytes(b"old")
        for arguments in (["convert", *cli.LENET5, *cli.QUICK, "-o", "old.mu8"],
                          ["embed", "net.mu8", "-o", "embedded"],
                          ["eval", "net.mu8", "--data", cli.DIGITS, "--limit", 2, *FEW, "--report",
                           "page.html"]):
            with self.subTest(arguments), open(FULL, "wb") as full:
                done = subprocess.run([self.program, *map(str, arguments)], cwd=self.folder, stdout=full,
                                      check=False, stderr=subprocess.PIPE, text=True)
                self.assertEqual((done.returncode, done.stderr),
                                 (1, "mu8: cannot write to stdout: No space left on device\n"))
        self.assertEqual(self.bytes_of("old.mu8"), b"old")
        self.assertFalse((self.folder / "page.html").exists())
        self.assertEqual(os.listdir(self.folder / "embedded"), [])

    def test_descriptors_are_streams(self):
        expected = self.bytes_of("net.mu8")
        piped = self.convert("-o", "/dev/stdout", stdout=subprocess.PIPE)
        self.assertEqual(piped.returncode, 0, piped.stderr)
        self.assertEqual(piped.stdout[:len(expected)], expected)
        for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
            with open(self.folder / "redirected", "wb") as file:
                self.assertEqual(self.convert("-o", name, stdout=file).returncode, 0)
            self.assertEqual(self.bytes_of("redirected")[:len(expected)], expected)
            self.assertIn(b"file", self.bytes_of("redirected")[len(expected):])

    def test_another_descriptor(self):
        with open(self.folder / "third", "wb") as file:
            done = self.convert("-o", f"/dev/fd/{file.fileno()}", stdout=subprocess.DEVNULL,
                                pass_fds=[file.fileno()])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_same_bytes("third", "net.mu8")
        self.fails("convert", *cli.LENET5, *cli.QUICK, "-o", "/dev/fd/77",
                   says="/dev/fd/77: cannot be written: descriptor 77 is not open for writing")


class Empty(OutputTest):
    def test_an_empty_name(self):
        data = ("--data", cli.DIGITS, "--limit", 2, *FEW)
        for command, option in ((("convert", *cli.LENET5, *cli.QUICK), "--output"),
                                (("convert", *cli.LENET5, *cli.QUICK, "-o", "x.mu8"), "--report"),
                                (("eval", "net.mu8", *data), "--predictions"),
                                (("eval", "net.mu8", *data), "--uncertainty"),
                                (("eval", "net.mu8", *data), "--report"),
                                (("embed", "net.mu8"), "--output"),
                                (("allocate", *cli.LENET5, *cli.QUICK, "--average-bits", 4), "--output")):
            with self.subTest(f"{command[0]} {option}"):
                self.wrong_command(*command, option, "",
                                   says=f'{option}: is "", expected the name of a file to write')


if __name__ == "__main__":
    cli.main()
