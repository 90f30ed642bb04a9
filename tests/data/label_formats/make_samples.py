"""Writes the folder `samples` by the label tools' own packages, once; the tests read it.

Run it in an environment of its own, with labelme 6.3.1, pycocotools 2.0.11, datumaro 1.13.12
(which CVAT's exporters are made of), label-studio-sdk 2.1.2, supervision 0.31.2 and
cityscapesScripts 2.3.0 from PyPI; the part `supervisely` with supervisely 6.74.51, `ultralytics`
with ultralytics 8.4.190. What has no package that writes it (Roboflow's and MMSegmentation's
folders, Supervisely's masks, the tasks around Label Studio's brushes, polygons of COCO and of the
folder `yolo`) is written by its published description.

    python make_samples.py             everything but
    python make_samples.py supervisely
    python make_samples.py ultralytics
"""

# mypy: ignore-errors
from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scenes import CLASSES, COLORS, HEIGHT, NUMBERS, WIDTH, picture, shapes, truth

OUT = Path(__file__).parent / "samples"


def save(path: Path, pixels, palette=None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette([value for color in palette for value in color])
    image.save(path, optimize=True)


def images(folder: Path) -> None:
    for n in NUMBERS:
        save(folder / f"scene{n}.png", picture(n))


def labelme() -> None:
    from labelme._label_file import LabelFile

    images(OUT / "labelme")
    for n in NUMBERS:
        listed = [
            {
                "label": name,
                "points": [[float(x), float(y)] for x, y in points],
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for name, points in shapes(n)
        ]
        if n == 1:  # a rectangle of two corners, and a mask
            listed[4] |= {"shape_type": "rectangle", "points": [[60.0, 44.0], [52.0, 36.0]]}
            data = io.BytesIO()
            Image.fromarray(np.ones((6, 6), bool)).save(data, "PNG")
            listed[3] |= {
                "shape_type": "mask",
                "points": [[26.0, 14.0], [31.0, 19.0]],
                "mask": base64.b64encode(data.getvalue()).decode(),
            }
        if n == 2:
            listed.append(
                {
                    "label": "car",
                    "points": [[1.0, 1.0], [9.0, 9.0]],
                    "group_id": None,
                    "description": "",
                    "shape_type": "line",
                    "flags": {},
                    "mask": None,
                }
            )
        name = OUT / "labelme" / f"scene{n}.json"
        data = (OUT / "labelme" / f"scene{n}.png").read_bytes() if n == 0 else None
        LabelFile().save(
            str(name), listed, f"scene{n}.png", HEIGHT, WIDTH, image_data=data, flags={}
        )
    (OUT / "labelme" / "scene0.png").unlink()  # it is inside its JSON


def coco() -> None:
    from pycocotools import mask as coco_mask
    from pycocotools.coco import COCO

    for kind in ("polygon", "rle"):
        folder = OUT / f"coco-{kind}"
        images(folder / "images")
        table = {
            "info": {},
            "licenses": [],
            "images": [
                {"id": n + 7, "file_name": f"scene{n}.png", "height": HEIGHT, "width": WIDTH}
                for n in (*NUMBERS, 9)
            ],
            "categories": [
                {"id": 10 * i + 1, "name": name, "supercategory": ""}
                for i, name in enumerate(CLASSES)
            ],
            "annotations": [],
        }
        for n in NUMBERS:
            mask = truth(n)
            parts = (
                [(CLASSES.index(name), points) for name, points in shapes(n)]
                if kind == "polygon"
                else [(i, mask == i) for i in range(3)]
            )
            for class_id, part in parts:
                if kind == "polygon":
                    segmentation = [[value for point in part for value in point]]
                else:
                    segmentation = coco_mask.encode(np.asfortranarray(part.astype(np.uint8)))
                    segmentation["counts"] = segmentation["counts"].decode()
                table["annotations"].append(
                    {
                        "id": len(table["annotations"]) + 1,
                        "image_id": n + 7,
                        "category_id": 10 * class_id + 1,
                        "segmentation": segmentation,
                        "iscrowd": 0,
                        "area": 1,
                        "bbox": [0, 0, 1, 1],
                    }
                )
        path = folder / "annotations.json"
        path.write_text(json.dumps(table))
        COCO(str(path))


def dataset(kind: str):
    import datumaro as dm

    items = []
    for n in NUMBERS:
        mask = truth(n)
        if kind == "polygon":
            annotations = [
                dm.Polygon(
                    [float(v) for p in points for v in p],
                    label=CLASSES.index(name),
                    z_order=i,
                    id=i + 1,
                    group=i + 1,
                )
                for i, (name, points) in enumerate(shapes(n))
            ]
        else:
            annotations = [
                dm.Mask((mask == i), label=i, id=i + 1, group=i + 1) for i in range(len(CLASSES))
            ]
        items.append(
            dm.DatasetItem(
                id=f"scene{n}",
                subset="default",
                media=dm.Image.from_numpy(picture(n)[..., ::-1].copy(), ext=".png"),
                annotations=annotations,
            )
        )
    return dm.Dataset.from_iterable(items, categories=list(CLASSES))


def datumaro() -> None:
    from collections import OrderedDict

    for name, kind, form, options in (
        ("coco-datumaro", "mask", "coco_instances", {}),
        ("coco-panoptic", "mask", "coco_panoptic", {}),
        ("cvat-images-mask", "mask", "cvat", {}),
        ("cvat-images-polygon", "polygon", "cvat", {}),
        ("datumaro-mask", "mask", "datumaro", {}),
        ("datumaro-polygon", "polygon", "datumaro", {}),
        (
            "cvat-mask",
            "mask",
            "voc_segmentation",
            {
                "label_map": OrderedDict(
                    (name, [COLORS[i], [], []]) for i, name in enumerate(CLASSES)
                )
            },
        ),
        (
            "camvid",
            "mask",
            "camvid",
            {"label_map": {name: COLORS[i] for i, name in enumerate(CLASSES)}},
        ),
    ):
        folder = OUT / name
        dataset(kind).export(str(folder), form, save_media=True, **options)
    archive = OUT / "cvat-mask.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted((OUT / "cvat-mask").rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(OUT / "cvat-mask"))
    shutil.rmtree(OUT / "cvat-mask")


def label_studio() -> None:
    from label_studio_sdk.converter import brush

    tasks = []
    folder = OUT / "label-studio"
    images(folder / "images")
    pngs = OUT / "label-studio-png"
    for n in NUMBERS:
        results = []
        common = {
            "original_width": WIDTH,
            "original_height": HEIGHT,
            "image_rotation": 0,
            "from_name": "tag",
            "to_name": "image",
            "origin": "manual",
        }
        if n < 2:
            for i, name in enumerate(CLASSES):
                rle = brush.mask2rle((truth(n) == i).astype(np.uint8) * 255)
                value = {"format": "rle", "rle": rle, "brushlabels": [name]}
                results.append({"id": f"r{i}", "type": "brushlabels", "value": value} | common)
        else:
            for i, (name, points) in enumerate(shapes(n)):
                percent = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]
                value = {"points": percent, "closed": True, "polygonlabels": [name]}
                results.append({"id": f"p{i}", "type": "polygonlabels", "value": value} | common)
        task = {
            "id": n + 1,
            "data": {"image": f"/data/upload/3/0a1b2c3d-scene{n}.png"},
            "annotations": [
                {
                    "id": 50 + n,
                    "was_cancelled": False,
                    "ground_truth": False,
                    "created_at": "2026-01-01T00:00:00Z",
                    "updated_at": "2026-01-01T00:00:00Z",
                    "result": results,
                }
            ],
            "predictions": [],
        }
        tasks.append(task)
        if n < 2:
            pngs.mkdir(parents=True, exist_ok=True)
            for result in results:
                brush.save_brush_images_from_annotation(
                    n + 1,
                    50 + n,
                    "1",
                    "tag",
                    [result["value"] | common | {"type": "brushlabels"}],
                    str(pngs),
                    out_format="png",
                )
    (folder / "export.json").write_text(json.dumps(tasks))
    shutil.copy(folder / "export.json", pngs / "export.json")
    images(pngs / "images")


def yolo() -> None:
    folder = OUT / "yolo"
    images(folder / "train" / "images")
    (folder / "train" / "labels").mkdir(parents=True)
    for n in NUMBERS:
        lines = []
        for name, points in shapes(n):
            values = " ".join(f"{x / WIDTH:.6g} {y / HEIGHT:.6g}" for x, y in points)
            lines.append(f"{CLASSES.index(name)} {values}\n")
        (folder / "train" / "labels" / f"scene{n}.txt").write_text("".join(lines))
    (folder / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\n\nnc: 3\n"
        "names: ['background', 'road', 'car']\n"
    )


def supervision() -> None:
    import supervision as sv

    for kind in ("yolo", "labelme"):
        folder = OUT / f"supervision-{kind}"
        images(OUT / "tmp")
        annotations, paths = {}, []
        for n in NUMBERS:
            path = str(OUT / "tmp" / f"scene{n}.png")
            mask = truth(n)
            parts = [mask >= 0, mask == 1]  # whole parts without holes
            boxes = sv.mask_to_xyxy(np.array(parts))
            annotations[path] = sv.Detections(
                xyxy=boxes, mask=np.array(parts), class_id=np.array([0, 1])
            )
            paths.append(path)
        found = sv.DetectionDataset(classes=list(CLASSES), images=paths, annotations=annotations)
        if kind == "yolo":
            found.as_yolo(
                images_directory_path=str(folder / "images"),
                annotations_directory_path=str(folder / "labels"),
                data_yaml_path=str(folder / "data.yaml"),
            )
        else:
            found.as_labelme(
                images_directory_path=str(folder), annotations_directory_path=str(folder)
            )
        shutil.rmtree(OUT / "tmp")


def ultralytics() -> None:
    from ultralytics.data.converter import convert_segment_masks_to_yolo_seg

    folder = OUT / "yolo-ultralytics"
    images(folder / "images" / "train")
    for n in NUMBERS:
        save(OUT / "tmp" / f"scene{n}.png", truth(n) + 1)
    (folder / "labels" / "train").mkdir(parents=True)
    convert_segment_masks_to_yolo_seg(str(OUT / "tmp"), str(folder / "labels" / "train"), 3)
    shutil.rmtree(OUT / "tmp")
    (folder / "data.yaml").write_text(
        "path: yolo-ultralytics\ntrain: images/train\nval: images/train\n"
        "names:\n  0: background\n  1: road\n  2: car\n"
    )


def roboflow() -> None:
    folder = OUT / "roboflow" / "train"
    images(folder)
    for n in NUMBERS:
        save(folder / f"scene{n}_mask.png", truth(n))
    (folder / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, road\n2, car\n")


def voc_palette() -> None:
    from imgviz.io import lblsave

    folder = OUT / "palette"
    images(folder / "JPEGImages")
    for n in NUMBERS:
        path = folder / "SegmentationClass" / f"scene{n}.png"
        path.parent.mkdir(exist_ok=True)
        lblsave(str(path), truth(n))


def mmseg() -> None:
    for n in NUMBERS:
        part = "val" if n == 2 else "train"
        save(OUT / "mmseg" / "img_dir" / part / f"scene{n}.png", picture(n))
        save(OUT / "mmseg" / "ann_dir" / part / f"scene{n}.png", truth(n))


def cityscapes() -> None:
    from cityscapesscripts.preparation.json2labelImg import json2labelImg

    folder = OUT / "cityscapes"
    for n in NUMBERS:
        stem = f"ulm_00000{n}_000019"
        save(folder / "leftImg8bit" / "train" / "ulm" / f"{stem}_leftImg8bit.png", picture(n))
        names = {"background": "sky"}
        table = {
            "imgHeight": HEIGHT,
            "imgWidth": WIDTH,
            "objects": [
                {"label": names.get(name, name), "polygon": [list(point) for point in points]}
                for name, points in shapes(n)
            ],
        }
        base = folder / "gtFine" / "train" / "ulm" / f"{stem}_gtFine"
        base.parent.mkdir(parents=True, exist_ok=True)
        polygons = base.with_name(f"{base.name}_polygons.json")
        polygons.write_text(json.dumps(table))
        for end, encoding in (
            ("labelIds", "ids"),
            ("labelTrainIds", "trainIds"),
            ("color", "color"),
        ):
            json2labelImg(str(polygons), str(base.with_name(f"{base.name}_{end}.png")), encoding)


def supervisely() -> None:
    import supervisely as sly

    colors = [list(color) for color in COLORS]
    kinds = [
        sly.ObjClass(name, sly.Bitmap if i else sly.Polygon, color=colors[i])
        for i, name in enumerate(CLASSES)
    ]
    meta = sly.ProjectMeta(obj_classes=kinds)
    folder = OUT / "supervisely"
    (folder / "ds0" / "ann").mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(meta.to_json()))
    images(folder / "ds0" / "img")
    for n in NUMBERS:
        mask = truth(n)
        labels = [
            sly.Label(
                sly.Polygon(
                    [sly.PointLocation(r, c) for r, c in ((0, 0), (0, 63), (47, 63), (47, 0))], []
                ),
                kinds[0],
            )
        ]
        labels += [sly.Label(sly.Bitmap(mask == i), kinds[i]) for i in (1, 2)]
        annotation = sly.Annotation((HEIGHT, WIDTH), labels)
        path = folder / "ds0" / "ann" / f"scene{n}.png.json"
        path.write_text(json.dumps(annotation.to_json()))
    masks = OUT / "supervisely-masks"
    (masks / "ds0").mkdir(parents=True)
    (masks / "meta.json").write_text(json.dumps(meta.to_json()))
    table = {name: [i + 1] * 3 for i, name in enumerate(CLASSES)}
    (masks / "obj_class_to_machine_color.json").write_text(json.dumps(table))
    images(masks / "ds0" / "img")
    for n in NUMBERS:
        machine = np.repeat(truth(n)[..., None] + 1, 3, 2).astype(np.uint8)
        save(masks / "ds0" / "masks_machine" / f"scene{n}.png", machine)
        save(masks / "ds0" / "masks_human" / f"scene{n}.png", np.array(colors, np.uint8)[truth(n)])


if __name__ == "__main__":
    if sys.argv[1:] in (["supervisely"], ["ultralytics"]):
        {"supervisely": supervisely, "ultralytics": ultralytics}[sys.argv[1]]()
    else:
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir()
        for make in (
            *(labelme, coco, datumaro, label_studio, yolo, supervision, roboflow),
            *(voc_palette, mmseg, cityscapes),
        ):
            print(make.__name__)
            make()
        subprocess.run(["du", "-sh", str(OUT)], check=True)
