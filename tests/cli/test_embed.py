"""`mu8 embed`: source text that compiles to the file's own bytes, constants that are the file's, and
what it says where it cannot write it.

    /usr/bin/python3 tests/cli/test_embed.py build/release/mu8
"""

import pathlib
import re
import subprocess

import cli
from inputs import flip_a_bit

GOLDEN_NAMES = ("tiny_sigma4", "tiny_numbers", "dense_softmax", "every_operator_gaussian")
# Prints the model's bytes and the labels, and asks for the alignment.
PRINT = r"""
#include <stdio.h>
#include "m.h"
int main(void) {
  if ((uintptr_t)m_mu8 % 16 != 0 || sizeof(m_mu8) != M_BYTES) return 1;
  fwrite(m_mu8, 1, M_BYTES, stdout);
  for (int i = 0; i < M_OUTPUTS; ++i) {
    if (fputs(m_labels[i], stdout) < 0 || putchar(0) < 0) return 1;
  }
  return 0;
}
"""
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
C = ("gcc", "-std=c11", *WARNINGS)
ASSEMBLY = (*C, "-no-pie")  # addresses in flash do not move
CPP = ("g++", "-std=c++20", "-x", "c++", *WARNINGS)
NAMES = ["plain", 'quote " and \\', "question ??/ mark", "gr\u00fc\u00dfe", "tab\there", "7"]


class EmbedTest(cli.CommandTest):
    @classmethod
    def embed(cls, model, *options):
        return cls.json_of("embed", model, "-o", "out", *options)

    @classmethod
    def constants(cls, name):
        """{constant: number} of a header, without the name before each."""
        text = (cls.folder / "out" / f"{name}.h").read_text(encoding="utf-8")
        return {key: int(value, 0)
                for key, value in re.findall(rf"#define {name.upper()}_(\w+) (\w+?)u?(?:  //.*)?\n",
                                             text)}

    def compiled(self, compiler, source):
        """What PRINT writes of out/m.h and `source`."""
        self.write("out/main.c", PRINT)
        subprocess.run([*compiler, "main.c", source, "-o", "print"], cwd=self.folder / "out",
                       check=True)
        done = subprocess.run(["./print"], cwd=self.folder / "out", capture_output=True,
                              check=True)
        return done.stdout


class Bytes(EmbedTest):
    def check_bytes(self, compiler, suffix, *options):
        for name in GOLDEN_NAMES:
            model = cli.GOLDEN / f"{name}.mu8"
            with self.subTest(name):
                found = self.embed(model, "--name", "m", *options)
                self.assertEqual(found["source"], f"out/m{suffix}")
                content = model.read_bytes()
                self.assertEqual(self.compiled(compiler, f"m{suffix}")[:len(content)], content)

    def test_in_c(self):
        self.check_bytes(C, ".c")

    def test_in_cpp(self):
        self.check_bytes(CPP, ".c")

    def test_in_assembly(self):
        self.check_bytes(ASSEMBLY, ".S", "--assembly")

    def test_labels_are_those_of_the_file(self):
        self.write("names.txt", "\n".join(NAMES + ["a", "b", "c", "d"]) + "\n")
        self.text_of("convert", *cli.LENET5, *cli.QUICK, "--labels", "names.txt", "-o", "named.mu8")
        expected = self.json_of("inspect", "named.mu8")["labels"]
        self.assertIn(NAMES[1], expected)
        for compiler, suffix, options in ((C, ".c", ()), (CPP, ".c", ()),
                                          (ASSEMBLY, ".S", ("--assembly",))):
            self.embed("named.mu8", "--name", "m", *options)
            printed = self.compiled(compiler, f"m{suffix}")[len(self.bytes_of("named.mu8")):]
            self.assertEqual(printed.decode().split("\0")[:-1], expected)


class Constants(EmbedTest):
    def test_are_those_of_the_file(self):
        for name in GOLDEN_NAMES:
            with self.subTest(name):
                model = cli.GOLDEN / f"{name}.mu8"
                found = self.embed(model)
                shown = self.json_of("inspect", model)
                constants = self.constants(name)
                height, width, channels = shown["input_shape"]
                self.assertEqual(constants["BYTES"], shown["file_bytes"])
                self.assertEqual(constants["ARENA_BYTES"], shown["arena_bytes"])
                self.assertEqual(constants["INPUT_SIZE"], height * width * channels)
                self.assertEqual(constants["OUTPUTS"], shown["classes"])
                self.assertEqual(constants["HASH"], int(found["model_hash"], 16))
                self.assertEqual(found["operators"],
                                 sorted({layer["op"] for layer in shown["layers"]}))

    def test_the_hash_is_the_crc_of_all_bytes(self):
        crc = 0xffffffff
        for byte in (cli.GOLDEN / "tiny_sigma4.mu8").read_bytes():
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
        self.assertEqual(int(self.embed(cli.GOLDEN / "tiny_sigma4.mu8")["model_hash"], 16),
                         crc ^ 0xffffffff)

    def test_the_config_has_every_part_and_needs_those_of_the_model(self):
        page = (cli.ROOT / "engine" / "include" / "mu8" / "config.h").read_text(encoding="utf-8")
        for model, options, needed in (
                ("dense_softmax", (), {"HEAD_SOFTMAX", "RECHECK"}),
                ("dense_softmax", ("--fixed", "--check-products"),
                 {"HEAD_SOFTMAX", "CHECK_PRODUCTS"}),
                ("tiny_moments", (), {"HEAD_SOFTMAX", "RECHECK"}),
                ("tiny_moments", ("--method", "moments"), {"HEAD_SOFTMAX", "MOMENTS", "RECHECK"}),
                ("tiny_gaussian", ("--antithetic",), {"HEAD_GAUSSIAN", "ANTITHETIC", "RECHECK"}),
                ("tiny_sigma4", ("--stop-error", "0.1"),
                 {"HEAD_SOFTMAX", "EARLY_ENDINGS", "RECHECK"})):
            self.embed(cli.GOLDEN / f"{model}.mu8", *options)
            text = (self.folder / "out" / f"{model}_config.h").read_text(encoding="utf-8")
            parts = dict(re.findall(r"#define MU8_WITH_(\w+) ([01])\n", text))
            every = set(re.findall(r"#if !defined\(MU8_WITH_(\w+)\)", page))
            self.assertEqual(set(parts), every - {"SELF_TEST", "DIAGNOSTICS"})  # no model speaks of them
            found = {part for part, value in parts.items() if value == "1"}
            of_layers = {part for part in found if part.startswith(("OP_", "SIGMA_", "MEAN_"))}
            self.assertEqual(found - of_layers, needed)
            shown = self.json_of("inspect", cli.GOLDEN / f"{model}.mu8")
            bits = {layer["sigma_bits"] for layer in shown["layers"] if layer.get("bayesian")}
            self.assertEqual({int(part[-1]) for part in found if part.startswith("SIGMA_")},
                             bits - {0})
            operators = {layer["op"].upper() for layer in shown["layers"]} - {"CONV2D", "DENSE"}
            self.assertLessEqual({f"OP_{op}" for op in operators}, found)

    def test_the_arena_is_for_the_options(self):
        model = cli.GOLDEN / "tiny_sigma4.mu8"
        plain = self.embed(model)["arena_bytes"]
        for options in (("--batch", 3), ("--keep-logits", "--samples", 500), ("--deadline",),
                        ("--stop-error", "0.01")):
            with self.subTest(options):
                self.assertGreater(self.embed(model, *options)["arena_bytes"], plain)
        moments = cli.GOLDEN / "tiny_moments.mu8"
        self.assertGreater(self.embed(moments, "--method", "moments")["arena_bytes"],
                           self.embed(moments)["arena_bytes"])
        self.embed(model, "--batch", 3, "--samples", 7)
        self.assertEqual(self.constants("tiny_sigma4")["BATCH"], 3)
        self.assertEqual(self.constants("tiny_sigma4")["MC_SAMPLES"], 7)


class Names(EmbedTest):
    def test_come_from_the_file(self):
        for path, name in (("LeNet5-sigma4.mu8", "lenet5_sigma4"), ("20 nets.mu8", "model_20_nets"),
                           ("_x.mu8", "model__x")):
            (self.folder / path).write_bytes((cli.GOLDEN / "tiny_sigma0.mu8").read_bytes())
            self.assertEqual(self.embed(path)["name"], name)
            self.assertTrue((self.folder / "out" / f"{name}.h").is_file())

    def test_no_identifier(self):
        for name in ("9", "a-b", "a b", "\u00e9", "_a"):
            self.wrong_command("embed", cli.GOLDEN / "tiny_sigma0.mu8", "-o", "new", "--name", name,
                               says=f'--name: found "{name}"')


class Refusals(EmbedTest):
    def test_a_damaged_model(self):
        flip_a_bit(cli.GOLDEN / "tiny_sigma4.mu8", self.folder / "bad.mu8")
        self.fails("embed", "bad.mu8", "-o", "new", says="bad.mu8: mu8 error 15: ")

    def test_no_model(self):
        self.fails("embed", "missing.mu8", "-o", "new", says="missing.mu8: no such file")

    def test_a_file_in_the_folders_place(self):
        self.write("occupied", "text")
        self.fails("embed", cli.GOLDEN / "tiny_sigma4.mu8", "-o", "occupied", 
                   says="-o: occupied: not a folder, and none can be made there: ")

    def test_a_folder_in_the_files_place(self):
        pathlib.Path(self.folder / "taken" / "m.h").mkdir(parents=True)
        self.fails("embed", cli.GOLDEN / "tiny_sigma4.mu8", "-o", "taken", "--name", "m",
                   says="taken/m.h: cannot be written: is a folder")

    def test_an_option_that_the_model_does_not_have(self):
        self.fails("embed", cli.GOLDEN / "tiny_sigma4.mu8", "-o", "new", "--method", "moments",
                   says=f"{cli.GOLDEN / 'tiny_sigma4.mu8'}: mu8 error 78: ")
        self.wrong_command("embed", cli.GOLDEN / "tiny_values.mu8", "-o", "new", "--stop-error",
                           "0.1", says="--stop-error: the model's outputs are numbers")


if __name__ == "__main__":
    cli.main()
