"""MediaPipe as a separate program: reads frames from standard input and writes landmarks as JSON lines.

This file runs in an environment with MediaPipe but without skelemo (`skelemo.pose.environment`), so it imports nothing
from skelemo. A frame is three uint32 (1 for the first frame of a video, width, height) and width x height x 3 bytes of
RGB. The first line of output is ``{"ready": VERSION}``, every other ``{"people": [{"pose": [[x, y, visibility], …],
"face": [[x, y], …], "left_hand": …, "right_hand": …}]}``, relative to the image size, or ``{"error": REASON}``.
Reading and writing have their own threads, so a slow reader does not block the estimator.

With the models in MediaPipe's wheel, each person is tracked as in MediaPipe's holistic solution: the pose detector
detects people, the pose landmarker tracks each in the box derived from the last landmarks, and the face is detected in
the head's box. Landmarks are not smoothed. With model files (``--models``) the Tasks API does the same.
"""

import argparse
import glob
import importlib.util
import json
import math
import os
import queue
import struct
import sys
import threading
from importlib.metadata import version
from typing import Any

#: Detect new people every so many frames while one person is tracked; with several, in every frame.
SEARCH_EVERY = 6
#: Maximum median distance of landmarks, in body heights, between two tracks of the same person.
SAME = 0.06
#: A detection whose center is closer to a tracked box, relative to the box size, is that person.
NEAR = 0.15
HEAD = 11  # the first landmarks of a pose

PERSON = """
input_stream: "image"
input_stream: "roi"
input_side_packet: "complexity"
input_side_packet: "mask"
input_side_packet: "refine"
node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE_CPU:image" output_stream: "SIZE:size" }
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_stream: "IMAGE:image" input_stream: "ROI:roi"
  input_side_packet: "MODEL_COMPLEXITY:complexity" input_side_packet: "ENABLE_SEGMENTATION:mask"
  output_stream: "LANDMARKS:pose" output_stream: "AUXILIARY_LANDMARKS:auxiliary"
}
node {
  calculator: "PoseLandmarksToRoi"
  input_stream: "LANDMARKS:auxiliary" input_stream: "IMAGE_SIZE:size" output_stream: "ROI:next"
}
node {
  calculator: "SplitNormalizedLandmarkListCalculator"
  input_stream: "pose" output_stream: "head"
  options { [mediapipe.SplitVectorCalculatorOptions.ext] { ranges { begin: 0 end: 11 } } }
}
node {
  calculator: "FaceLandmarksFromPoseCpu"
  input_stream: "IMAGE:image" input_stream: "FACE_LANDMARKS_FROM_POSE:head"
  input_side_packet: "REFINE_LANDMARKS:refine" output_stream: "FACE_LANDMARKS:face"
}
"""
HANDS = """
node {
  calculator: "HandLandmarksLeftAndRightCpu"
  input_stream: "IMAGE:image" input_stream: "POSE_LANDMARKS:pose"
  output_stream: "LEFT_HAND_LANDMARKS:left_hand" output_stream: "RIGHT_HAND_LANDMARKS:right_hand"
}
"""
SEARCH = """
input_stream: "image"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image" output_stream: "DETECTIONS:detections" }
"""


class Graph:
    """A MediaPipe graph, run step by step."""

    def __init__(self, text: str, outputs: Any, side: Any) -> None:
        from mediapipe.python._framework_bindings import calculator_graph

        self.time = 0
        self.found: Any = {}
        self.graph = calculator_graph.CalculatorGraph(graph_config=text)
        for name in outputs:
            self.graph.observe_output_stream(name, self.found.__setitem__, True)
        self.graph.start_run(side)

    def send(self, **packets: Any) -> None:
        """Begin a step."""
        self.time += 33333  # microseconds, as in MediaPipe's solutions
        self.found.clear()
        for name, packet in packets.items():
            self.graph.add_packet_to_input_stream(name, packet.at(self.time))

    def receive(self) -> Any:
        """End the step and return its output packets."""
        self.graph.wait_until_idle()
        return {name: packet for name, packet in self.found.items() if not packet.is_empty()}


class Wheel:
    """Tracks people with the models in MediaPipe's wheel."""

    def __init__(self, people: int, hands: bool) -> None:
        from mediapipe.framework.formats import detection_pb2, landmark_pb2, rect_pb2  # noqa: F401 - read by name
        from mediapipe.python import packet_creator, packet_getter
        from mediapipe.python._framework_bindings import image_frame, resource_util

        resource_util.set_resource_dir(os.path.dirname(_folder()))
        self.make, self.get, self.rect = packet_creator, packet_getter, rect_pb2.NormalizedRect
        self.rgb = image_frame.ImageFormat.SRGB
        self.people, self.parts = people, ["face"] + ["left_hand", "right_hand"] * hands
        self.search = Graph(SEARCH, ["detections"], {})
        self.begin()

    def begin(self) -> None:
        """Reset for another video."""
        self.free: Any = []
        self.followed: Any = []
        self.frame = self.turn = 0

    def find(self, image: Any) -> Any:
        """The landmarks of each person in a frame [height, width, 3]."""
        height, width = image.shape[:2]
        packet = self.make.create_image_frame(image_format=self.rgb, data=image)
        found = self._land(packet, self.followed)
        tiles = _tiles(width, height)
        if not self.frame:
            turns = tiles
        elif len(found) == 1 and self.frame % SEARCH_EVERY:
            turns = []
        else:
            self.turn += 1
            turns = [tiles[self.turn % len(tiles)]] + [tiles[0]] * (not found)
        fresh: Any = []
        for tile in dict.fromkeys(turns):
            boxes = [_box(one) for one in self._search(image, packet, tile)]
            for box in boxes:
                others = [_in_pixels(one[1], width, height) for one in found] + fresh
                if not any(math.hypot(box[0] - o[0], box[1] - o[1]) < NEAR * max(box[2], o[2]) for o in others):
                    fresh.append(box)
        room = max(0, self.people - len(found))
        starts = [(self.free.pop() if self.free else self._person(), self._rect(box, width, height))
                  for box in sorted(fresh, key=lambda box: -box[2])[:room]]  # fmt: skip
        found += self._land(packet, starts)
        kept: Any = []
        for one in found:
            if any(_same(one, other, width, height) for other in kept):
                self.free.append(one[0])
            else:
                kept.append(one)
        self.followed = [(graph, roi) for graph, roi, _ in kept]
        self.frame += 1
        return [answer for _, _, answer in kept]

    def _person(self) -> Any:
        side = {"complexity": self.make.create_int(1), "mask": self.make.create_bool(False),
                "refine": self.make.create_bool(True)}  # fmt: skip
        return Graph(PERSON + HANDS * (len(self.parts) > 1), ["pose", "next", *self.parts], side)

    def _land(self, packet: Any, boxes: Any) -> Any:
        """Graph, next box and landmarks of each person who is still in the box."""
        for graph, roi in boxes:
            graph.send(image=packet, roi=self.make.create_proto(roi))
        found: Any = []
        for graph, _ in boxes:
            out = graph.receive()
            if "pose" not in out or "next" not in out:
                self.free.append(graph)
                continue
            answer: Any = {"pose": [(p.x, p.y, p.visibility) for p in self.get.get_proto(out["pose"]).landmark]}
            for part in self.parts:
                if part in out:
                    answer[part] = [(p.x, p.y) for p in self.get.get_proto(out[part]).landmark]
            found.append((graph, self.get.get_proto(out["next"]), answer))
        return found

    def _search(self, image: Any, packet: Any, tile: Any) -> Any:
        """Hip and head of each person detected in a tile, in pixels of the image."""
        import numpy as np

        left, top, width, height = tile
        if (height, width) != image.shape[:2]:
            part = np.ascontiguousarray(image[top : top + height, left : left + width])
            packet = self.make.create_image_frame(image_format=self.rgb, data=part)
        self.search.send(image=packet)
        out = self.search.receive()
        for one in self.get.get_proto_list(out["detections"]) if out else []:
            hip, head = one.location_data.relative_keypoints[:2]
            yield [(left + p.x * width, top + p.y * height) for p in (hip, head)]

    def _rect(self, box: Any, width: int, height: int) -> Any:
        x, y, size, angle = box
        return self.rect(x_center=x / width, y_center=y / height, width=size / width, height=size / height,
                         rotation=angle)  # fmt: skip


def _tiles(width: int, height: int) -> Any:
    """The image, and squares of it for small people: left, top, width, height."""
    side, long = min(width, height), max(width, height)
    tiles = [(0, 0, width, height)]
    if long > 1.2 * side:
        count = max(2, math.ceil(1.3 * long / side))
        for step in range(count):
            start = round((long - side) * step / (count - 1))
            tiles.append((start, 0, side, side) if width > height else (0, start, side, side))
    return tiles


def _box(points: Any) -> Any:
    """The box of a person (pose_detection_to_roi.pbtxt): center, size and angle, in pixels."""
    (x, y), (head_x, head_y) = points
    angle = math.pi / 2 - math.atan2(y - head_y, head_x - x)
    return x, y, 2.5 * math.hypot(head_x - x, head_y - y), math.remainder(angle, 2 * math.pi)


def _in_pixels(roi: Any, width: int, height: int) -> Any:
    return roi.x_center * width, roi.y_center * height, roi.width * width, roi.rotation


def _same(one: Any, other: Any, width: int, height: int) -> bool:
    """Whether two tracks are the same person."""
    size = max(_in_pixels(found[1], width, height)[2] for found in (one, other)) / 1.25
    pairs = zip(one[2]["pose"], other[2]["pose"])  # noqa: B905 - Python 3.9 has no strict
    apart = sorted(math.hypot((a[0] - b[0]) * width, (a[1] - b[1]) * height) for a, b in pairs)
    return apart[len(apart) // 2] < SAME * size


class Tasks:
    """Tracks people with model files and MediaPipe's Tasks API."""

    def __init__(self, folder: str, people: int) -> None:
        from mediapipe.tasks.python import BaseOptions, vision

        self.vision, self.people = vision, people
        self.landmarker: Any = None
        self.pose = BaseOptions(model_asset_path=_model(folder, "pose_landmarker"))
        options = vision.FaceLandmarkerOptions(BaseOptions(model_asset_path=_model(folder, "face_landmarker")))
        self.face = vision.FaceLandmarker.create_from_options(options)
        self.begin()

    def begin(self) -> None:
        """Reset for another video."""
        if self.landmarker:
            self.landmarker.close()
        self.landmarker = self.vision.PoseLandmarker.create_from_options(
            self.vision.PoseLandmarkerOptions(
                self.pose, running_mode=self.vision.RunningMode.VIDEO, num_poses=self.people
            )
        )
        self.time = 0

    def find(self, image: Any) -> Any:
        """The landmarks of each person in a frame [height, width, 3]."""
        self.time += 33
        found = self.landmarker.detect_for_video(_image(image), self.time).pose_landmarks
        people = []
        for pose in found:
            answer = {"pose": [(p.x, p.y, p.visibility) for p in pose]}
            face = self._face(image, answer["pose"][:HEAD])
            people.append(dict(answer, face=face) if face else answer)
        return people

    def _face(self, image: Any, head: Any) -> Any:
        """The face in a square around the head, three times the landmarks' extent, as in MediaPipe's holistic."""
        import numpy as np

        height, width = image.shape[:2]
        xs, ys = [p[0] * width for p in head], [p[1] * height for p in head]
        side = 1.5 * max(max(xs) - min(xs), max(ys) - min(ys))
        x, y = sum(xs) / len(xs), sum(ys) / len(ys)
        left, right = (int(min(max(at, 0), width)) for at in (x - side, x + side))
        top, bottom = (int(min(max(at, 0), height)) for at in (y - side, y + side))
        if right - left < 8 or bottom - top < 8:
            return []
        faces = self.face.detect(_image(np.ascontiguousarray(image[top:bottom, left:right]))).face_landmarks
        return [((left + p.x * (right - left)) / width, (top + p.y * (bottom - top)) / height)
                for p in (faces[0] if faces else [])]  # fmt: skip


def _image(pixels: Any) -> Any:
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)


def _model(folder: str, name: str) -> str:
    files = sorted(glob.glob(os.path.join(glob.escape(folder), name + "*.task")))
    if not files:
        raise FileNotFoundError("no " + name + "*.task in " + folder)
    return files[0]


def _folder() -> str:
    """The package's folder, without importing it."""
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'mediapipe'")
    return os.path.dirname(spec.origin)


def _estimator(people: int, hands: bool, models: str) -> Any:
    if models and hands:
        raise ValueError("--hands needs the models in the wheel 0.10.21 and cannot be used with --models")
    if models:
        return Tasks(models, people)
    if not os.path.exists(os.path.join(_folder(), "modules", "pose_landmark", "pose_landmark_full.tflite")):
        raise FileNotFoundError(
            "MediaPipe " + version("mediapipe") + " has no models: give a folder with pose_landmarker*.task and "
            "face_landmarker*.task (--models), or use 0.10.21, which has them"
        )
    # The package's __init__ would load Matplotlib, OpenCV and the Tasks API, which takes more than half a second.
    sys.modules["mediapipe"] = importlib.util.module_from_spec(importlib.util.find_spec("mediapipe"))  # type: ignore[arg-type]
    return Wheel(people, hands)


def main() -> None:
    """Answer frames until the end of the input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--hands", action="store_true")
    parser.add_argument("--models", default="")
    given = parser.parse_args()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # MediaPipe's own output goes to standard error
    asked: Any = queue.SimpleQueue()
    answers: Any = queue.SimpleQueue()

    def read() -> None:
        head = struct.Struct("<III")
        while data := sys.stdin.buffer.read(head.size):
            first, width, height = head.unpack(data)
            asked.put((first, width, height, sys.stdin.buffer.read(width * height * 3)))
        asked.put(None)

    def write() -> None:
        for what in iter(answers.get, None):
            out.write(json.dumps(what) + "\n")
            out.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        import numpy as np

        estimator = _estimator(given.people, given.hands, given.models)
        answers.put({"ready": version("mediapipe")})
        threading.Thread(target=read, daemon=True).start()
        for first, width, height, pixels in iter(asked.get, None):
            if first:
                estimator.begin()
            answers.put({"people": estimator.find(np.frombuffer(pixels, np.uint8).reshape(height, width, 3))})
    except Exception as error:
        answers.put({"error": (str(error).strip() or type(error).__name__).splitlines()[0]})
        sys.exit(1)
    finally:
        answers.put(None)
        writer.join()


if __name__ == "__main__":
    main()
