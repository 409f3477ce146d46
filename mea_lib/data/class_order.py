"""The order of a data set's classes: a property of the data set, not of the folder it is read from."""

from mea_lib.names import CLASSES

FASHION = CLASSES["fashion-mnist"]
OWN_ORDER = {name: CLASSES[name] for name in ("fashion-mnist", "cifar-10", "stl-10")}
# What people call a class where its name cannot be that of a folder, as T-shirt/top cannot.
_OTHER_NAMES = {"tshirt": "tshirttop", "trousers": "trouser", "sandals": "sandal", "sneakers": "sneaker"}


def own_names(folders: list[str], name: str | None = None) -> dict[str, str] | None:
    """Which class of a known data set each folder stands for.

    Names are the same where their letters and digits are, so `Ankle_boot` is Ankle boot. Where the data set
    is named, folders called 0, 1, 2 … stand for its classes by number.

    Args:
        folders: names of the class folders.
        name: of the data set where it is known; without one it is told by its classes.

    Returns:
        the data set's own name for each folder's, in the data set's order; None where they are not the
        classes of this data set, or of any.
    """
    known = OWN_ORDER if name is None else {name: OWN_ORDER[name]} if name in OWN_ORDER else {}
    for classes in known.values():
        numbers = [str(number) for number in range(len(classes))]
        if name is not None and sorted(folders) == sorted(numbers):
            return dict(zip(numbers, classes, strict=True))
        by_letters = {_letters(folder): folder for folder in folders}
        wanted = {_letters(own_name): own_name for own_name in classes}
        if len(by_letters) == len(folders) and by_letters.keys() == wanted.keys():
            return {by_letters[letters]: own_name for letters, own_name in wanted.items()}
    return None


def _letters(name: str) -> str:
    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    return _OTHER_NAMES.get(plain, plain)
