"""The command line as a whole: help, version, unknown subcommands, a full disk behind stdout.

    /usr/bin/python3 tests/cli/test_command_line.py build/release/mu8
"""

import os
import re
import subprocess
import unittest

import cli

SUBCOMMANDS = ["allocate", "convert", "inspect", "predict", "eval", "diff", "bench", "embed",
               "replay"]
HINT = 'mu8: run "mu8 --help" for the options'


class Help(cli.CommandTest):
    def test_lists_every_subcommand(self):
        listed = self.text_of("--help").split("\nSubcommands:\n")[1].split("\n\n")[0]
        self.assertEqual(re.findall(r"^  (\w+) ", listed, re.M), SUBCOMMANDS)

    def test_says_what_the_exit_codes_mean(self):
        codes = self.text_of("--help").split("\nExit codes:\n")[1]
        self.assertEqual(re.findall(r"^  (\d)  ", codes, re.M), ["0", "1", "2", "3"])

    def test_every_subcommand_describes_json(self):
        for command in SUBCOMMANDS:
            with self.subTest(command):
                self.assertRegex(self.text_of(command, "--help"),
                                 r"\n  --json  +Print one JSON object on stdout and nothing else")

    def test_every_subcommand_shows_its_own_usage(self):
        for command in SUBCOMMANDS:
            with self.subTest(command):
                self.assertIn(f"\nUsage: mu8 {command} ", self.text_of(command, "--help"))

    def test_version_of_the_program_and_of_the_format(self):
        self.assertRegex(self.text_of("--version"),
                         r"\Amu8 \d+\.\d+\.\d+, file format \d+\.\d+\n\Z")


class WrongCommands(cli.CommandTest):
    def test_no_subcommand(self):
        self.wrong_command(says="A subcommand is required", hint=HINT)

    def test_unknown_subcommand(self):
        self.wrong_command("frobnicate", says="A subcommand is required", hint=HINT)

    def test_unknown_option(self):
        self.wrong_command("inspect", "empty.mu8", "--frobnicate",
                           says="The following argument was not expected: --frobnicate")

    def test_one_file_too_many(self):
        self.wrong_command("inspect", "empty.mu8", "pointer.mu8",
                           says="The following argument was not expected: pointer.mu8")


class WrongNumbers(cli.CommandTest):
    """What CLI11 alone would take for another number: octal, hexadecimal, wrapped around, NaN."""

    def refuses(self, command, option, text, says):
        with self.subTest(option + text):
            more = ("--average-bits", 4) if command == "allocate" else ()
            self.wrong_command(command, *cli.LENET5, *cli.IMAGES, *more, "-o", "out", option, text,
                               says=f"{option}: {says}")

    def test_sigma_bits(self):
        self.refuses("convert", "--sigma-bits", "3", says="3 not in {8,4,2,1,0}")
        for text in ("010", "0x8", "-8", "8.0", "", "0x1p3"):
            self.refuses("convert", "--sigma-bits", text, says=f'is "{text}", expected a whole number, 0 to 8')

    def test_max_memory(self):
        for text in ("-1", "-1G", "0x400M", "G", "1e9", "99999999999999999999G", "nan"):
            self.refuses("convert", "--max-memory", text, says=f'is "{text}", expected a number of bytes')

    def test_numbers_of_allocate(self):
        for option, text in (("--quantile", "nan"), ("--quantile", "0x1p-1"), ("--training-images", "nan"),
                             ("--training-images", "-1"), ("--average-bits", "0x1p2"), ("--average-bits", "inf")):
            self.refuses("allocate", option, text, says=f'is "{text}", expected a number from ')


class FullDisk(cli.CommandTest):
    @unittest.skipUnless(os.path.exists("/dev/full"), "this system has no /dev/full")
    def test_results_that_cannot_be_written_are_an_error(self):
        model = cli.GOLDEN / "tiny_sigma4.mu8"
        for arguments in (["inspect", model], ["inspect", model, "--json"]):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                done = subprocess.run([self.program, *arguments], stdout=full, check=False,
                                      stderr=subprocess.PIPE, text=True)
                self.assertEqual(done.returncode, 1)
                self.assertEqual(done.stderr, "mu8: cannot write to stdout: No space left on device\n")


if __name__ == "__main__":
    cli.main()
