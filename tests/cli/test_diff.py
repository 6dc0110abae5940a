"""`mu8 diff`: where a file leaves its FP32 reference, and what it refuses.

    /usr/bin/python3 tests/cli/test_diff.py build/release/mu8
"""

import cli

DIFF = ("diff", "sigma4.mu8", *cli.LENET5)
FEW = ("--data", cli.DIGITS, "--limit", 20, "--samples", 2)


def setUpModule():
    cli.CommandTest.text_of("convert", *cli.LENET5, *cli.QUICK, "--sigma-bits", 4,
                            "-o", "sigma4.mu8")


class Report(cli.CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.found = cls.json_of(*DIFF, *FEW)

    def test_what_was_compared(self):
        self.assertEqual(self.found["images"], 20)
        self.assertEqual(self.found["samples"], 2)
        self.assertEqual(len(self.found["layers"]), 7)

    def test_predictions_hardly_differ(self):
        self.assertGreaterEqual(self.found["kl"], 0)
        self.assertLess(self.found["kl"], 0.01)
        self.assertGreater(self.found["label_agreement"], 0.9)

    def test_every_layer_is_close(self):
        for layer in self.found["layers"]:
            self.assertGreater(layer["sqnr_db"], 15, layer)

    def test_five_layers_lose_by_their_weights(self):
        self.assertEqual(sum(layer["kl_of_weights"] > 0 for layer in self.found["layers"]), 5)

    def test_text_says_which_layer_costs_most(self):
        text = self.text_of(*DIFF, *FEW)
        self.assertIn("costs most", text)
        self.assertIn("KL(FP32 || engine)", text)


class Refusals(cli.CommandTest):
    def test_a_file_of_another_network(self):
        tiny = cli.GOLDEN / "tiny_sigma4.mu8"
        self.fails("diff", tiny, *cli.MODEL, *cli.POSTERIOR, "--data", cli.DIGITS,
                   says=f"{tiny}: has 2 layers that are not the 7 of the given network, expected "
                        "the file made from it")

    def test_images_of_another_size(self):
        self.fails(*DIFF, "--data", "cifar.bin",
                   says="cifar.bin: images are 32x32x3, the model expects 28x28x1")

    def test_missing_images(self):
        self.fails(*DIFF, "--data", "missing.idx", says="missing.idx: no such file")

    def test_a_mean_for_each_of_two_channels(self):
        self.fails("diff", "sigma4.mu8", *cli.MODEL, *cli.POSTERIOR, "--mean", "1,2",
                   "--std", "1,2", "--data", cli.DIGITS,
                   says="mean and std have 2 and 2 values, expected one, or one for each of the 1 "
                        "input channels")

    def test_no_posterior(self):
        self.wrong_command("diff", "sigma4.mu8", *cli.MODEL, "--data", cli.DIGITS,
                           says="--posterior is required")

    def test_no_samples(self):
        self.wrong_command(*DIFF, "--data", cli.DIGITS, "--samples", 0,
                           says='--samples: is "0", expected a whole number, 1 to 65536')


if __name__ == "__main__":
    cli.main()
