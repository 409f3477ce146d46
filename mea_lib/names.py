"""The names that a user chooses among. They need no torch, so that the command line has them at once.

What each of them means is said where it is made: a network in `mea_lib.models`, a combining scheme in
`mea_lib.data.combine`, a data set in `mea_lib.data.known`.
"""

NETWORKS = ("nine_layer_cnn", "vgg_like", "alexnet", "resnet18", "resnet50", "vggface")
SCHEMES = ("crop-paste", "autoencoder", "pixel-merge", "stripes")
DATA_SETS = ("fashion-mnist", "cifar-10", "cifar-100", "stl-10", "digits")
# The classes of a data set in its own order, where they are known before it is read.
CLASSES = {
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "cifar-10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    "stl-10": ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
    "digits": tuple("0123456789"),
}
# Endings of files of models that other programs write, and `mea_lib.blackbox.as_suspect` reads.
FOREIGN_FILES = (".onnx", ".pt", ".pth", ".ts", ".torchscript")
