"""RefCOCO, RefCOCO+ and RefCOCOg: sentences about objects of COCO's train2014 images.

    train2014/COCO_train2014_000000000009.jpg
    NAME/{instances.json, refs(unc).p}              as published; refcocog has refs(umd).p or refs(google).p
    NAME/instances_NAME_SPLIT.json                  the converted form: one image entry and annotation per sentence

The lists are checked when the dataset is opened, images when they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sgmg.data.coco_masks import check_segmentation, decode_segmentation
from sgmg.data.images import image_size, read_frames
from sgmg.data.lists import read_json, require_component
from sgmg.data.pickles import load_plain
from sgmg.data.sample import Sample
from sgmg.errors import InputError

#: Who split each dataset, the usual one first.
PARTITIONS = {"refcoco": ("unc", "google"), "refcoco+": ("unc",), "refcocog": ("umd", "google")}


@dataclass(frozen=True)
class RefCOCOEntry:
    """A sentence about an object of an image.

    Attributes:
        sentence_id: the sentence's id; in the converted form that of its image entry.
        text: the sentence.
        file_name: of the image.
        size: height and width of the image, as the list has them.
        segmentation: the object's polygons or run lengths, as COCO writes them.
        where: where the object stands, for messages.
    """

    sentence_id: str
    text: str
    file_name: str
    size: tuple[int, int]
    segmentation: Any = field(repr=False, hash=False)
    where: str = field(repr=False)


class RefCOCO:
    """Reader of one split; as a sequence it holds one `Sample` of a single frame for each sentence.

    Where the folder holds ``refs(...).p``, that is read; else the converted form.

    Args:
        root: folder with ``train2014`` and the folder of the dataset.
        name: "refcoco", "refcoco+" or "refcocog".
        split: "train", "val", "testA", "testB"; of refcocog "train", "val", "test".
        partition: "unc", "umd" or "google": whose ``refs(...).p``; by default the usual one of those that are there.

    Attributes:
        entries: the sentences, in the order of the list.
        list_file: the list that names them.

    Raises:
        InputError: a list is missing or broken, or names something outside of the dataset; a pickle asks for
            anything but lists, dicts, numbers and strings.

    Example:
        >>> data = RefCOCO("coco", "refcoco+", "testA")
        >>> data[0].frames.shape
        torch.Size([1, 3, 480, 640])
    """

    def __init__(
        self, root: str | Path, name: str = "refcoco", split: str = "train", partition: str | None = None
    ) -> None:
        self.root, self.name, self.split = Path(root), name, split
        if name not in PARTITIONS:
            raise InputError(f"There is no dataset '{name}': use one of {', '.join(PARTITIONS)}.")
        if partition is not None and partition not in PARTITIONS[name]:
            raise InputError(f"{name} has no partition '{partition}': use {' or '.join(PARTITIONS[name])}.")
        require_component(split, "the split", self.root)
        folder = self.root / name
        if not folder.is_dir():
            raise InputError(f"{folder} is missing: give the folder that holds train2014 and {name}.")
        wanted = PARTITIONS[name] if partition is None else (partition,)
        pickles = [folder / f"refs({who}).p" for who in wanted]
        converted = folder / f"instances_{name}_{split}.json"
        raw = next((path for path in pickles if path.is_file()), None)
        if raw is not None:
            self.list_file = raw
            self.entries = _read_raw(raw, folder / "instances.json", split)
        elif partition is None and converted.is_file():
            self.list_file = converted
            self.entries = _read_converted(converted)
        else:
            raise InputError(f"{pickles[0]} is missing, and so is {converted.name}: one of them lists the sentences.")
        self.images_folder = self.root / "train2014"
        if not self.images_folder.is_dir():
            raise InputError(f"{self.images_folder} is missing: the images belong there.")

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(self.entries[index])

    def sample(self, entry: RefCOCOEntry) -> Sample:
        """One sentence with its image, as a clip of one frame.

        Raises:
            InputError: the image is missing, broken or of another size than listed; the mask is damaged.
        """
        path = self.images_folder / entry.file_name
        if (size := image_size(path)) != entry.size:
            raise InputError(
                f"{path} is {size[1]}x{size[0]}, but {entry.where} says {entry.size[1]}x{entry.size[0]}: "
                "get the image or the list anew."
            )
        mask = decode_segmentation(entry.segmentation, size, entry.where)
        return Sample(
            frames=torch.from_numpy(read_frames([path])).permute(0, 3, 1, 2).contiguous(),
            masks=torch.from_numpy(mask)[None],
            expression=entry.text,
            video=Path(entry.file_name).stem,
            expression_id=entry.sentence_id,
            frame_names=[entry.file_name],
        )

    def samples(self, entries: Sequence[RefCOCOEntry]) -> list[Sample]:
        """Sentences about one image, which share it.

        Raises:
            InputError: as for `sample`.
        """
        samples = [self.sample(entry) for entry in entries]
        for sample in samples[1:]:
            sample.frames = samples[0].frames
        return samples


def _read_raw(path: Path, instances: Path, split: str) -> list[RefCOCOEntry]:
    references = load_plain(path)
    if not isinstance(references, list) or not all(isinstance(reference, dict) for reference in references):
        raise InputError(f"{path} must hold a list of dicts.")
    chosen = [reference for reference in references if reference.get("split") == split]
    if not chosen:
        known = sorted({str(reference.get("split")) for reference in references})
        raise InputError(f"{path} has no split '{split}', only {', '.join(known) or 'nothing'}.")
    content = _read_coco(instances)
    images = _by_id(content["images"], "image", instances)
    annotations = _by_id(content["annotations"], "annotation", instances)
    entries = []
    for reference in chosen:
        where = f"{path}: reference {reference.get('ref_id')!r}"
        annotation = _find(annotations, reference.get("ann_id"), "annotation", where, instances)
        image = _find(images, reference.get("image_id"), "image", where, instances)
        if annotation.get("image_id") != image["id"]:
            raise InputError(f"{where}: its annotation is of another image.")
        file_name, size = _image(image, instances)
        segmentation, place = _segmentation(annotation, instances)
        sentences = reference.get("sentences")
        if not isinstance(sentences, list) or not sentences:
            raise InputError(f'{where} must have a list of at least one sentence under "sentences".')
        for sentence in sentences:
            if not isinstance(sentence, dict) or type(sentence.get("sent_id")) is not int:
                raise InputError(f'{where}: a sentence must be a dict with a number under "sent_id".')
            text = _text(sentence.get("sent")) or _text(sentence.get("raw"))
            if not text:
                raise InputError(f'{where}: sentence {sentence["sent_id"]} has no words under "sent".')
            entries.append(RefCOCOEntry(str(sentence["sent_id"]), text, file_name, size, segmentation, place))
    return entries


def _read_converted(path: Path) -> list[RefCOCOEntry]:
    content = _read_coco(path)
    images = _by_id(content["images"], "image", path)
    annotations: dict[Any, dict[str, Any]] = {}
    for annotation in _by_id(content["annotations"], "annotation", path).values():
        image = _find(images, annotation.get("image_id"), "image", f"{path}: annotation {annotation['id']}", path)
        if image["id"] in annotations:
            raise InputError(f"{path}: image entry {image['id']} has two annotations, but one sentence.")
        annotations[image["id"]] = annotation
    entries = []
    for image in images.values():
        file_name, size = _image(image, path)
        text = _text(image.get("caption"))
        if not text:
            raise InputError(f'{path}: image entry {image["id"]} must have a sentence under "caption".')
        if image["id"] not in annotations:
            raise InputError(f"{path}: image entry {image['id']} has no annotation.")
        segmentation, place = _segmentation(annotations[image["id"]], path)
        entries.append(RefCOCOEntry(str(image["id"]), text, file_name, size, segmentation, place))
    if not entries:
        raise InputError(f"{path} lists no sentence.")
    return entries


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _read_coco(path: Path) -> dict[str, Any]:
    content = read_json(path)
    sound = isinstance(content, dict) and all(
        isinstance(content.get(key), list) and all(isinstance(entry, dict) for entry in content[key])
        for key in ("images", "annotations")
    )
    if not sound:
        raise InputError(f'{path} must hold an object with lists of objects under "images" and "annotations".')
    return content


def _by_id(entries: list[dict[str, Any]], what: str, path: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for entry in entries:
        number = entry.get("id")
        if type(number) is not int or number in found:
            raise InputError(f'{path}: each {what} must have a number of its own under "id", unlike {number!r}.')
        found[number] = entry
    return found


def _find(entries: dict[int, dict[str, Any]], number: Any, what: str, where: str, path: Path) -> dict[str, Any]:
    if type(number) is not int or number not in entries:
        raise InputError(f"{where} asks for {what} {number!r}, which {path} does not have.")
    return entries[number]


def _image(entry: dict[str, Any], path: Path) -> tuple[str, tuple[int, int]]:
    require_component(entry.get("file_name"), f"the file of image {entry['id']}", path)
    height, width = entry.get("height"), entry.get("width")
    if not (type(height) is int and type(width) is int and height > 0 and width > 0):
        raise InputError(f'{path}: image {entry["id"]} must have its "height" and "width" in pixels.')
    return entry["file_name"], (height, width)


def _segmentation(annotation: dict[str, Any], path: Path) -> tuple[Any, str]:
    where = f"{path}: annotation {annotation['id']}"
    check_segmentation(annotation.get("segmentation"), where)
    return annotation["segmentation"], where
