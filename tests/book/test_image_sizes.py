"""Pictures say how large they are, and the first comes before the others."""

from image_sizes import size_images
from PIL import Image


def test_pictures_get_their_sizes_and_those_further_down_wait(tmp_path):
    for name in ("_images/a.png", "_static/logo.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (70, 40)).save(tmp_path / name)
    (tmp_path / "_static" / "shape.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="5" height="6"/>'
    )
    (tmp_path / "book").mkdir()
    ahead = '<a class="ahead-picture" href="#b"><img alt="A" src="../_images/a.png" /></a>'
    others = '<img src="../_images/a.png"/><img src="../_static/logo.png"><img src="../_static/shape.svg"/>'
    kept = '<img src="../_images/no.png"/><img src="https://a.example/b.png"/><img src="x.png" width="7"/>'
    assert size_images(f"{ahead}{'.' * 300}{others}{kept}", tmp_path / "book") == (
        '<a class="ahead-picture" href="#b"><img alt="A" src="../_images/a.png" width="70" height="40" '
        f'fetchpriority="high" /></a>{"." * 300}'
        '<img src="../_images/a.png" width="70" height="40" loading="lazy"/>'
        '<img src="../_static/logo.png" width="70" height="40" decoding="async">'
        f'<img src="../_static/shape.svg" width="5" height="6" decoding="async"/>{kept}'
    )
