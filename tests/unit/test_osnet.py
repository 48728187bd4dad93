"""OSNet against the published network in another format, run by another library."""

import cv2
import numpy as np
import torch

from runner_reid.osnet import OSNet


def test_it_is_the_published_network(shared):
    """The same weights, as OpenCV runs them from the ONNX file, on random pictures."""
    folder = shared / "data/weights"
    network = OSNet().eval()
    state = torch.load(folder / "osnet_x0_25_msmt17.pth", map_location="cpu", weights_only=True)
    network.load_state_dict(state, strict=True)
    pictures = np.random.default_rng(0).random((4, 3, 256, 128), np.float32) * 4 - 2
    with torch.inference_mode():
        ours = network(torch.from_numpy(pictures)).numpy()
    published = cv2.dnn.readNetFromONNX(str(folder / "osnet_x0_25_msmt17.onnx"))
    theirs = []
    for picture in pictures:
        published.setInput(picture[None])
        theirs.append(published.forward()[0])
    np.testing.assert_allclose(ours, np.stack(theirs), atol=1e-4)
    assert ours.shape == (4, 512) and np.abs(ours).max() > 0.1
