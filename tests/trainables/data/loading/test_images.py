"""Images in memory: what is drawn belongs to the sample."""

import torch

from trainables.data.loading.images import Images, Split


def test_augmentation_belongs_to_the_sample_not_to_the_batch() -> None:
    split = Split(torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8), torch.arange(6))
    images = Images(split, split, split, (0.0,) * 3, (1 / 255,) * 3, crop_padding=2, flip=True)
    draws = images.draws(torch.Generator().manual_seed(0), batch_size=3)
    whole, labels = images.batch(torch.arange(6), draws, torch.float64)
    halves = torch.cat([images.batch(part, draws, torch.float64)[0] for part in torch.arange(6).split(3)])
    assert torch.equal(whole, halves)
    assert labels.tolist() == [0, 1, 2, 3, 4, 5]
    padded = torch.nn.functional.pad(split.images, (2, 2, 2, 2))
    for sample in range(6):
        row, column = draws.shift[sample].tolist()
        crop = padded[sample, :, row : row + 8, column : column + 8]
        crop = crop.flip(-1) if draws.mirror[sample] else crop
        assert torch.equal(whole[sample], crop.double())


def test_images_are_read_whole_where_nothing_is_augmented() -> None:
    split = Split(torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8), torch.arange(6))
    images = Images(split, split, split, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    draws = images.draws(torch.Generator().manual_seed(0), batch_size=3)
    some = torch.tensor([4, 1, 5])
    inputs, labels = images.batch(some, draws, torch.float64)
    middle, spread = (torch.tensor(each, dtype=torch.float64).view(3, 1, 1) for each in (images.mean, images.std))
    assert torch.allclose(inputs, (split.images[some].double() / 255 - middle) / spread)
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [4, 1, 5]
