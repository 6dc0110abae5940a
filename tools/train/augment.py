"""Training images on the device: normalization, random shifts, crops and mirroring, by batch."""

import torch


class TrainingImages:
    """Normalized images [N,H,W,C] and labels [N] from which augmented minibatches are drawn."""

    def __init__(self, images, labels, network, recipe, device):
        """images: u8 [N,C,H,W]; labels: u8 [N]; the normalization is the network's."""
        self.images = normalized(images, network, device).permute(0, 2, 3, 1).contiguous()
        self.labels = torch.tensor(labels, dtype=torch.long, device=device)
        self.black = torch.tensor([(0 - mean) / std for mean, std in
                                   zip(network.mean, network.std)], device=device)
        self.max_shift, self.mirror = recipe.max_shift, recipe.mirror

    def __len__(self):
        return len(self.labels)

    def batch(self, which, size=0):
        """Inputs [B,C,size,size] and labels [B] of rows `which`; size 0 keeps the images' own.

        Each image is a window of `size` pixels, placed at random in the image with a black margin
        of max_shift pixels. The random numbers come from the CPU's generator on any device.
        """
        device, height = self.images.device, self.images.shape[1]
        size, margin, count = size or height, self.max_shift, len(which)
        first = torch.randint(0, height + 2 * margin - size + 1, (2, count, 1))
        flip = torch.randint(0, 2, (count, 1), dtype=torch.bool) if self.mirror else None
        # non_blocking: the CPU goes on to the next step while a GPU is still at this one.
        which = which.to(device, non_blocking=True)
        rows, columns = first.to(device, non_blocking=True) + torch.arange(size, device=device)
        if self.mirror:
            flip = flip.to(device, non_blocking=True)
            columns = torch.where(flip, columns.flip(1), columns)
        padded = self.black.expand(count, height + 2 * margin, height + 2 * margin, -1).clone()
        padded[:, margin : margin + height, margin : margin + height] = self.images[which]
        image = torch.arange(count, device=device)[:, None, None]
        inputs = padded[image, rows[:, :, None], columns[:, None, :]]  # [B,size,size,C]
        if inputs.shape[3] == 1:  # the same bytes, under strides that are not channels_last
            return inputs.reshape(count, 1, size, size), self.labels[which]
        return inputs.permute(0, 3, 1, 2), self.labels[which]


def normalized(images, network, device):
    """u8 [N,C,H,W] -> float32 (u8/255 - mean[c]) / std[c]."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (network.mean, network.std))
    return ((torch.tensor(images).float() / 255 - mean) / std).to(device)
