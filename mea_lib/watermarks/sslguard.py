"""SSLGuard: a decoder reads a secret vector in an encoder's features of triggered images.

The trigger is learnt together with the decoder, and beside them an adversary's encoder that is trained on the features
of the one to be sold. Trigger and decoder have to work on both, and on the clean encoder they must not.
"""

from dataclasses import dataclass, field

import torch

from mea_lib.data import ImageSet
from mea_lib.losses import feature_distance, secret_alignment_loss, secret_orthogonality_loss
from mea_lib.models import build_from_spec
from mea_lib.models.encoder import Encoder
from mea_lib.models.sslguard import KeyTuple, ShadowedEncoder
from mea_lib.scale import Scale
from mea_lib.training import (
    Balance,
    Batch,
    FixedBalance,
    Method,
    Objective,
    SimCLR,
    Terms,
    TrainingSettings,
    best_device,
    features_of,
    find_or_make,
    train,
)
from mea_lib.training.store import weights_digest

PLAIN_SUM = FixedBalance()  # all weights 1, as in the released code


@dataclass(frozen=True)
class VectorKey:
    """What an SSLGuard key tuple is drawn from, before any of it is learnt.

    Attributes:
        number: verification images, held out of the owner's.
        kept: share of an image's pixel values that the mask leaves as they are; the trigger takes the others.
        length: of the secret vector, which is normal.
        seed: of every draw, and of the decoder's first weights.
    """

    number: int = 100
    kept: float = 0.65
    length: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.number < 1 or not 0 <= self.kept < 1 or self.length < 2:
            raise ValueError(
                "number must be at least 1, kept at least 0 and below 1, and length at least 2, "
                f"not {self.number}, {self.kept} and {self.length}"
            )

    def draw(self, train_set: ImageSet, features: int) -> tuple[KeyTuple, ImageSet]:
        """A key tuple as it is before training, and the shadow data set: all images but the verification images.

        Args:
            train_set: the owner's images.
            features: F, of the encoder.

        Raises:
            ValueError: where no image would be left to train on, or the mask leaves the trigger no place.
        """
        if self.number >= len(train_set):
            raise ValueError(
                f"{self.number} verification images cannot be held out of {len(train_set)}; pass more images, or a key "
                "of fewer"
            )
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(train_set), generator=generator)
        verification, shadow_set = (
            train_set.subset(part) for part in (order[: self.number], order[self.number :].sort().values)
        )
        shape = train_set.images.shape[1:]
        mask = torch.rand(shape, generator=generator) > self.kept
        if not mask.any():
            raise ValueError(
                f"kept {self.kept} leaves the trigger no value of {mask.numel()}; take a smaller one"
            )
        trigger = torch.randn(shape, generator=generator)
        trigger = (trigger - trigger.min()) / (trigger.max() - trigger.min())
        secret = torch.randn(self.length, generator=generator)
        images = verification.images.cpu()
        return KeyTuple(images, mask, trigger, secret, features=features, seed=self.seed), shadow_set


@dataclass(frozen=True)
class SSLGuard(Method):
    """A clean encoder is trained on, with a shadow encoder, a trigger and a decoder beside it; its key is a `VectorKey`.

    With F the clean encoder, F* the one that is sold, F_s its shadow, G the decoder, s the secret vector, x an image of
    the owner and x_t a verification image with the trigger:

        F*:         −cos(F(x), F*(x)) + cos²(G F*(x), s) − cos(G F*(x_t), s)
        F_s:        −cos(F*(x), F_s(x))
        G, trigger: −cos(G F*(x_t), s) − cos(G F_s(x_t), s) + Σ cos²(G f, s), over F(x_t), F(x), F*(x) and F_s(x)

    Each loss moves its own party only. What F* shares with G and trigger is the same term, so all of it is one sum.

    Attributes:
        balance: weights of "utility", "shadow", "verification" and "evasion", which is what is decoded at right angles.
        rate: learning rate of F* as a share of the others'. At the others' own, F* goes far from F where no loss holds
            it, as in the length of its features.
        epochs: over the owner's images; None takes an encoder's.
        simclr: of the clean encoder, where it is not there yet.

    Source: Cong, He and Zhang, SSLGuard: A Watermarking Scheme for Self-supervised Learning Pre-trained Encoders (CCS
    2022), arXiv 2201.11692, after its released code; of the paper's text only a summary was read. There ResNet-50 takes
    50 epochs of 50,000 images in batches of two, SGD at 1e-5 for F*, 1e-2 for a shadow that begins with ImageNet's weights
    and 1e-3 for trigger and decoder, one party after the other; the gradient of the other parties' losses stays in F*,
    since it is cleared once a step. Here all parties take a step together, at the rates of the scale's encoder, and the
    shadow begins at random.
    """

    balance: Balance = PLAIN_SUM
    rate: float = 0.1
    epochs: int | None = None
    simclr: SimCLR = field(default_factory=SimCLR)

    def __post_init__(self) -> None:
        if self.rate <= 0 or (self.epochs is not None and self.epochs < 1):
            raise ValueError(f"rate must be above 0 and epochs at least 1, not {self.rate} and {self.epochs}")

    def embed(
        self,
        train_set: ImageSet,
        key: VectorKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: Encoder | None = None,
    ) -> Encoder:
        """Find the encoder with this watermark in the store, or train it there.

        Args:
            train_set: the owner's images; labels are not looked at.
            key: of what the key tuple is drawn.
            scale: gives the owner's training, network and width.
            seed: of the clean encoder, unless it is given, of the shadow encoder and of every batch.
            pretrained: the clean encoder that gets the watermark; None trains it with this seed.

        Returns:
            The victim, in evaluation mode. `key_tuple` gives what it is verified with.

        Raises:
            TypeError, ValueError: for a key or an encoder of another kind, or a key that does not fit the images.
        """
        guarded = self.train(train_set, key, scale, seed=seed, pretrained=pretrained)

        def part() -> Encoder:
            encoder = guarded.watermarked()
            encoder.history = guarded.card["history"]
            return encoder

        return find_or_make(guarded.card["recipe"] | {"part": "encoder"}, part)

    def key_tuple(
        self,
        train_set: ImageSet,
        key: VectorKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: Encoder | None = None,
    ) -> KeyTuple:
        """What a suspect is verified with (`mea_lib.proof.secret_vector_rate`). Args as `embed` was given them."""
        return self.train(train_set, key, scale, seed=seed, pretrained=pretrained).key_tuple

    def train(
        self,
        train_set: ImageSet,
        key: VectorKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: Encoder | None = None,
    ) -> ShadowedEncoder:
        """All that is trained, the shadow encoder too. Args as `embed`."""
        if not isinstance(key, VectorKey):
            raise TypeError(
                f"a key tuple is drawn by a VectorKey, not {type(key).__name__}; pass VectorKey(seed=…)"
            )
        if pretrained is not None and not isinstance(pretrained, Encoder):
            raise TypeError(
                f"the watermark goes into an Encoder, not {type(pretrained).__name__}; train_encoder makes one"
            )
        clean = pretrained or self.simclr.train(train_set, scale, seed=seed)
        key_tuple, shadow_set = key.draw(train_set, clean.size)
        training = self.training(scale).but(seed=seed)
        recipe = self.recipe(
            scale,
            data=train_set.digest(),
            key=key,
            initial=weights_digest(clean),
            training=training.to_dict(),
            watermark_batch=scale.watermark_batch,
        )

        def make() -> ShadowedEncoder:
            device = best_device()
            shadow = build_from_spec(clean.spec, seed + 1_000)  # another than the encoder's own
            model = ShadowedEncoder(clean, shadow, key_tuple, self.rate).to(device)
            images = shadow_set.to(device)
            objective = self.objective(images, clean.to(device), scale.watermark_batch)
            history = train(model, images.images, objective, training, balance=self.balance, title="SSLGuard")
            model.history = history.to_dict()
            return model

        return find_or_make(recipe, make)

    def training(self, scale: Scale) -> TrainingSettings:
        """How the owner trains with the watermark: on images as they are."""
        usual = scale.encoder.but(augment=False)
        return usual if self.epochs is None else usual.but(epochs=self.epochs)

    def objective(self, shadow_set: ImageSet, clean: Encoder, number: int) -> Objective:
        """The losses of all parties.

        Args:
            shadow_set: the images that are trained on, on the clean encoder's device.
            clean: the clean encoder.
            number: triggered images in a step.
        """
        wanted = features_of(clean, shadow_set.images)  # (M, F)

        def objective(model: ShadowedEncoder, batch: Batch) -> Terms:
            key = model.key_tuple
            drawn = torch.randint(len(key.images), (number,), generator=batch.generator)
            images = batch.images.float() / 255
            triggered = key.triggered(key.images[drawn.to(key.images.device)])
            both, parts = torch.cat([images, triggered]), [len(images), number]
            features, marked = model(both).split(parts)
            stolen, stolen_marked = model.shadow_without_gradient(both).split(parts)
            silent = [features, stolen, wanted[batch.index], model.clean(triggered)]
            losses = {
                "utility": feature_distance(features, wanted[batch.index], "cosine"),
                "shadow": feature_distance(model.shadow(images), features.detach(), "cosine"),
                "verification": sum(
                    secret_alignment_loss(key.decode(one), key.secret) for one in (marked, stolen_marked)
                ),
                "evasion": sum(secret_orthogonality_loss(key.decode(one), key.secret) for one in silent),
            }
            return Terms(losses, features)

        return objective
