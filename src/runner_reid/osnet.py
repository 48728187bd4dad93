"""OSNet x0.25: a small network made for telling people apart (Zhou et al. 2019, "Omni-scale feature learning").

The names of its tensors are those of published weights, so that these fit.
"""

import torch
from torch import nn

CHANNELS = (16, 64, 96, 128)
"""Of the stem and of the three stages, at a quarter of the full width."""
WIDTH = 512
"""Numbers in a feature."""


class Conv(nn.Module):
    """Convolution, batch norm and, where `active`, ReLU."""

    def __init__(self, before: int, after: int, kernel: int = 1, *, stride: int = 1, active: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(after)
        self.active = active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.conv(x))
        return x.relu() if self.active else x


class Light(nn.Module):
    """A 3x3 convolution taken apart into a pointwise and a depthwise one."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv2(self.conv1(x))).relu()


class Gate(nn.Module):
    """How much of each channel passes, by the whole picture; one gate serves all four scales of a block."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, max(1, channels // 16), 1)
        self.fc2 = nn.Conv2d(max(1, channels // 16), channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Block(nn.Module):
    """Four streams of one to four light convolutions, gated and added: what is seen at four scales."""

    def __init__(self, before: int, after: int):
        super().__init__()
        middle = after // 4
        self.conv1 = Conv(before, middle)
        self.conv2a = Light(middle)
        self.conv2b, self.conv2c, self.conv2d = (
            nn.Sequential(*(Light(middle) for _ in range(depth))) for depth in (2, 3, 4)
        )
        self.gate = Gate(middle)
        self.conv3 = Conv(middle, after, active=False)
        self.downsample = Conv(before, after, active=False) if before != after else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        narrow = self.conv1(x)
        scales = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        seen = self.conv3(sum(self.gate(stream(narrow)) for stream in scales))
        return (seen + (self.downsample(x) if self.downsample else x)).relu()


class OSNet(nn.Module):
    """The network: `forward_features` gives the map (B, 128, H/16, W/16), `fc` makes of its mean the feature."""

    def __init__(self):
        super().__init__()
        stem, first, second, third = CHANNELS
        self.conv1 = Conv(3, stem, 7, stride=2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = self._stage(stem, first, half=True)
        self.conv3 = self._stage(first, second, half=True)
        self.conv4 = self._stage(second, third, half=False)
        self.conv5 = Conv(third, third)
        self.fc = nn.Sequential(nn.Linear(third, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU())

    @staticmethod
    def _stage(before: int, after: int, *, half: bool) -> nn.Sequential:
        halving = [nn.Sequential(Conv(after, after), nn.AvgPool2d(2, 2))] if half else []
        return nn.Sequential(Block(before, after), Block(after, after), *halving)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        for stage in (self.conv1, self.maxpool, self.conv2, self.conv3, self.conv4, self.conv5):
            x = stage(x)
        return x

    def detach_head(self) -> nn.Module:
        """Give `fc` away: what is left is the map."""
        head, self.fc = self.fc, nn.Sequential()
        return head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) normalised by ImageNet's mean and deviation to (B, 512)."""
        return self.fc(self.forward_features(x).mean((2, 3)))
